"""Damaged input of every kind: an error of ours or a result, soon and in little memory.

`SC_BRIDGE_FUZZ=20000 make test-slow PYTEST_ARGS=tests/bridge/test_fuzz.py` looks deeper.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
import torch
from damage import NUMBERS, PIECES, damage, damage_bytes, damaged
from fuzz_cases import FUZZED, Deck, decks
from fuzz_pieces import pieces
from fuzz_studies import BUNCH_TEXTS, STUDY
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sc_bridge.bunch_files import read_bunch, write_bunch
from sc_bridge.elements import Bunch, Reference
from sc_bridge.errors import ScBridgeError
from sc_bridge.expressions import Dialect, Expression, InfixParser, Variable
from sc_bridge.expressions.rpn import RpnParser
from sc_bridge.inspection import inspect_lattice
from sc_bridge.lattice import Lattice
from sc_bridge.readers import read_lattice
from sc_bridge.readers.xsuite_expressions import parse_expression, parse_target
from sc_bridge.study import load_study
from sc_bridge.study.objectives import parse_objective
from sc_bridge.units import parse_quantity

SECONDS = 5.0  # of the processor, for one file
BUILT_SECONDS = 60.0  # for building what a damaged file describes, bends of many kicks among it
MEBIBYTES = 1024.0
OFTEN = int(os.environ.get("SC_BRIDGE_FUZZ", "2000"))
PROTON = Reference(938272089.43, 1.0, 1e9)

SHORT = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
WORDS = settings(SHORT, max_examples=200)


class Hang(BaseException):
    """Raised by the alarm; no reader may swallow it."""


@contextlib.contextmanager
def bounded(seconds: float = SECONDS) -> Iterator[None]:
    """Allow seconds of the processor, and 1 GiB more than there was."""

    def ring(number: int, frame: object) -> None:
        raise Hang(f"more than {seconds} s")

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    held = peak_memory()
    try:
        with contextlib.suppress(ScBridgeError):
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)
    assert peak_memory() - held < MEBIBYTES


def peak_memory() -> float:
    """Most memory that the process has had resident, MiB."""
    status = Path("/proc/self/status")
    if not status.exists():  # no Linux
        return 0.0
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
    return float(line.split()[1]) / 1024.0


def read_damaged(folder: Path, format: str, deck: Deck, random: Random) -> Lattice | None:
    """Write a deck with one of its files damaged, and read it."""
    for name, text in deck.files.items():
        (folder / name).write_text(text)
    name = random.choice(list(deck.files))
    (folder / name).write_bytes(damage(random, deck.files[name], pieces(format)))
    told = random.choice((format, format, None))
    found: list[Lattice] = []
    with bounded():
        found.append(
            read_lattice(folder / next(iter(deck.files)), told, deck.sequence, allow=deck.allow)
        )
        assert math.isfinite(found[0].length)
    return found[0] if found else None


@pytest.mark.parametrize("format", FUZZED)
def test_every_deck_is_read_as_long_as_it_is_whole(tmp_path, format):
    for deck in decks(format):
        for name, text in deck.files.items():
            (tmp_path / name).write_text(text)
        first = tmp_path / next(iter(deck.files))
        assert read_lattice(first, format, deck.sequence, allow=deck.allow).element_names


@pytest.mark.parametrize("format", FUZZED)
@SHORT
@given(random=st.randoms(use_true_random=False))
def test_a_damaged_file_is_a_lattice_or_an_error_of_ours(tmp_path, format, random):
    read_damaged(tmp_path, format, random.choice(decks(format)), random)


@pytest.mark.slow
@pytest.mark.parametrize("format", FUZZED)
def test_what_a_damaged_file_describes_is_built_or_refused(tmp_path, format):
    for seed in range(OFTEN):
        random = Random(seed)
        lattice = read_damaged(tmp_path, format, random.choice(decks(format)), random)
        if lattice is not None and seed % 10 == 0:
            with bounded(BUILT_SECONDS):
                inspect_lattice(lattice, None if lattice.reference else PROTON)


# ---- studies -----------------------------------------------------------------------------


@WORDS
@given(
    content=damaged([STUDY], (*PIECES, '"""', "[[", "]]", "[bunch]", "2026-01-01", "1_0", "0b1"))
)
def test_a_damaged_study_is_a_study_or_an_error_of_ours(tmp_path, content):
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with bounded():
        load_study(path)


# ---- units and expressions ---------------------------------------------------------------

UNITS = ("m", "eV", "eV/c", "eV/c^2", "e", "rad", "deg", "V", "Hz", "s", "B", "")
QUANTITIES = [
    "160 MeV", "1.4 GeV/c", "2 mm mrad", "30 deg", "1e-3", "1 / s", "2 um^2", "50 %",
    "1 m**9", "8 GiB",
    "938.27 MeV/c^2", "1 kg m^2 / s^2", "2 π mm mrad", "1 °", "3 degC", "1 dBm", "1 delta_degC",
]  # fmt: skip


@WORDS
@given(
    text=damaged(QUANTITIES, (*PIECES, *NUMBERS, *UNITS, " ", "^99", "**-1")),
    unit=st.sampled_from(UNITS),
)
def test_damaged_quantities_are_numbers_or_errors_of_ours(text, unit):
    with bounded():
        assert math.isfinite(parse_quantity(text.decode(errors="replace"), unit, "key"))


DIALECTS = [
    Dialect("MAD-X", left_associative=True, zero_division=True, references=r"\w+\s*->\s*\w+"),
    Dialect("Bmad", references=r"[A-Za-z_]\w*\[[^\[\]]*\]"),
]
INFIX = ["-a^2/3 + sqrt(b*2)", "2**-3**a", "max(a, 1)/0", "sin(cos(a)) - 1.5d-3", "a->b * q[k1]"]
RPN = ["36 pi * 180 /", "a 2 pow sqrt", "1 = * swap pop", "a sqr b hypot max2", "2 beta.p cle 1"]
XSUITE = [
    "((-2.0 * vars['a']) ** f.sin(vars['b']))", "element_refs['q'].knl[2]", "vars['a'] // 2 % 3",
    "f.max(1, abs(vars['a']))",
]  # fmt: skip


def evaluated(tree: Expression) -> None:
    tree.evaluate(dict.fromkeys(tree.variables(), 0.3))
    str(tree)


@WORDS
@given(text=damaged(INFIX, (*PIECES, *NUMBERS)), dialect=st.sampled_from(DIALECTS))
def test_damaged_infix_text_is_a_tree_or_an_error_of_ours(text, dialect):
    with bounded():
        parser = InfixParser(dialect, Variable, Variable)
        evaluated(parser.parse(text.decode(errors="replace"), "f:1"))


@WORDS
@given(text=damaged(RPN, (*PIECES, *NUMBERS, " ", " = *" * 70, " sto a", " hypot" * 60)))
def test_damaged_rpn_text_is_a_tree_or_an_error_of_ours(text):
    with bounded():
        parser = RpnParser(lambda name: Variable(name) if name in "ab" else None)
        evaluated(parser.parse(text.decode(errors="replace"), "f:1"))


@WORDS
@given(text=damaged(XSUITE, (*PIECES, *NUMBERS, "vars['a']", "lambda: 0", ":=", "[x for x in y]")))
def test_damaged_expressions_of_xsuite_are_trees_or_errors_of_ours(text):
    with bounded():
        parse_target(text.decode(errors="replace"), "f")
    with bounded():
        evaluated(parse_expression(text.decode(errors="replace"), "f", str))


OBJECTIVES = ["log(nemitt_x) + 2", "screen[0].sigma_y / sigma_y", "sqrt(sigma_x**2 + mean_x**2)"]


@WORDS
@given(
    text=damaged(OBJECTIVES, (*PIECES, *NUMBERS, "screen.", "[1]", "n_lost", "sigma_x", "**0.3"))
)
def test_damaged_objectives_are_read_or_errors_of_ours(text):
    with bounded():
        parse_objective(text.decode(errors="replace"), "key")


# ---- bunches -----------------------------------------------------------------------------


def whole_bunch() -> Bunch:
    generator = torch.Generator().manual_seed(1)
    coordinates = 1e-3 * torch.randn(6, 10, generator=generator, dtype=torch.float64)
    return Bunch(coordinates, PROTON, torch.full((10,), 1e6, dtype=torch.float64))


def read_damaged_bunch(path: Path) -> None:
    with bounded():
        bunch = read_bunch(path)
        assert bunch.coordinates[:, bunch.alive].isfinite().all()
        assert bunch.weight[bunch.alive].isfinite().all()


@pytest.mark.parametrize("name", BUNCH_TEXTS)
@WORDS
@given(random=st.randoms(use_true_random=False))
def test_a_damaged_bunch_in_text_is_a_bunch_or_an_error_of_ours(tmp_path, name, random):
    path = tmp_path / name
    path.write_bytes(damage(random, BUNCH_TEXTS[name], PIECES))
    read_damaged_bunch(path)


@pytest.mark.parametrize("name", ["bunch.npz", "bunch.h5"])
@WORDS
@given(random=st.randoms(use_true_random=False))
def test_a_damaged_binary_bunch_is_a_bunch_or_an_error_of_ours(tmp_path, name, random):
    whole = tmp_path / f"whole-{name}"
    if not whole.exists():
        write_bunch(whole, whole_bunch())
    (tmp_path / name).write_bytes(damage_bytes(random, whole.read_bytes()))
    read_damaged_bunch(tmp_path / name)
