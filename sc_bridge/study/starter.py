"""Starter: a commented study for a lattice, with numbers with which it runs as it is."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sc_bridge.elements import Reference

from ..bucket import matched_sigma_delta
from ..errors import BunchError, LatticeError, StudyError
from ..lattice import Lattice
from ..sequence import KickedSequence
from ..slicing import length_of
from ..species import SPECIES
from ..twiss import Twiss, periodic_twiss
from .inputs import driving_knobs

# About so many kicks, as far as elements allow: a minute or less on a laptop.
_KICKS = 100
_MANY_KICKS = 600
_PURE_DIPOLE = ("k1", "k2", "k1s", "k2s", "knl", "ksl")


@dataclass(frozen=True)
class Source:
    """Where a lattice was read from, as the study will say it again."""

    files: tuple[Path, ...]
    format: str | None = None
    line: str | None = None
    range: str | None = None
    allow: tuple[str, ...] = ()
    allow_paths: tuple[Path, ...] = ()


def starter_study(
    lattice: Lattice, source: Source, folder: Path, reference: Reference | None
) -> str:
    """Return the text of a study of a lattice.

    Parameters
    ----------
    lattice : Lattice
    source : Source
    folder : Path
        Of the study: its paths are relative to it.
    reference : Reference, optional
        Needed where the lattice states none.

    Raises
    ------
    StudyError
        If the lattice has no reference, or no length.
    LatticeError
        If it cannot be built.
    """
    if reference is None and lattice.reference is None:
        raise StudyError(
            f"{lattice.source}: states no reference particle: give --reference, such as "
            '"proton, kinetic_energy = 160 MeV"'
        )
    exact = _has_pure_dipoles(lattice)
    sequence = KickedSequence(lattice, bend_model="exact" if exact else None, reference=reference)
    if not sequence.length > 0:
        raise StudyError(f"{lattice.source}: has no length: there is nothing to put kicks into")
    sections = [
        _heading(source),
        _lattice_section(source, folder, exact),
        _reference_section(sequence.reference, reference is None),
        *_kicks_and_bunch(sequence),
        _derivatives_section(sequence),
        _OTHERS,
    ]
    return "\n".join(section.rstrip() + "\n" for section in sections)


def _heading(source: Source) -> str:
    name = (
        source.files[0].name if source.line is None else f"{source.line} of {source.files[0].name}"
    )
    return f"""\
# A study for sc-bridge: every key is in docs/study.md, and `sc-bridge schema` prints them.
# Quantities are text with a unit. Change what you like and run `sc-bridge run` on this file.
title = {_text(name)}
# memory_limit = "8 GiB"      # refused before it runs if it cannot fit
# adjoint = "plan"            # or StoreStates, Checkpoint, Reversible, RecordAll
# dtype = "float32"
# turns = 10
"""


def _lattice_section(source: Source, folder: Path, exact: bool) -> str:
    files = [_text(os.path.relpath(path, folder)) for path in source.files]
    file = files[0] if len(files) == 1 else "[" + ", ".join(files) + "]"
    lines = ["[lattice]", f"file = {file}"]
    for key in ("format", "line", "range"):
        value = getattr(source, key)
        if value is not None:
            lines.append(f"{key} = {_text(value)}")
    if source.allow:
        lines.append(f"allow = [{', '.join(map(_text, source.allow))}]")
    if source.allow_paths:
        paths = (_text(os.path.relpath(path, folder)) for path in source.allow_paths)
        lines.append(f"allow_paths = [{', '.join(paths)}]")
    if exact:
        lines.append('bend_model = "exact"  # closed form; the default integrates every bend')
    return "\n".join(lines)


def _reference_section(reference: Reference, in_file: bool) -> str:
    mass, charge = reference.mass0.item(), reference.q0.item()
    name = next(
        (
            name
            for name, species in SPECIES.items()
            if charge == species.q0 and math.isclose(mass, species.mass0, rel_tol=1e-6)
        ),
        None,
    )
    particle = (
        [f'species = "{name}"'] if name else [f'mass = "{mass!r} eV"', f'charge = "{charge!r} e"']
    )
    lines = ["[reference]", *particle, f'momentum = "{reference.p0c.item() / 1e6!r} MeV/c"']
    if in_file:
        lines = ["# the file's own; uncomment to change it", *(f"# {line}" for line in lines)]
    return "\n".join(lines)


def _kicks_and_bunch(sequence: KickedSequence) -> list[str]:
    spacing = _round(sequence.length / _KICKS)
    lengths = (length_of(sequence[name]) for name in sequence.lattice.element_names)
    kicks = sum(max(1, math.ceil(length / spacing - 1e-9)) for length in lengths if length > 0)
    many = kicks > _MANY_KICKS
    grid, number = (16, 1_000) if many else (32, 10_000)
    kick = f"""\
[space_charge]
grid = [{grid}, {grid}, {grid}]     # nodes in x, y and z
# shape = "tsc"           # smoother forces
# splitting = "yoshida"   # fourth order

[slicing]
max_spacing = "{spacing:g} m"   # {kicks} kicks
# per_element = {{ Quadrupole = 4 }}
"""
    return [_bunch_section(sequence, number), kick]


def _bunch_section(sequence: KickedSequence, n_particles: int) -> str:
    try:
        twiss = periodic_twiss(sequence)
    except LatticeError:
        twiss = None
    lines = [
        "[bunch]",
        'distribution = "gaussian"   # or waterbag, kv, kurth, uniform_ellipsoid, semi_gaussian',
        f"n_particles = {n_particles:_}",
        f"intensity = {1e10 if twiss else 1e9:g}   # real particles",
        'nemitt_x = "1 um"           # normalised rms emittances',
        'nemitt_y = "1 um"',
        *_length_and_spread(sequence, twiss),
        "seed = 1",
    ]
    if twiss is None:
        lines += [
            "",
            "[bunch.twiss]   # the line has no periodic optics: give those at its start",
            'betx = "10 m"',
            'bety = "10 m"',
        ]
    return "\n".join(lines)


def _length_and_spread(sequence: KickedSequence, twiss: Twiss | None) -> list[str]:
    """Rms length, and momentum spread unless the bucket gives it."""
    if twiss is None:
        return ['sigma_z = "1 mm"', "sigma_delta = 1e-3"]
    length = sequence.length / 20.0
    for _ in range(20):
        try:
            matched_sigma_delta(sequence, twiss, length)
        except LatticeError:
            break
        except BunchError:
            length /= 2.0
            continue
        return [f'sigma_z = "{_round(length / 2.0):g} m"   # the bucket gives sigma_delta']
    return [f'sigma_z = "{_round(sequence.length / 20.0):g} m"', "sigma_delta = 1e-3"]


def _derivatives_section(sequence: KickedSequence) -> str:
    names = ", ".join(_text(name) for name in (*_inputs(sequence), "bunch.intensity"))
    return f"""\
[derivatives]   # all from one backward pass
of = ["sigma_x", "sigma_y", "nemitt_x", "nemitt_y"]   # or expressions: "log(nemitt_x)"
with_respect_to = [{names}]   # wildcards too: "k*", "qf*.k1", "m*.knl[2]"
"""


def _inputs(sequence: KickedSequence) -> Sequence[str]:
    """Two knobs of quadrupoles, or strengths of quadrupoles, thin ones too, or any two knobs."""
    gradients = driving_knobs(sequence, "k1")
    powered = [name for name in gradients if sequence.knobs.value(name) != 0.0]
    if gradients:  # those that are off move little
        return [*powered, *(name for name in gradients if name not in powered)][:2]
    found = []
    for name in dict.fromkeys(sequence.lattice.element_names):
        own = dict(sequence[name].named_parameters(recurse=False))
        kind = sequence.lattice.elements[name].kind
        if kind == "Quadrupole" and "k1" in own:
            found.append(f"{name}.k1")
        elif kind == "Multipole" and not sequence[name].drivers and own["knl"][1:2].any():
            found.append(f"{name}.knl[1]")
    return found[:2] or driving_knobs(sequence)[:2]


def _has_pure_dipoles(lattice: Lattice) -> bool:
    """Whether there are bends, and the closed form is theirs."""
    bends = [record for record in lattice.records if record.kind == "Bend"]
    driven = {name for name, field, _ in lattice.field_expressions if field in _PURE_DIPOLE}
    return bool(bends) and not any(
        record.name in driven or any(_is_set(record.fields.get(key)) for key in _PURE_DIPOLE)
        for record in bends
    )


def _is_set(value: object) -> bool:
    return any(value) if isinstance(value, list) else bool(value)


def _round(value: float) -> float:
    """Round to one of 1, 2, 5 times a power of ten, downwards."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(part for part in (5, 2, 1) if part * power <= value * (1 + 1e-9)) * power


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


_OTHERS = """\
# [monitors.middle]
# at = "1 m"              # or the name of an element, or a list
# kind = "bunch"          # or moments

# [optimise]              # sc-bridge optimise
# minimise = "sigma_x*sigma_y"
# vary = { knob = [0.6, 0.8] }

# [output]
# folder = "results"
"""
