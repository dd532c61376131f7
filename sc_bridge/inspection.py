"""Inspection: what a lattice file holds, what is built from it, and its linear optics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sc_bridge.elements import Reference
from sc_bridge.elements.space_charge import SpaceCharge

from .audit import Audit
from .errors import LatticeError, ScBridgeError
from .lattice import IMPLICIT_DRIFT, Lattice
from .sequence import KickedSequence
from .slicing import MaxSpacing
from .twiss import Twiss, periodic_twiss

_OPTICS = ("qx", "qy", "betx", "bety", "alfx", "alfy", "dx")


@dataclass(frozen=True)
class Inspection:
    """What `inspect_lattice` finds.

    `energy_in` and `energy_out` are the total energies of the reference, eV; `matrix` is the
    6x6 map around the axis, with RF, in the coordinates of `Bunch`; `twiss` is None where the
    line is not periodic, and `not_periodic` says why.
    """

    lattice: Lattice
    audit: Audit
    energy_in: float
    energy_out: float
    matrix: list[list[float]] | None = None
    twiss: Twiss | None = None
    not_periodic: str = ""

    @property
    def implicit_drifts(self) -> int:
        """Drifts that the file does not name: gaps between placed elements."""
        return self.lattice.source_counts.get(IMPLICIT_DRIFT, 0)

    @property
    def source_counts(self) -> dict[str, int]:
        """Elements along the line by what the file calls them, gaps not counted."""
        counts = dict(self.lattice.source_counts)
        counts.pop(IMPLICIT_DRIFT, None)
        return dict(sorted(counts.items()))

    @property
    def built_counts(self) -> dict[str, int]:
        """Elements along the line by class."""
        return {row.type: row.built for row in self.audit.rows}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        optics = {name: getattr(self.twiss, name, None) for name in _OPTICS}
        return {
            "format": self.lattice.format,
            "source": self.lattice.source,
            "sequence": self.lattice.name,
            "length": self.audit.length,
            "elements_source": self.source_counts,
            "implicit_drifts": self.implicit_drifts,
            "elements_built": self.built_counts,
            "left_out": [str(entry) for entry in self.lattice.left_out],
            "warnings": list(self.lattice.warnings),
            "angle": self.audit.angle,
            "energy_in": self.energy_in,
            "energy_out": self.energy_out,
            "n_kicks": self.audit.kicks,
            "kick_length": self.audit.kick_length,
            "matrix": self.matrix,
            **{name: _finite(value) for name, value in optics.items()},
        }


def inspect_lattice(
    lattice: Lattice,
    reference: Reference | None = None,
    spacing: Any = "1 m",
    bend_model: str | None = None,
    matrix: bool = False,
) -> Inspection:
    """Build a lattice, slice it, audit it, and compute its linear map if asked.

    Parameters
    ----------
    lattice : Lattice
    reference : Reference, optional
        That of the file by default.
    spacing : str, quantity or float, m, optional
        At most this between kicks, for the totals of kicks; None leaves every element whole.
    bend_model : str, optional
        Model of every bend; that of the file by default.
    matrix : bool
        Also the 6x6 map, and tunes and Twiss functions if it is periodic.

    Raises
    ------
    LatticeError
        If the lattice cannot be built or has no reference.
    AuditError
        If counts or lengths differ.
    """
    slicing = None if spacing is None else MaxSpacing(spacing)
    try:
        sequence = KickedSequence(
            lattice,
            slicing=slicing,
            # no kick is ever applied here
            space_charge=None if spacing is None else SpaceCharge(grid=(8, 8, 8)),
            bend_model=bend_model,
            reference=reference,
        )
    except ScBridgeError as error:
        if lattice.source in str(error):
            raise
        raise LatticeError(f"{lattice.source}: {error}") from None
    energies = (sequence.reference.energy0.item(), outgoing_reference(sequence).energy0.item())
    found = Inspection(lattice, sequence.audit(), *energies)
    return _with_optics(sequence, found) if matrix else found


def outgoing_reference(sequence: KickedSequence) -> Reference:
    """Return the reference behind the whole line."""
    reference = sequence.reference
    for name in sequence.lattice.element_names:
        reference = sequence[name].outgoing(reference)
    return reference


def _with_optics(sequence: KickedSequence, found: Inspection) -> Inspection:
    rows = sequence.transfer_matrix().detach().tolist()
    twiss, reason = None, ""
    try:
        if found.energy_out != found.energy_in:
            raise LatticeError("the energy of the reference changes")
        twiss = periodic_twiss(sequence)
    except LatticeError as error:
        reason = str(error)
    return Inspection(
        found.lattice, found.audit, found.energy_in, found.energy_out, rows, twiss, reason
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
