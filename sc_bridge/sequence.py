"""KickedSequence: a lattice built, sliced and interleaved with space-charge kicks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sc_bridge.elements import Bunch, Cavity, Element, Reference
from sc_bridge.elements.base import Transport
from sc_bridge.elements.parts import Part
from sc_bridge.elements.passing import transfer_matrix
from sc_bridge.elements.rows import row_transport
from sc_bridge.elements.space_charge import (
    Field,
    SpaceCharge,
    SpaceChargeKick,
    cell_sizes,
    space_charge_field,
    space_charge_kick,
)

from .audit import Audit, audit_sequence
from .build import build_elements
from .counts import whole_number
from .errors import LatticeError, SpaceChargeError
from .knobs import Knobs
from .lattice import Lattice
from .slicing import AnySlicing, Slicing, is_slicing, settle
from .species import checked_reference
from .splitting import Splitting, Strang
from .stages import Item, Kick, Losses, Passage, Stage, build_stages
from .steps import Step, build_steps, moved
from .threads import OneAtATime

CellSizes = Any  # what `cell_sizes` returns; opaque here


class KickedSequence(nn.Module):
    """A lattice as torch modules, sliced, with a space-charge kick in every slice.

    An element that occurs many times, and all slices of it, share one set of parameters.
    `state_dict` keys are by index, since lattice names repeat and contain dots.

    Parameters
    ----------
    lattice : Lattice
    slicing : Slicing or LineSlicing, optional
        Where kicks go; needed with `space_charge`.
    space_charge : SpaceCharge, optional
        None leaves the elements whole and puts no kick.
    splitting : Splitting
        How kicks and maps alternate in a slice: `Strang()` (default) or `Yoshida()`.
    bend_model : {"exact", "rot-kick-rot"}, optional
        Overrides the model of every bend; the file's own by default.
    reference : Reference, optional
        Overrides the lattice's.

    Raises
    ------
    LatticeError
        If the lattice cannot be built, has no reference, or slicing and space charge do not
        come together.
    """

    def __init__(
        self,
        lattice: Lattice,
        slicing: AnySlicing | None = None,
        space_charge: SpaceCharge | None = None,
        bend_model: str | None = None,
        reference: Reference | None = None,
        splitting: Splitting | None = None,
    ) -> None:
        super().__init__()
        self.one_at_a_time = OneAtATime()  # backward passes exchange its parameters
        if not isinstance(lattice, Lattice):
            raise LatticeError(
                f"sequence: lattice = {lattice!r}: must be a Lattice; read one with read_lattice"
            )
        if slicing is not None and not is_slicing(slicing):
            raise LatticeError(
                f'sequence: slicing = {slicing!r}: must be a rule, such as MaxSpacing("1 m")'
            )
        if space_charge is not None and not isinstance(space_charge, SpaceCharge):
            raise LatticeError(
                f"sequence: space_charge = {space_charge!r}: must be settings, such as "
                "SpaceCharge(grid=(32, 32, 32))"
            )
        if (slicing is None) != (space_charge is None):
            missing = "slicing" if slicing is None else "space_charge"
            raise LatticeError(
                f"sequence: {missing} is missing: kicks need both, e.g. "
                'slicing=MaxSpacing("1 m"), space_charge=SpaceCharge(grid=(32, 32, 32))'
            )
        self.lattice = lattice
        self.slicing: Slicing | None = None
        self.space_charge = space_charge
        self.splitting = splitting or Strang()
        self.reference = checked_reference(reference) or _reference_of(lattice)
        self.bend_model = bend_model
        self.knobs = Knobs(lattice)
        self._by_name = build_elements(lattice, self.knobs, bend_model)
        # slices own no field: their parents are among the elements
        self.elements = nn.ModuleList(self.wholes.values())
        self._adopt_kicks()
        self.steps = tuple(self._build_steps())
        if slicing is not None:
            self.slicing = settle(slicing, self)  # a rule may look at the line without kicks
            self.steps = tuple(self._build_steps())
        self.stages = tuple(build_stages(self.items()))
        self._cell_sizes: list[CellSizes] | None = None

    # ---- live lines ----------------------------------------------------------------------

    @classmethod
    def from_line(
        cls, line: Any, slicing: AnySlicing | None = None, name: str | None = None, **options: Any
    ) -> KickedSequence:
        """Build from a live `xt.Line` or `xt.Environment`; its variables become knobs.

        Parameters
        ----------
        line : xtrack.Line, xtrack.Environment, or an object with element_names and element_dict
        slicing : Slicing or LineSlicing, optional
        name : str, optional
            Which line of an Environment that has several.
        **options
            Other arguments of the class: space_charge, bend_model, reference, splitting.

        Raises
        ------
        LatticeError
            If it is not one definite line, has no reference, or something in it is not
            supported.
        """
        from .xsuite.live import sequence_from

        return sequence_from(cls, line, name, slicing=slicing, **options)

    def pull(self, line: Any, name: str | None = None) -> None:
        """Take the present values of a line's variables and fields, which was read before.

        Parameters and their graph of use stay the same objects; fields that were cut free stay.

        Raises
        ------
        LatticeError
            If the line has changed in more than values: then it is to be read anew.
        """
        from .xsuite.live import pull

        pull(self, line, name)

    # ---- what it is made of ------------------------------------------------------------

    def __getitem__(self, name: str) -> Element:
        """Return the element of that name; setting its fields changes all its occurrences."""
        try:
            return self._by_name[name]
        except KeyError:
            raise LatticeError(
                f"sequence: no element {name!r} in {self.lattice.source}; it has "
                f"{', '.join(list(self._by_name)[:8])}{', ...' if len(self._by_name) > 8 else ''}"
            ) from None

    @property
    def wholes(self) -> dict[str, Element]:
        """Elements by name, parents of slices among them; not the slices."""
        return {n: e for n, e in self._by_name.items() if not isinstance(e, Part)}

    def free(self, field: str) -> None:
        """Cut the tie of a field, written "element.field", to its knobs."""
        name, _, attribute = field.rpartition(".")
        self[name].free(attribute)

    @property
    def length(self) -> float:
        """Length of the line, m."""
        return self.steps[-1].s_end if self.steps else 0.0

    @property
    def n_kicks(self) -> int:
        return sum(step.kind == "kick" for step in self.steps)

    @property
    def n_gates(self) -> int:
        """Apertures that a bunch passes in one turn."""
        return self.stages[-1].first_gate + self.stages[-1].n_gates

    @property
    def kick_lengths(self) -> Tensor:
        """Length whose effect each kick carries, (n_kicks,), m."""
        lengths = [step.part.length for step in self.steps if step.kind == "kick"]
        return torch.stack(lengths) if lengths else torch.zeros(0, dtype=torch.float64)

    def audit(self) -> Audit:
        """Compare file, built elements and sliced sequence; any difference is an `AuditError`."""
        return audit_sequence(self)

    def transfer_matrix(self, orbit: Tensor | None = None) -> Tensor:
        """First-order map of the line without kicks, (..., 6, 6), around `orbit` or the axis."""
        return transfer_matrix(self.transport(), self.reference, orbit)

    def transport(self, coasting: bool = False) -> Transport:
        """Return the map of all whole elements, without kicks; `coasting` freezes the RF."""
        every = (self._by_name[name] for name in self.lattice.element_names)
        parts = [part for part in every if not isinstance(part, SpaceChargeKick)]
        return row_transport(parts, self.reference, coasting)

    # ---- grids ---------------------------------------------------------------------------

    def freeze_grids(self, bunch: Bunch, turns: int = 1) -> None:
        """Track once without gradients and keep each kick's cell sizes for later runs.

        Grids still follow the bunch's mean. Without it, a cell size may jump by one rung
        between two runs whose parameters differ a little.
        """
        check_turns("freeze_grids", turns)
        with self.one_at_a_time:
            kept, self._cell_sizes = self._cell_sizes, None
            try:
                kept = list(self._choose_grids(bunch, turns))
            finally:
                self._cell_sizes = kept

    @property
    def frozen_grids(self) -> tuple[CellSizes, ...] | None:
        """Cell sizes of every kick, turn by turn; None where each kick chooses its own."""
        return None if self._cell_sizes is None else tuple(self._cell_sizes)

    @frozen_grids.setter
    def frozen_grids(self, sizes: Iterable[CellSizes] | None) -> None:
        self._cell_sizes = None if sizes is None else list(sizes)

    @torch.no_grad()
    def _choose_grids(self, bunch: Bunch, turns: int) -> Iterator[CellSizes]:
        losses = Losses(bunch.alive)
        for turn in range(turns):
            for stage in self.stages:
                if stage.kick is not None and self.space_charge is not None:
                    size = cell_sizes(bunch, self.space_charge)
                    yield size
                    field = self.solve_field(stage, bunch, size)
                    bunch = self.apply_kick(stage, bunch, field=field)
                bunch = stage.apply(bunch, Passage(losses, turn * self.n_gates))

    def release_grids(self) -> None:
        """Let every kick choose its cell sizes again."""
        self._cell_sizes = None

    def apply_kick(
        self,
        stage: Stage,
        bunch: Bunch,
        sign: int = 1,
        field: Field | None = None,
        turn: int = 0,
    ) -> Bunch:
        """Apply the kick of a stage, if it has one, or undo it (`sign` -1)."""
        if stage.kick is None or self.space_charge is None:
            return bunch
        length, size = stage.kick.length * sign, self._frozen_cell_size(stage, turn)
        with _named(stage):
            return space_charge_kick(bunch, length, self.space_charge, size, field)

    def solve_field(
        self, stage: Stage, bunch: Bunch, cell_size: CellSizes | None = None, turn: int = 0
    ) -> Field | None:
        """Field of the bunch in the kick of a stage, without gradients; None if it has none."""
        if stage.kick is None or self.space_charge is None:
            return None
        cell_size = self._frozen_cell_size(stage, turn) if cell_size is None else cell_size
        with _named(stage):
            return space_charge_field(bunch, self.space_charge, cell_size)

    def _frozen_cell_size(self, stage: Stage, turn: int) -> CellSizes | None:
        if self._cell_sizes is None:
            return None
        kicks = len(self.stages) - 1  # the first stage has none
        index = turn * kicks + stage.index - 1
        if index >= len(self._cell_sizes):
            raise SpaceChargeError(
                f"turn {turn + 1}: grids were frozen for "
                f"{len(self._cell_sizes) // kicks} only: freeze_grids(bunch, turns=...)"
            )
        return self._cell_sizes[index]

    # ---- construction --------------------------------------------------------------------

    def _adopt_kicks(self) -> None:
        """Make the kicks that a line carries the sequence's, if their settings are one.

        Otherwise each is an element with settings of its own.
        """
        kicks = [e for e in self._by_name.values() if isinstance(e, SpaceChargeKick)]
        if kicks and self.space_charge is not None:
            raise LatticeError(
                f"{self.lattice.source}: the line carries the kick {kicks[0].name!r} already: "
                "leave slicing and space_charge out, or take its kicks out"
            )
        first = kicks[0].settings if kicks else None
        one = all(kick.settings == first and kick.cell_size is None for kick in kicks)
        self.carries_kicks = bool(kicks) and one
        if self.carries_kicks:
            self.space_charge = first

    def _build_steps(self) -> Iterator[Step]:
        return build_steps(
            self.lattice.element_names,
            self._by_name,
            self.slicing,
            self.splitting,
            self.carries_kicks,
        )

    def update_places(self) -> None:
        """Move the places of steps to where the present lengths put them.

        Knobs may drive lengths; the number of slices stays.
        """
        steps = moved(self.steps)
        if steps is not self.steps:
            self.steps = steps
            self.stages = tuple(build_stages(self.items()))
            for element in self._by_name.values():
                if isinstance(element, Cavity):  # its harmonic is that of the whole line
                    element.line_length = self.length

    def items(self) -> Iterator[Item]:
        """Kicks and maps in the order of tracking."""
        for step in self.steps:
            yield Kick(step.part, step.s_start) if step.kind == "kick" else step.part

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> KickedSequence:
        """Move to another device; fields, knobs and reference stay in float64."""
        device = fn(torch.zeros(0)).device
        super()._apply(lambda tensor: tensor.to(device), recurse)
        self.reference = self.reference.to(device)
        return self

    def forward(self, bunch: Bunch) -> Bunch:
        """Track with plain automatic differentiation, for `torch.func`; see `track`."""
        from .adjoint import RecordAll
        from .course import Course

        return RecordAll().run(Course(self, self.stages), bunch).bunch

    def extra_repr(self) -> str:
        return (
            f"{self.lattice.source}: {len(self.lattice.element_names)} elements, "
            f"{self.length:.9g} m, {self.n_kicks} kicks"
        )

    def __repr__(self) -> str:
        return f"KickedSequence({self.extra_repr()})"


def check_turns(what: str, turns: int) -> None:
    """Refuse what is no number of turns."""
    whole_number(f"{what}: turns", turns, LatticeError)


@contextmanager
def _named(stage: Stage) -> Iterator[None]:
    """Add the place of a kick to what it refuses."""
    try:
        yield
    except SpaceChargeError as error:
        name = stage.kick.name if stage.kick is not None else None
        raise SpaceChargeError(
            f"kick {stage.index} in {name!r} at s = {stage.s:.6g} m: {error}"
        ) from None


def _reference_of(lattice: Lattice) -> Reference:
    fields = lattice.reference
    if fields is None:
        raise LatticeError(
            f"{lattice.source}: the file states no reference particle: give one, e.g. "
            'reference=sc_bridge.reference("proton", kinetic_energy="160 MeV")'
        )
    return Reference(fields.mass0, fields.q0, fields.p0c)
