"""Fields of a record as trees, taken one by one, so that a writer forgets none of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO
from sc_bridge.lattice import Lattice, Record, ReferenceFields
from sc_bridge.readers.options import Losses

Said = TypeVar("Said")
# Fields of Xsuite that change nothing, or say what is the default here.
_BOOKKEEPING = frozenset({"order", "seq"})
# How Xsuite integrates: other codes have their own ways, so that only a choice of physics is lost.
_METHODS = frozenset({"model", "integrator", "num_multipole_kicks", "num_kicks"})
_NEUTRAL: tuple[Any, ...] = (None, "", "adaptive", False, 0, 0.0)


class Fields:
    """Fields of a record as trees.

    Parameters
    ----------
    record : Record
    trees : dict
        Fields as trees where they are numbers or lists of numbers.
    reference : ReferenceFields, optional
        That of the lattice.
    """

    def __init__(
        self, record: Record, trees: dict[str, Any], reference: ReferenceFields | None
    ) -> None:
        self.record = record
        self.reference = reference
        self._trees = trees
        self._taken: set[str] = set()
        self._lost: dict[str, None] = {}

    def __call__(self, field: str) -> Expression:
        """Tree of a number, 0 where there is none."""
        value = self._trees.get(field, ZERO)
        if not isinstance(value, Expression):
            return ZERO  # left over, and so refused
        self._taken.add(field)
        return value

    def items(self, field: str) -> list[Expression]:
        """Trees of a list."""
        value = self._trees.get(field, [])
        if not isinstance(value, list) or not all(isinstance(v, Expression) for v in value):
            return []
        self._taken.add(field)
        return value

    def is_set(self, field: str, value: Any) -> bool:
        """Whether a field that is no number has this value; it counts as taken then."""
        same = self.record.fields.get(field) == value
        if same:
            self._taken.add(field)
        return same

    def take_structure(self) -> str:
        """Return the structure of a linac cavity; faces that do not focus cannot be said."""
        structure = self.record.fields.get("structure", "standing")
        self.is_set("structure", structure)
        for side in ("entry", "exit"):
            if self.record.fields.get(f"{side}_focusing", True):
                self.is_set(f"{side}_focusing", True)
            else:
                self.lose(f"{side}_focusing")
        return structure

    def lose(self, field: str) -> None:
        """Count a field as left over, whatever its value: the format cannot say it."""
        self._lost[field] = None

    def left_over(self) -> list[str]:
        """Fields that cannot be said, or were not taken and are not neutral."""
        return [*self._lost] + [
            field
            for field, value in self.record.fields.items()
            if field not in self._taken | self._lost.keys()
            and field not in _BOOKKEEPING | _METHODS
            and value not in _NEUTRAL
            and not (isinstance(value, list) and not any(value))
        ]


class Describer:
    """Says every record of a lattice in another format, or refuses what would be lost.

    Parameters
    ----------
    lattice : Lattice
    format : str
        For messages, such as "MAD-X".
    losses : Losses
        What the caller allows: a field by its name or by "Class.field".
    live : bool
        Whether fields that knobs drive stay trees; otherwise they are numbers.
    """

    def __init__(self, lattice: Lattice, format: str, losses: Losses, live: bool = True) -> None:
        self.lattice, self.format, self.losses = lattice, format, losses
        self._driven: dict[str, dict[tuple[str, int | None], Expression]] = {}
        for (name, field, index), tree in lattice.field_expressions.items() if live else ():
            self._driven.setdefault(name, {})[field, index] = tree

    def describe(
        self,
        record: Record,
        table: Mapping[str, Callable[[Fields], tuple[str, Said]]],
    ) -> tuple[str, Said]:
        """Return the type of the format and what the table says of the record.

        Raises
        ------
        LatticeError
            If the table has nothing for the class, or something is left over and not allowed.
        """
        place = self.lattice.place(record.name)
        if record.kind not in table:
            raise LatticeError(f"{place}: {self.format} has nothing for a {record.kind}")
        fields = Fields(record, self._trees(record), self.lattice.reference)
        type_, said = table[record.kind](fields)
        for field in fields.left_over():
            shown = f"{record.kind}.{field}"
            what = f"{shown} = {record.fields.get(field)!r}"
            if not self.losses.allows(field, shown):
                raise LatticeError(
                    f"{place}: {what} would be lost: a {self.format} {type_} has nothing for it: "
                    f"allow = [{field!r}] accepts that"
                )
            source, _, name = place.rpartition(": ")
            self.losses.leave_out(field, place=source, name=name, what=what, also=(shown,))
        return type_, said

    def _trees(self, record: Record) -> dict[str, Any]:
        """Fields with trees in place of numbers."""
        driven = self._driven.get(record.name, {})
        trees: dict[str, Any] = {}
        for field, value in record.fields.items():
            if isinstance(value, list):
                trees[field] = [driven.get((field, i), _number(v)) for i, v in enumerate(value)]
            else:
                trees[field] = _number(value)
        return trees | {field: tree for (field, index), tree in driven.items() if index is None}


def _number(value: Any) -> Any:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return Number(float(value)) if is_number else value
