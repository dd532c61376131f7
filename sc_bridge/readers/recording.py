"""Elements while they become records: attributes are taken one by one, and none is forgotten.

Shared by formats whose elements may stand in a line both ways round, and at several energies
of the reference.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sc_bridge.errors import LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO, add
from sc_bridge.lattice import LeftOut, Record

from .definitions import Definitions
from .options import Losses

FieldKey = tuple[str, str, int | None]
Fields: TypeAlias = "Mapping[str, Expression | list[Expression]]"
C_LIGHT = 299792458.0


@dataclass
class LocalReference:
    """Reference particle at a place: mass0 [eV], q0, p0c [eV]; p0c may change along the line."""

    mass0: float
    q0: float
    p0c: float

    @property
    def energy(self) -> float:
        """Total energy, eV."""
        return math.hypot(self.p0c, self.mass0)

    @property
    def rigidity(self) -> float:
        """p0/q0, T m."""
        return self.p0c / (C_LIGHT * self.q0)

    def accelerate(self, gain: float, place: str) -> None:
        """Add energy, eV.

        Raises
        ------
        LatticeError
            If the particle would stop.
        """
        square = self.p0c**2 + gain * (2.0 * self.energy + gain)
        if not (math.isfinite(square) and square > 0.0 and self.energy + gain > 0.0):
            raise LatticeError(f"{place}: an energy gain of {gain:.6g} eV stops the particle")
        self.p0c = math.sqrt(square)


@dataclass
class Context:
    """What elements share while they are read."""

    definitions: Definitions
    losses: Losses
    reference: LocalReference | None = None


@dataclass
class Origin:
    """Where an element comes from, for records and messages."""

    name: str
    source_type: str
    place: str
    line: int | None = None
    file: str | None = None


class Recorder(ABC):
    """One element as it becomes records.

    Parameters
    ----------
    context : Context
    origin : Origin
    attributes : mapping of str to object
        As the file has them; `tree_of` makes trees of them.
    turned : bool
        Whether particles enter at the exit.
    """

    def __init__(
        self, context: Context, origin: Origin, attributes: Mapping[str, Any], turned: bool = False
    ) -> None:
        self.context = context
        self.origin = origin
        self.attributes = attributes
        self.turned = turned
        self.records: list[Record] = []
        self.driven: dict[FieldKey, Expression] = {}
        self.gain = 0.0  # of the energy of the reference, eV
        self.depends_on_reference = False
        self.name = origin.name  # of the record
        self._behind: list[Record] = []
        self._taken: set[str] = set()

    @abstractmethod
    def tree_of(self, value: Any, key: str) -> Expression:
        """Return the tree of an attribute that is set; a reader says how."""

    # ---- attributes ----------------------------------------------------------------------

    @property
    def place(self) -> str:
        """File, line and name, for messages."""
        return f"{self.origin.place}: {self.origin.name}"

    def __call__(self, key: str, otherwise: Expression = ZERO) -> Expression:
        """Tree of a number, or of something else where it is not set."""
        self._taken.add(key)
        value = self.attributes.get(key)
        return otherwise if value is None else self.tree_of(value, key)

    def has(self, *keys: str) -> bool:
        """Whether one of the attributes is set."""
        return any(self.attributes.get(key) is not None for key in keys)

    def first(self, *keys: str) -> Expression:
        """Tree of the first that is set: names of one attribute in several dialects."""
        self.ignore(*keys)
        return next((self(key) for key in keys if self.has(key)), ZERO)

    def value(self, key: str) -> float:
        """Present value of a number, 0 where it is not set."""
        return self.number(self(key), key)

    def number(self, tree: Expression, key: str) -> float:
        """Present value of a tree."""
        return self.context.definitions.value(tree, f"{self.place}.{key}")

    def word(self, key: str, otherwise: str = "") -> str:
        """Text of an attribute in upper case."""
        self._taken.add(key)
        value = self.attributes.get(key)
        return otherwise if value is None else str(value).strip().upper()

    def ignore(self, *keys: str) -> None:
        """Attributes without an effect here."""
        self._taken.update(keys)

    def ignore_all(self) -> None:
        """All attributes: the loss of the element is noted already."""
        self._taken.update(self.attributes)

    def left_over(self) -> list[str]:
        """Attributes that nothing has taken."""
        return [key for key in self.attributes if key not in self._taken]

    def reference(self, needed_for: str) -> LocalReference:
        """Return the reference here, which must be known.

        Raises
        ------
        LatticeError
            If the file states none.
        """
        self.depends_on_reference = True
        if self.context.reference is None:
            raise LatticeError(
                f"{self.place}: {needed_for} needs the reference momentum: state the particle "
                "and its energy in the file"
            )
        return self.context.reference

    def lose(self, word: str, what: str, *also: str) -> None:
        """Note a loss, or refuse it."""
        names = (self.origin.source_type, self.origin.name, *also)
        self.context.losses.leave_out(
            word, place=self.origin.place, name=self.origin.name, what=what, also=names
        )

    # ---- records -------------------------------------------------------------------------

    def emit(self, kind: str, fields: Fields, **constants: Any) -> None:
        """Add the element's record; fields that are zero are left out, as in Xsuite's files."""
        values: dict[str, Any] = {}
        for key, tree in fields.items():
            if isinstance(tree, list):
                trees = list(tree)
                while trees and trees[-1] == ZERO:
                    trees.pop()
                if trees:
                    values[key] = [self._field(key, i, entry) for i, entry in enumerate(trees)]
            elif tree != ZERO:
                values[key] = self._field(key, None, tree)
        self._add(self.name, kind, values | constants, self.origin.source_type)

    def amend(self, key: str, tree: Expression) -> None:
        """Set a field of the last record."""
        self.records[-1].fields[key] = self._field(key, None, tree)

    def beside(self, suffix: str, kind: str, fields: Mapping[str, Any], behind: bool) -> None:
        """Add a record beside the element's own, such as that of its aperture."""
        target = self._behind if behind != self.turned else self.records
        target.append(self._record(self.name + suffix, kind, dict(fields), ""))

    def drop_beside(self, front: bool, back: bool) -> None:
        """Drop the records beside the element at an end that is no end of a piece of it."""
        first, last = (back, front) if self.turned else (front, back)
        if first:
            self.records = [record for record in self.records if record.source_type]
        if last:
            self._behind = []

    def finish(self) -> tuple[str, ...]:
        """Return the names of all records in the order of the line."""
        self.records += self._behind
        self._behind = []
        return tuple(record.name for record in self.records)

    def _add(self, name: str, kind: str, fields: dict[str, Any], source_type: str) -> None:
        self.records.append(self._record(name, kind, fields, source_type))

    def _record(self, name: str, kind: str, fields: dict[str, Any], source_type: str) -> Record:
        return Record(name, kind, fields, self.origin.line, self.origin.file, source_type)

    def _field(self, key: str, index: int | None, tree: Expression) -> float:
        if not isinstance(tree, Number) and tree.variables():
            self.driven[self.name, key, index] = tree
        return self.number(tree, key)


@dataclass
class Assembly:
    """Records, names along the line and live fields, place by place."""

    context: Context
    records: dict[str, Record] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    driven: dict[FieldKey, Expression] = field(default_factory=dict)
    _made: dict[tuple[Any, ...], tuple[tuple[str, ...], float]] = field(default_factory=dict)
    _depends: dict[tuple[Any, ...], bool] = field(default_factory=dict)
    _variants: dict[str, int] = field(default_factory=dict)

    def add(
        self, key: tuple[Any, ...], make: Callable[[], Recorder], build: Callable[[Any], None]
    ) -> None:
        """Add one place.

        Parameters
        ----------
        key : tuple
            Tells variants of the element apart: the same key gives the same records, as long
            as they do not depend on the reference, or it is the same.
        make : callable
            Gives the recorder, if it is needed.
        build : callable
            Fills it.
        """
        found = self._key(key) if key in self._depends else None
        if found is None or found not in self._made:
            recorder = make()
            recorder.name = self._free(recorder.origin.name)
            build(recorder)
            names = recorder.finish()
            for record in recorder.records:
                if record.name in self.records:
                    raise LatticeError(
                        f"{recorder.place}: {record.name}: another element has this name: rename it"
                    )
                self.records[record.name] = record
            self.driven |= recorder.driven
            self._depends[key] = recorder.depends_on_reference or self._depends.get(key, False)
            found = self._key(key)
            self._made[found] = (names, recorder.gain)
        names, gain = self._made[found]
        self.names.extend(names)
        if gain and self.context.reference is not None:
            self.context.reference.accelerate(gain, names[0])

    def _key(self, key: tuple[Any, ...]) -> tuple[Any, ...]:
        reference = self.context.reference
        return (*key, reference.p0c if self._depends[key] and reference else None)

    def _free(self, name: str) -> str:
        """The name, or one beside it for a further variant of the element."""
        candidate, count = name, self._variants.get(name, 1)
        while candidate in self.records:
            count += 1
            candidate = f"{name}_{count}"
        self._variants[name] = count
        return candidate

    def lattice_fields(self) -> dict[str, Any]:
        """Return what `Lattice` has of the elements, variables and losses."""
        losses = self.context.losses
        values, expressions = self.context.definitions.finished(losses, self.driven.values())
        left_out: tuple[LeftOut, ...] = tuple(losses.left_out)
        return {
            "elements": self.records,
            "element_names": tuple(self.names),
            "variables": values,
            "expressions": expressions,
            "field_expressions": self.driven,
            "left_out": left_out,
            "warnings": tuple(losses.warnings),
        }


def added(trees: list[Expression], order: int, tree: Expression) -> None:
    """Add a tree to the component of an order of a list, which grows as needed."""
    trees.extend([ZERO] * (order + 1 - len(trees)))
    trees[order] = add(trees[order], tree)
