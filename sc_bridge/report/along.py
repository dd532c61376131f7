"""The lattice and the beam along it, one above the other, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape

from ..moments import MOMENTS
from ..pictures.synoptic import SHAPES, Magnet, kick_places, magnets
from ..study import Outcome
from .scales import Scale, limits, path, suited_unit, tick_texts, ticks

# Where more magnets are drawn, each is a part of one path and has no name to point at.
_MOST_NAMED = 600
# Lengths and momentum spreads that change by less than this part are in the table only.
_STANDS_STILL = 2e-3


class Series(NamedTuple):
    """One line: the moment, its name in the legend, and its class of colour."""

    moment: str
    label: str
    colour: str


class Panel(NamedTuple):
    """One chart."""

    title: str
    series: tuple[Series, ...]
    from_zero: bool = False


PANELS = (
    Panel(
        "rms size", (Series("sigma_x", "σx", "s1"), Series("sigma_y", "σy", "s2")), from_zero=True
    ),
    Panel(
        "norm. betatron emittance",
        (Series("nemitt_x_betatron", "εx", "s1"), Series("nemitt_y_betatron", "εy", "s2")),
    ),
    Panel("rms length", (Series("sigma_zeta", "σζ", "s3"),)),
    Panel("rms momentum spread", (Series("sigma_delta", "σδ", "s3"),)),
)
CENTRE = Panel("mean position", (Series("mean_x", "x", "s1"), Series("mean_y", "y", "s2")))


@dataclass(frozen=True)
class Layout:
    """Sizes of one variant, in units of its view box."""

    name: str
    width: float
    height: float  # of a chart
    left: float
    right: float
    ticks: int


LAYOUTS = (Layout("wide", 1040, 170, 62, 16, 10), Layout("narrow", 350, 150, 46, 12, 4))
_STRIP, _GAP, _BELOW = 74.0, 38.0, 40.0


def drawings(outcome: Outcome) -> list[Markup]:
    """Return the charts of a run, once for wide and once for narrow screens."""
    return [_drawing(outcome, layout) for layout in LAYOUTS]


def panels_of(outcome: Outcome) -> list[Panel]:
    """Return the charts that say something about a run."""
    trace = outcome.along_s
    always = [
        panel
        for panel in PANELS
        if len(panel.series) > 1 and any(any(trace[series.moment]) for series in panel.series)
    ]
    shown = always + [
        panel for panel in PANELS if panel not in always and _moves(trace[panel.series[0].moment])
    ]
    off = max(map(abs, (*trace["mean_x"], *trace["mean_y"])))
    if off > 0.05 * max(*trace["sigma_x"], *trace["sigma_y"]):
        shown.append(CENTRE)
    return shown


def _moves(values: Sequence[float]) -> bool:
    """Whether a picture says more than one number."""
    return max(values) - min(values) > _STANDS_STILL * max(map(abs, values))


def _drawing(outcome: Outcome, layout: Layout) -> Markup:
    turns = outcome.study.model.turns
    length = max(outcome.sequence.length, 1e-9)
    s_end = max(outcome.along_s["s"][-1], 1e-9)
    across = Scale(0.0, s_end, layout.left, layout.width - layout.right)
    parts: list[str] = []
    own = across if turns == 1 else Scale(0.0, length, across.start, across.end)
    y = 6.0
    parts += _strip(outcome, own, y)
    y += _STRIP
    if turns > 1:
        parts += _s_axis(own, y, layout, "s in one turn [m]")
        y += _BELOW
    for panel in panels_of(outcome):
        parts += _chart(outcome, panel, across, y + _GAP, layout)
        y += _GAP + layout.height
    if outcome.losses:
        parts += _losses(outcome, across, length, y + _GAP, layout)
        y += _GAP + layout.height
    parts += _s_axis(across, y, layout, "s [m]" if turns == 1 else f"s over {turns} turns [m]")
    title = (
        f"Lattice of {outcome.sequence.length:.6g} m with magnets and kicks; under it "
        + ", ".join(panel.title for panel in panels_of(outcome))
        + (", macroparticles lost" if outcome.losses else "")
        + " along s"
    )
    return Markup(
        f'<svg class="along {layout.name}" viewBox="0 0 {layout.width:g} {y + _BELOW:g}" '
        f'role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


# ---- the lattice ---------------------------------------------------------------------------


def _strip(outcome: Outcome, across: Scale, top: float) -> Iterator[str]:
    """Magnets on their axis and kicks as ticks under them."""
    up = Scale(1.1, -1.1, top, top + _STRIP - 16)
    yield (
        f'<line class="axis" x1="{across.start:g}" x2="{across.end:g}" '
        f'y1="{up(0):.1f}" y2="{up(0):.1f}"/>'
    )
    found = list(magnets(outcome.sequence))
    if len(found) <= _MOST_NAMED:
        yield from (_named(magnet, across, up) for magnet in found)
    else:
        yield from _outlines(found, across, up)
    kicks = sorted({round(across(place), 1) for place in kick_places(outcome.sequence)})
    if kicks:
        ticks_below = "".join(f"M{x:g} {top + _STRIP - 12:g}v8" for x in kicks)
        number = outcome.sequence.n_kicks
        yield f'<path class="kick" d="{ticks_below}"><title>{number} kicks a turn</title></path>'


def _box(magnet: Magnet, across: Scale, up: Scale) -> tuple[float, float, float, float]:
    bottom, height = SHAPES[magnet.kind]
    left, right = across(magnet.s_start), across(magnet.s_end)
    width = max(right - left, 0.8)
    return left, up(bottom + height), width, up(bottom) - up(bottom + height)


def _named(magnet: Magnet, across: Scale, up: Scale) -> str:
    x, y, width, height = _box(magnet, across, up)
    text = f"{magnet.name}, {magnet.kind}, s = {magnet.s_start:.4f} to {magnet.s_end:.4f} m"
    return (
        f'<rect class="{magnet.kind.replace(" ", "-")}" x="{x:.2f}" y="{y:.2f}" '
        f'width="{width:.2f}" height="{height:.2f}"><title>{escape(text)}</title></rect>'
    )


def _outlines(found: Sequence[Magnet], across: Scale, up: Scale) -> Iterator[str]:
    """One path for each kind; magnets that fall on the same half pixel are drawn once."""
    for kind in SHAPES:
        boxes = {
            (round(2 * x) / 2, y, max(round(2 * width) / 2, 0.5), height)
            for magnet in found
            if magnet.kind == kind
            for x, y, width, height in (_box(magnet, across, up),)
        }
        outline = "".join(f"M{x:g} {y:.1f}h{w:g}v{h:.1f}h-{w:g}z" for x, y, w, h in sorted(boxes))
        if outline:
            number = sum(magnet.kind == kind for magnet in found)
            name = kind.replace(" ", "-")
            yield f'<path class="{name}" d="{outline}"><title>{number} {kind}</title></path>'


# ---- charts --------------------------------------------------------------------------------


def _chart(
    outcome: Outcome, panel: Panel, across: Scale, top: float, layout: Layout
) -> Iterator[str]:
    values = [value for series in panel.series for value in outcome.along_s[series.moment]]
    factor, unit = suited_unit(values, MOMENTS[panel.series[0].moment])
    low, high = limits([value * factor for value in values], panel.from_zero)
    up = Scale(low, high, top + layout.height, top)
    title = panel.title if unit == "1" else f"{panel.title} [{unit}]"
    yield from _frame(title, across, up, top, layout)
    x = layout.width - layout.right
    for series in reversed(panel.series):
        width = 9.0 * len(series.label) + 24.0
        x -= width
        yield f'<path class="line {series.colour}" d="M{x:g} {top - 12:g}h16"/>'
        yield f'<text class="legend" x="{x + 20:g}" y="{top - 8:g}">{series.label}</text>'
    for series in panel.series:
        scaled = [value * factor for value in outcome.along_s[series.moment]]
        line = path(across, up, outcome.along_s["s"], scaled)
        yield (
            f'<path class="line {series.colour}" data-moment="{series.moment}" '
            f'data-unit="{unit}" d="{line}"/>'
        )


def _losses(
    outcome: Outcome, across: Scale, length: float, top: float, layout: Layout
) -> Iterator[str]:
    """Bars of how many macroparticles every aperture stopped."""
    most = max(loss.n_particles for loss in outcome.losses)
    up = Scale(0.0, 1.05 * most, top + layout.height, top)
    yield from _frame("macroparticles lost", across, up, top, layout, whole=True)
    stopped: dict[float, int] = {}
    for loss in outcome.losses:
        place = round(across(loss.turn * length + loss.s), 1)
        stopped[place] = stopped.get(place, 0) + loss.n_particles
    for x, number in stopped.items():
        height = min(up(0) - up(number), layout.height)
        yield (
            f'<rect class="loss" x="{x - 1.5:.1f}" y="{up(0) - height:.1f}" width="3" '
            f'height="{height:.1f}"><title>{number} lost</title></rect>'
        )


def _frame(
    title: str, across: Scale, up: Scale, top: float, layout: Layout, whole: bool = False
) -> Iterator[str]:
    """Title, lines across at round values, and their numbers."""
    yield f'<text class="head" x="0" y="{top - 8:g}">{escape(title)}</text>'
    places = ticks(up.low, up.high, 5)
    if whole:
        places = [place for place in places if math.isclose(place, round(place))]
    for place, text in zip(places, tick_texts(places), strict=True):
        y = up(place)
        yield (
            f'<line class="grid" x1="{across.start:g}" x2="{across.end:g}" '
            f'y1="{y:.2f}" y2="{y:.2f}"/>'
            f'<text class="number" data-tick="{place!r}" x="{across.start - 7:g}" '
            f'y="{y + 4:.2f}">{text}</text>'
        )
    y = top + layout.height
    yield f'<line class="axis" x1="{across.start:g}" x2="{across.end:g}" y1="{y:g}" y2="{y:g}"/>'


def _s_axis(across: Scale, top: float, layout: Layout, label: str) -> Iterator[str]:
    places = ticks(across.low, across.high, layout.ticks)
    for place, text in zip(places, tick_texts(places), strict=True):
        x = across(place)
        yield f'<path class="axis" d="M{x:.2f} {top:g}v5"/>'
        yield (
            f'<text class="tick" data-tick="{place!r}" x="{x:.2f}" y="{top + 18:g}" '
            f'text-anchor="middle">{text}</text>'
        )
    middle = (across.start + across.end) / 2
    yield f'<text class="tick" x="{middle:g}" y="{top + 34:g}" text-anchor="middle">{label}</text>'
