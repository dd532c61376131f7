"""An element while it becomes a record: its attributes are taken one by one, none forgotten."""

from __future__ import annotations

from typing import Any

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Expression, Number
from sc_bridge.expressions.algebra import ZERO
from sc_bridge.lattice import Record

from .attributes import APERTURE, LAYOUT, TYPES, attribute_tree
from .deck import Deck, MadElement, length_of
from .variables import NoValue

_HIGHEST_ORDER = 100  # of multipoles; a longer list would only take memory
FieldKey = tuple[str, str, int | None]


class View:
    """Attributes of one element as trees, and the records that are made of them.

    Parameters
    ----------
    deck : Deck
    element : MadElement
    sequence : str
        The sequence that is read, whose beam counts.
    """

    def __init__(self, deck: Deck, element: MadElement, sequence: str) -> None:
        self.deck = deck
        self.element = element
        self.sequence = sequence
        self.records: list[Record] = []
        self.driven: dict[FieldKey, Expression] = {}
        self._taken: set[str] = set()

    # ---- attributes ----------------------------------------------------------------------

    def __call__(self, key: str) -> Expression:
        """Tree of a number, 0 where it is not set."""
        return self.default(key, ZERO)

    def default(self, key: str, otherwise: Expression) -> Expression:
        """Tree of a number, or something else where it is not set."""
        self._taken.add(key)
        if key not in self.element.attributes:
            return otherwise
        try:
            return attribute_tree(self.element.attributes, key, f"{self.place}: {self.name}")
        except ExpressionError as error:
            raise ExpressionError(f"{self.place}: {self.name}.{key}: {error}") from None

    def items(self, key: str) -> list[Expression]:
        """Trees of a list, trailing zeros left out; a number is a list of one."""
        trees = self.all_items(key)
        while trees and trees[-1] == ZERO:
            trees.pop()
        return trees

    def all_items(self, key: str) -> list[Expression]:
        """Trees of a list; a number is a list of one."""
        self._taken.add(key)
        value = self.element.attributes.get(key, [])
        if isinstance(value, (str, NoValue)):
            raise LatticeError(f"{self.place}: {self.name}.{key} must be a list of numbers")
        trees = list(value) if isinstance(value, list) else [value]
        if len(trees) > _HIGHEST_ORDER:
            raise LatticeError(
                f"{self.place}: {self.name}.{key} has {len(trees)} components, "
                f"more than {_HIGHEST_ORDER}"
            )
        return trees

    def text(self, key: str) -> str:
        """Text of an attribute, lower case; "" where it is not set or a number."""
        self._taken.add(key)
        value = self.element.attributes.get(key, "")
        return value.lower() if isinstance(value, str) else ""

    def has(self, key: str) -> bool:
        """Whether an attribute is set."""
        return key in self.element.attributes

    def value(self, key: str) -> float:
        """Present value of a number, 0 where it is not set."""
        return self.value_of(self(key), key)

    def value_of(self, tree: Expression, key: str) -> float:
        """Present value of a tree."""
        return self.deck.variables.evaluate(tree, f"{self.place}: {self.name}.{key}")

    def beam(self, key: str) -> float:
        """Return a value of the beam, which must be there."""
        if not self.deck.beams:
            raise LatticeError(
                f"{self.place}: {self.name}: needs the beam's {key}: add a beam command"
            )
        return self.deck.beam_values(self.sequence)[key]

    def ignore(self, *keys: str) -> None:
        """Attributes without effect here."""
        self._taken.update(keys)

    def ignore_all(self) -> None:
        """All attributes: the loss of the element is noted already."""
        self._taken.update(self.element.attributes)

    # ---- places --------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the element."""
        return self.element.name

    @property
    def place(self) -> str:
        """File and line of the element."""
        return self.element.place

    def deck_length(self) -> Expression:
        """Length that the element takes along the orbit."""
        return length_of(self.deck, self.element)

    def warn(self, text: str) -> None:
        """Note what the user should see."""
        self.deck.losses.warn(self.place, f"{self.name}: {text}")

    def lose(self, word: str, what: str) -> None:
        """Note a loss, or refuse it."""
        own = (self.element.type, f"{self.element.type}.{word}", self.name)
        self.deck.losses.leave_out(word, place=self.place, name=self.name, what=what, also=own)

    # ---- records -------------------------------------------------------------------------

    def emit(self, kind: str, **fields: Expression | list[Expression]) -> None:
        """Add the element's record; fields that are zero are left out, as in Xsuite's files."""
        name = self.name
        values: dict[str, Any] = {}
        for field, tree in fields.items():
            if isinstance(tree, list):
                if tree:
                    values[field] = [
                        self._field((name, field, i), entry) for i, entry in enumerate(tree)
                    ]
            elif tree != ZERO:
                values[field] = self._field((name, field, None), tree)
        self._add(name, kind, values, self.element.type)

    def emit_beside(self, suffix: str, kind: str, fields: dict[str, Any]) -> None:
        """Add a record beside the element's own, such as that of its aperture."""
        self._add(self.name + suffix, kind, fields, "")

    def _add(self, name: str, kind: str, fields: dict[str, Any], source_type: str) -> None:
        line, file = self.element.line, self.element.file
        self.records.append(Record(name, kind, fields, line, file, source_type))

    def set(self, field: str, value: Any) -> None:
        """Set a field of the last record that is no number of a knob."""
        self.records[-1].fields[field] = value

    def _field(self, key: FieldKey, tree: Expression) -> float:
        if not isinstance(tree, Number) and tree.variables():
            self.driven[key] = tree
        return self.value_of(tree, key[1])

    def check_left_over(self) -> None:
        """Refuse what no field stands for, unless it is zero, layout, or allowed."""
        known = TYPES[self.element.type].attributes
        for key, value in self.element.attributes.items():
            if key in self._taken or key in LAYOUT or key in APERTURE or self._is_nothing(value):
                continue
            if key in known:
                self.lose(key, f"{key} = {_shown(value)}")
            else:
                of = f"which is not known of a {self.element.type},"
                self.lose(key, f"{key} = {_shown(value)}, {of}")

    def _is_nothing(self, value: Any) -> bool:
        if isinstance(value, list):
            return all(self._is_nothing(entry) for entry in value)
        return value == ZERO


def _shown(value: Any) -> str:
    return str([str(v) for v in value]) if isinstance(value, list) else str(value)
