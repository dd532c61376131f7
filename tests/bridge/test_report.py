"""The report of a run: looked at in a real browser, and its pictures against the values."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from browser import CHROMIUM, Browser

import sc_bridge as scb
from sc_bridge import results
from sc_bridge.course import Loss
from sc_bridge.pictures.synoptic import magnets
from sc_bridge.report.page import report_page
from sc_bridge.report.sensitivities import largest
from sc_bridge.study import load_study, run_study
from study_texts import write_lattice

TITLE = (
    "<script>alert('me')</script> & a title as long as people sometimes make them, unbroken_" * 2
)
STUDY = """
title = '''TITLE'''
turns = 2
memory_limit = "8 GiB"
[lattice]
file = "psb.json"
bend_model = "exact"
[reference]
species = "proton"
kinetic_energy = "160 MeV"
[bunch]
n_particles = 600
intensity = 1.6e12
nemitt_x = "2 um"
nemitt_y = "2 um"
sigma_z = "1 m"
sigma_delta = 1e-3
[space_charge]
grid = [8, 8, 8]
[slicing]
max_spacing = "1 m"
[monitors.screen]
at = "3 m"
kind = "bunch"
[monitors.kicks]
every_kick = true
[derivatives]
of = ["sigma_x", "nemitt_y"]
with_respect_to = ["kbrqf", "bunch.intensity", "bunch.nemitt_y"]
"""
SVG = "{http://www.w3.org/2000/svg}"
# Paths have two decimals of a pixel, numbers of charts a few hundred pixels.
PIXEL = 0.02
WIDTHS = pytest.mark.parametrize("width", [1280, 390])
IN_BROWSER = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="needs Chromium: apt-get install chromium"
)


# What the page is asked in the browser, in JavaScript.
BROKEN_IMAGES = """
Promise.all([...document.querySelectorAll('image')].map(e => new Promise(done => {
  const image = new Image();
  image.onload = () => done(0);
  image.onerror = () => done(1);
  image.src = e.getAttribute('href');
}))).then(all => all.reduce((a, b) => a + b, 0))
"""
OUTSIDE = """
[...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll') && e.getClientRects().length)
  .filter(e => {
    const box = e.getBoundingClientRect();
    return box.right > innerWidth + 1 || box.left < -1;
  }).map(e => e.outerHTML.slice(0, 80))
"""
OVERLAPS = """
[...document.querySelectorAll('svg.along')].flatMap(svg => {
  const texts = [...svg.querySelectorAll('text')].filter(e => e.getClientRects().length);
  const boxes = texts.map(e => e.getBoundingClientRect());
  return boxes.flatMap((a, i) => boxes.slice(0, i)
    .map((b, j) => a.left < b.right - 1 && b.left < a.right - 1
      && a.top < b.bottom - 3 && b.top < a.bottom - 3
      ? texts[i].textContent + ' / ' + texts[j].textContent : null)
    .filter(found => found !== null));
})
"""
SMALL = """
[...document.querySelectorAll('svg.along text')].filter(
  e => e.getClientRects().length && e.getBoundingClientRect().height < 11).length
"""
CONTRAST = r"""
(() => {
  const light = colour => {
    const parts = colour.match(/[\d.]+/g).slice(0, 3).map(x => x / 255)
      .map(x => x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = e => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\)$|transparent/.test(colour)) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const texts = document.querySelectorAll('p, h1, h2, h3, td, th, a, li, span, small, code');
  return Math.min(...[...texts].filter(e => e.innerText && e.getClientRects().length).map(e => {
    const a = light(getComputedStyle(e).color), b = light(behind(e));
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }));
})()
"""


def prepare(folder, text):
    write_lattice(folder)
    (folder / "study.toml").write_text(text.replace("TITLE", TITLE))
    return run_study(load_study(folder / "study.toml"))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """A run with everything in it; the losses are made up, for the line has no aperture."""
    found = prepare(tmp_path_factory.mktemp("run"), STUDY)
    losses = (Loss("<b>collimator</b>", 4.0, 0, 7), Loss("septum", 8.0, 1, 2))
    return dataclasses.replace(found, losses=losses)


@pytest.fixture(scope="module")
def page(outcome, tmp_path_factory):
    """Its report, written with everything else."""
    folder = tmp_path_factory.mktemp("results")
    with results.output_folder(folder) as output:
        output.write(outcome)
    return folder / "report.html"


def bare(folder, text="", n_particles=1):
    """A run without kicks, derivatives and title."""
    study = (
        STUDY.split("[space_charge]")[0].replace("turns = 2", "").replace("600", str(n_particles))
    )
    return prepare(folder, re.sub("(title|memory_limit).*\n", "", study) + text)


# ---- looked at -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser():
    with Browser() as found:
        yield found


@IN_BROWSER
@WIDTHS
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_in_a_browser(browser, page, width, scheme):
    browser.open(page, width, scheme=scheme)
    assert browser.faults() == []
    assert browser.requests() == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.title") == TITLE
    heads = browser.evaluate("[...document.querySelectorAll('h1, h2')].map(e => e.innerText)")
    wanted = ["Along the line", "What moves what", "Phase space", "Moments", "Memory and time"]
    assert [head for head in heads if head in wanted] == wanted
    assert heads[0] == TITLE
    assert browser.evaluate("document.querySelectorAll('image').length") == 6
    assert browser.evaluate(BROKEN_IMAGES) == 0


@IN_BROWSER
@WIDTHS
def test_nothing_leaves_the_page_and_no_texts_of_a_chart_overlap(browser, page, width):
    browser.open(page, width)
    assert browser.evaluate(OUTSIDE) == []
    assert browser.evaluate(OVERLAPS) == []
    assert browser.evaluate(SMALL) == 0


@IN_BROWSER
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(browser, page, scheme):
    browser.open(page, 1280, scheme=scheme)
    assert browser.evaluate(CONTRAST) >= 4.5  # WCAG 2.1, AA


@IN_BROWSER
def test_a_bare_run_has_a_page_too(browser, tmp_path):
    outcome = bare(tmp_path)
    (tmp_path / "report.html").write_text(report_page(outcome, results.versions()))
    browser.open(tmp_path / "report.html", 390)
    assert browser.faults() == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= 390
    heads = browser.evaluate("[...document.querySelectorAll('h2')].map(e => e.innerText)")
    assert "What moves what" not in heads


# ---- what it says ----------------------------------------------------------------------------


def test_the_page_is_alone_and_text_of_users_is_text(page):
    text = page.read_text()
    assert "<script" not in text
    assert "<b>collimator" not in text
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:|//|file:)""", text)
    assert "default-src 'none'" in text


def drawings(page):
    """The wide and the narrow chart, as trees."""
    for text in re.findall(r'<svg class="along.*?</svg>', page.read_text(), re.DOTALL):
        yield ElementTree.fromstring(text.replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" ', 1))


def drawn(drawing, name):
    """Values and unit of a line, by the numbers beside its axes."""
    texts = [*drawing.iter(f"{SVG}text")]
    line = next(p for p in drawing.iter(f"{SVG}path") if p.get("data-moment") == name)
    points = np.array([pair.split() for pair in line.get("d")[1:].split("L")], dtype=float)
    below = [t for t in texts if t.get("class") == "tick" and t.get("data-tick")]
    below = [t for t in below if t.get("y") == below[-1].get("y")]
    x = np.array([[float(t.get("x")), float(t.get("data-tick"))] for t in below])
    heads = sorted(float(t.get("y")) for t in texts if t.get("class") == "head")
    top = max(y for y in heads if y < points[:, 1].min())
    bottom = min([y for y in heads if y > points[:, 1].max()], default=1e9)
    side = [t for t in texts if t.get("class") == "number" and top < float(t.get("y")) < bottom]
    y = np.array([[float(t.get("y")) - 4, float(t.get("data-tick"))] for t in side])
    values = [
        np.polyval(np.polyfit(a, b, 1), p) for (a, b), p in zip((x.T, y.T), points.T, strict=True)
    ]
    slope = np.ptp(y[:, 1]) / np.ptp(y[:, 0])
    return *values, slope, line.get("data-unit")


@pytest.mark.parametrize("name", ["sigma_x", "sigma_y", "nemitt_x_betatron"])
def test_envelopes_are_the_moments_along_s(outcome, page, name):
    for drawing in drawings(page):
        s, values, slope, unit = drawn(drawing, name)
        factor = {"m": 1.0, "mm": 1e3, "µm": 1e6}[unit]
        places = np.array(outcome.along_s["s"])
        assert np.abs(s - places).max() < 1e-3 * places.max()
        expected = np.array(outcome.along_s[name]) * factor
        assert np.abs(values - expected).max() < PIXEL * slope


def test_every_magnet_and_every_loss_is_drawn(outcome, page):
    for drawing in drawings(page):
        titles = [title.text for title in drawing.iter(f"{SVG}title")]
        for magnet in magnets(outcome.sequence):
            assert sum(title.startswith(f"{magnet.name}, ") for title in titles) >= 1
        assert titles.count("7 lost") == titles.count("2 lost") == 1


def test_magnets_are_drawn_by_what_they_do(outcome):
    kinds = {magnet.name: magnet.kind for magnet in magnets(outcome.sequence)}
    assert set(kinds.values()) == {
        *("bend", "focusing quadrupole", "defocusing quadrupole", "cavity"),
    }
    for name, kind in kinds.items():
        if "quadrupole" in kind:
            assert (outcome.sequence[name].k1.item() >= 0) == (kind == "focusing quadrupole")


def test_bars_are_relative_sensitivities_in_order(outcome, page):
    found = largest(outcome)
    for entry in found:
        (same,) = (
            d for d in outcome.derivatives if (d.of, d.input.name) == (entry.of, entry.input)
        )
        assert entry.relative == pytest.approx(
            same.value * same.input.value / outcome.final[entry.of]
        )
    sizes = [abs(entry.relative) for entry in found]
    assert sizes == sorted(sizes, reverse=True)
    widths = re.findall(r'class="(?:up|down)" style="width:([\d.]+)%', page.read_text())
    assert np.allclose(np.array(widths, dtype=float), [50 * s / sizes[0] for s in sizes], atol=0.01)


def test_memory_is_predicted_beside_measured(outcome, page):
    assert outcome.memory.predicted_peak is not None
    assert "peak of the process, predicted" in page.read_text()


def test_an_idle_quadrupole_is_neither_up_nor_down(outcome):
    name = next(m.name for m in magnets(outcome.sequence) if "focusing" in m.kind)
    strength = outcome.sequence[name].k1
    before = strength.item()
    try:
        knob = next(k for k in outcome.sequence.knobs.values() if k.item() in (before, -before))
        value = knob.item()
        with torch.no_grad():
            knob.fill_(0.0)
        assert "idle quadrupole" in {m.kind for m in magnets(outcome.sequence)}
    finally:
        with torch.no_grad():
            knob.fill_(value)


def test_a_run_that_loses_everything_has_a_page(outcome):
    lost = outcome.bunch.replace(alive=torch.zeros_like(outcome.bunch.alive))
    text = report_page(dataclasses.replace(outcome, bunch=lost), results.versions())
    assert "x and px of 0 living particles at the end" in text
    assert "x and px of 600 living particles at the start" in text


# ---- the other files -------------------------------------------------------------------------


def test_files_are_those_of_the_list(page):
    content = json.loads((page.parent / "results.json").read_text())
    assert {path.name for path in page.parent.iterdir()} == set(content["files"])
    assert {"bunch_screen_0001.h5", "bunch_screen_0002.npz", "moments_kicks.csv"} <= set(
        content["files"]
    )
    assert content["losses"][0] == {
        "name": "<b>collimator</b>",
        "s": 4.0,
        "turn": 0,
        "n_particles": 7,
    }
    assert content["monitors"]["kicks"]["sigma_x"]["unit"] == "m"
    assert content["seed"] == 0


def test_a_matched_bunch_starts_with_the_emittance_that_was_asked_for(outcome, page):
    """At a place with dispersion the emittance of (x, px) is larger, and shown as what it is."""
    asked, sampled = 2e-6, 3.0 / 600**0.5
    start = outcome.start
    assert start.nemitt_x_betatron.item() == pytest.approx(asked, rel=sampled)
    assert start.nemitt_x.item() > 1.02 * start.nemitt_x_betatron.item()
    first = outcome.along_s["nemitt_x_betatron"][0]
    assert first == pytest.approx(start.nemitt_x_betatron.item(), rel=1e-9)
    text = page.read_text(encoding="utf-8")
    tiles = text[text.index('class="tiles"') :].partition("</section>")[0]
    final = outcome.final["nemitt_x_betatron"], outcome.final["nemitt_x"]
    assert f"{final[0] * 1e6:.4g} µm" in tiles
    assert f"{final[1] * 1e6:.4g} µm with dispersion" in tiles


def test_moments_are_a_table_with_units(outcome, page):
    lines = (page.parent / "moments.csv").read_text().splitlines()
    names = [title.split(" ")[0] for title in lines[0].split(",")]
    assert lines[0].startswith("s [m],sigma_x [m],")
    table = np.loadtxt(lines[1:], delimiter=",")
    for name, column in zip(names, table.T, strict=True):
        assert column.tolist() == outcome.along_s[name]


def test_monitored_bunches_are_those_of_the_records(outcome, page):
    for number, bunch in enumerate(outcome.monitors["screen"], start=1):
        back = scb.read_bunch(page.parent / f"bunch_screen_{number:04d}.h5")
        assert torch.equal(back.coordinates, bunch.coordinates)


def test_a_later_run_leaves_no_file_of_an_earlier_one(outcome, tmp_path):
    without = dataclasses.replace(outcome, monitors={}, losses=())
    (tmp_path / "notes.csv").write_text("mine")
    for run in (outcome, without):
        with results.output_folder(tmp_path) as output:
            output.write(run)
    content = json.loads((tmp_path / "results.json").read_text())
    assert {path.name for path in tmp_path.iterdir()} == {*content["files"], "notes.csv"}


def test_a_list_of_files_that_is_a_trick_removes_nothing(outcome, tmp_path):
    (tmp_path / "bunch_x.h5").mkdir(parents=True)
    (tmp_path / "mine.txt").write_text("mine")
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "results.json").write_text('{"files": ["../mine.txt", "mine.txt", 3]}')
    with results.output_folder(folder) as output:
        output.write(outcome)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_without_kicks_moments_are_kept_behind_elements(tmp_path):
    outcome = bare(tmp_path, n_particles=50)
    assert len(outcome.along_s["s"]) > 5
    assert outcome.along_s["s"][-1] == pytest.approx(outcome.sequence.length)
    assert outcome.along_s["sigma_x"][-1] == pytest.approx(outcome.final["sigma_x"], rel=1e-12)
