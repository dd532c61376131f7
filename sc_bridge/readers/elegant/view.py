"""An element while it becomes records: its attributes are taken one by one, none forgotten."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import Any

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Expression, Number, constant
from sc_bridge.expressions.algebra import ONE, ZERO, add
from sc_bridge.lattice import Record
from sc_bridge.readers.options import Losses
from sc_bridge.readers.source import SourceFiles

from .deck import Attribute, Definition
from .parsing import check_text, number_of
from .stores import Stores
from .types import words

FieldKey = tuple[str, str, int | None]

# Without an effect here: how finely elegant integrates, to what order it keeps its matrices,
# what it prints, and what is used in corrections of the orbit.
_IGNORED = frozenset(
    words("""
    GROUP ORDER NKICKS NSLICES INTEGRATIONORDER EDGEORDER MATRIXORDER SQRTORDER EXPANSIONORDER
    METHOD ACCURACY NSTEPS EXPANDHAMILTONIAN TRANSPORT VERBOSE TRACKINGMATRIX
    REFERENCECORRECTION FSECORRECTION MALIGNMETHOD SRINORDINARYMATRIX ISR1PART USERADDIST
    ADDOPENINGANGLE KICKLIMITSCALING STEERING HSTEERING VSTEERING XSTEERING YSTEERING LERAD
    PHASEREFERENCE CHANGET FIDUCIAL ETILTSIGN INTERPOLATE SMOOTHING FITPOINT WEIGHT
    SETPOINT XSETPOINT YSETPOINT READOUT XREADOUT YREADOUT XCALIBRATION YCALIBRATION COFITPOINT
    STORETURNBYTURN LOCKPHASE
    """)
)


@dataclass
class Place:
    """Where along the line elements are being read: what depends on the local momentum.

    Parameters
    ----------
    mass0, charge_sign : float, eV
        Of the reference particle; the electron where no run file says otherwise.
    p0c : float, eV, optional
        None where no momentum is known.
    """

    mass0: float
    charge_sign: float
    p0c: float | None = None

    @property
    def energy(self) -> float | None:
        """Total energy, eV."""
        return None if self.p0c is None else math.hypot(self.p0c, self.mass0)

    def accelerate(self, gain: float, where: str) -> None:
        """Add energy, eV.

        Raises
        ------
        LatticeError
            If the particle would stop.
        """
        if self.p0c is None or gain == 0.0:
            return
        square = self.p0c**2 + gain * (2.0 * math.hypot(self.p0c, self.mass0) + gain)
        if not (math.isfinite(square) and square > 0.0):
            raise LatticeError(f"{where}: an energy gain of {gain:.6g} eV stops the particle")
        self.p0c = math.sqrt(square)


@dataclass
class Context:
    """What elements share while they are read."""

    stores: Stores
    losses: Losses
    files: SourceFiles
    place: Place


class View:
    """Attributes of one element as trees, and the records that are made of them.

    Parameters
    ----------
    context : Context
    definition : Definition
    reflected : bool
        Whether the element stands in a reflected line, which exchanges its two ends.
    """

    def __init__(self, context: Context, definition: Definition, reflected: bool = False) -> None:
        self.context = context
        self.definition = definition
        self.records: list[Record] = []
        self.driven: dict[FieldKey, Expression] = {}
        self.gain: Expression = ZERO  # of energy, eV
        self.momentum: float | None = None  # that the reference gets, eV
        self.sets_limit = False
        self.limit: Record | None = None  # that holds from here on
        self.depends_on_energy = False
        self.reflected = reflected
        self._taken: set[str] = set()

    # ---- attributes ----------------------------------------------------------------------

    def __call__(self, key: str, default: float = 0.0) -> Expression:
        """Tree of a number."""
        self._taken.add(key)
        attribute = self.definition.attributes.get(key)
        return Number(default) if attribute is None else self._tree(attribute)

    def value(self, key: str, default: float = 0.0) -> float:
        """Present value of a number."""
        return self._evaluate(self(key, default), key)

    def flag(self, key: str, default: bool = False) -> bool:
        """Whether a switch is on."""
        return self.value(key, float(default)) != 0.0

    def text(self, key: str, default: str = "") -> str:
        """Text of an attribute."""
        self._taken.add(key)
        attribute = self.definition.attributes.get(key)
        return default if attribute is None else attribute.text

    def has(self, key: str) -> bool:
        """Whether an attribute is set."""
        return key in self.definition.attributes

    def ignore(self, *keys: str) -> None:
        """Attributes without effect here."""
        self._taken.update(keys)

    def ignore_all(self) -> None:
        """All attributes: the loss of the element is noted already."""
        self._taken.update(self.definition.attributes)

    def end(self, number: int) -> int:
        """Which end of the definition (1 or 2) is the first or second in this line."""
        return 3 - number if self.reflected else number

    def scale(self, key: str = "FSE") -> Expression:
        """Factor 1 + the fractional strength error."""
        error = self(key)
        return ONE if error == ZERO else add(ONE, error)

    def _tree(self, attribute: Attribute) -> Expression:
        value = number_of(attribute)
        where = f"{self.place}: {self.name}.{attribute.key}"
        if value is not None:
            if not math.isfinite(value):
                raise LatticeError(f"{where} = {attribute.text}: too large a number")
            return Number(value)
        check_text(attribute, where)
        parser = self.context.stores.parser(self.definition.moment)
        tree: Expression | None = None
        if not attribute.quoted:
            # elegant makes it upper case; the name as it stands is taken where that fails
            with contextlib.suppress(ExpressionError):
                tree = parser.parse(attribute.text.upper(), where)
        if tree is None:
            tree = parser.parse(attribute.text, where)
        try:
            known = constant(tree)
        except ExpressionError as error:
            raise ExpressionError(f"{where}: {error}") from None
        return tree if known is None else Number(known)

    def _evaluate(self, tree: Expression, key: str) -> float:
        if isinstance(tree, Number):
            return tree.value
        return self.context.stores.evaluate(tree, f"{self.place}: {self.name}.{key}")

    # ---- places and losses ---------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the element."""
        return self.definition.name

    @property
    def place(self) -> str:
        """File and line of the element."""
        return self.definition.place

    def warn(self, text: str) -> None:
        """Note what the user should see."""
        self.context.losses.warn(self.place, f"{self.name}: {text}")

    def lose(self, word: str, what: str) -> None:
        """Note a loss, or refuse it."""
        definition = self.definition
        own = (definition.type, definition.word, f"{definition.type}.{word}", self.name)
        self.context.losses.leave_out(word, place=self.place, name=self.name, what=what, also=own)

    # ---- records -------------------------------------------------------------------------

    def emit(self, kind: str, suffix: str = "", /, **fields: Expression | list[Expression]) -> None:
        """Add a record; fields that are zero are left out, as in Xsuite's own files."""
        name = self.name + ("_reflected" if self.reflected else "") + suffix
        values: dict[str, Any] = {}
        for field, tree in fields.items():
            if isinstance(tree, list):
                if any(entry != ZERO for entry in tree):
                    values[field] = [
                        self._field((name, field, i), entry) for i, entry in enumerate(tree)
                    ]
            elif tree != ZERO:
                values[field] = self._field((name, field, None), tree)
        source_type = "" if suffix else self.definition.word
        source = self.definition.source
        line = self.definition.statement.line
        self.records.append(Record(name, kind, values, line, str(source.path), source_type))

    def set(self, field: str, value: Any) -> None:
        """Set a field of the last record that is no number of a knob."""
        self.records[-1].fields[field] = value

    def _field(self, key: FieldKey, tree: Expression) -> float:
        if not isinstance(tree, Number) and tree.variables():
            self.driven[key] = tree
        return self._evaluate(tree, key[1])

    def check_left_over(self) -> None:
        """Refuse what no field stands for, unless it is zero or allowed."""
        if self.flag("SYNCHRAD") or self.flag("ISR"):
            self.lose("radiation", "synchrotron radiation")
        for key, attribute in self.definition.attributes.items():
            if key not in self._taken and key not in _IGNORED and not self._is_zero(attribute):
                what = f"{attribute.key} = {attribute.text}"
                self.lose(attribute.key, what)

    def _is_zero(self, attribute: Attribute) -> bool:
        try:
            return self._tree(attribute) == ZERO
        except (ExpressionError, LatticeError):
            return False
