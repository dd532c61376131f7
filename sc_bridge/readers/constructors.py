"""Files that build a lattice by constructor calls: read over their syntax tree, never run.

What is understood: assignments of numbers, texts, elements and sequences of elements, to names
and to attributes; arithmetic; repetition and joining of sequences; loops over sequences and
ranges, within bounds. Everything else is refused with its line. Numbers that have a name are
variables of the lattice.
"""

from __future__ import annotations

import ast
import math
import warnings
from collections import Counter
from typing import Any

from sc_bridge.errors import ExpressionError, LatticeError
from sc_bridge.expressions import Expression, Number, Variable
from sc_bridge.expressions.algebra import multiply
from sc_bridge.expressions.tree import FUNCTIONS, Binary, Call, Negative

from .beamline import MAX_PLACES
from .definitions import Definitions, size_of
from .language import Language
from .made import Made, Sequence

_DEEPEST = 100  # levels of a syntax tree
_MOST_STEPS = 100_000  # statements in loops, all together
_MOST_COPIED = 300_000_000  # entries of sequences that are joined, all together
_LARGEST = 200  # nodes of an expression
_OPERATORS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**"}
_TREES = (Number, Variable, Negative, Binary, Call)
_RENAMED = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2"}
_SEQUENCES = ("list", "tuple")
_IN_DEGREES = ("deg2rad", "radians")


class Program:
    """A file as its statements are read one by one.

    Parameters
    ----------
    text, source : str
    language : Language

    Raises
    ------
    LatticeError
        If the file holds anything that is not understood.
    """

    def __init__(self, text: str, source: str, language: Language) -> None:
        self.source = source
        self.language = language
        self.definitions = Definitions()
        self.names: dict[str, Any] = {}
        self.made: list[Made] = []
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # what it warns of is refused
                body = ast.parse(text).body
        except SyntaxError as error:
            raise LatticeError(f"{source}:{error.lineno}: not understood: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise LatticeError(f"{source}: not a lattice: {error}") from None
        self._left = Counter(
            node.id
            for statement in body
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )
        self._seen: Counter[str] = Counter()
        self._parts: list[Sequence] = []  # what other sequences were made of
        self._grown: Any = None  # what the last operation made that was assigned
        self._steps = 0
        self._copied = 0  # entries, in joining sequences
        for statement in body:
            self._execute(statement)

    def place(self, node: ast.AST) -> str:
        """File and line of a node."""
        return f"{self.source}:{getattr(node, 'lineno', 0)}"

    def _refuse(self, node: ast.AST, what: str) -> LatticeError:
        return LatticeError(
            f"{self.place(node)}: {what}: not understood: only assignments of numbers, elements "
            f"and sequences are read in {self.language.name} files"
        )

    # ---- statements ----------------------------------------------------------------------

    def _execute(self, statement: ast.stmt) -> None:
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.Pass():
                return  # nothing is imported
            case ast.Expr(value=ast.Constant()):
                return
            case ast.Assign(targets=[ast.Name(id=name) as target], value=ast.BinOp() as value):
                self._renew(target, self.names.get(name), value)
            case ast.Assign(targets=targets, value=value):
                result = self._evaluate(value, 0)
                for target in targets:
                    self._assign(target, result)
            case ast.AugAssign(target=ast.Name() | ast.Attribute() as target, op=op, value=value):
                old = self._evaluate(target, 0)
                self._renew(target, old, ast.copy_location(ast.BinOp(target, op, value), value))
            case ast.For(target=ast.Name(id=name), iter=entries, body=body, orelse=[]):
                for value in self._iterated(entries):
                    self.names[name] = value
                    for inner in body:
                        self._step(inner)
                        self._execute(inner)
            case _:
                raise self._refuse(statement, type(statement).__name__.lower())

    def _renew(self, target: ast.expr, old: Any, value: ast.BinOp) -> None:
        """Assign the result of an operation to a name or attribute, maybe of its old value."""
        kept = len(self._parts)
        new = self._evaluate(value, 0)
        if isinstance(old, Sequence) and old is self._grown:  # no name has it any more
            self._parts[kept:] = [part for part in self._parts[kept:] if part is not old]
        self._assign(target, new)
        self._grown = new

    def _step(self, statement: ast.stmt) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise LatticeError(f"{self.place(statement)}: loops of more than {_MOST_STEPS} steps")

    def _iterated(self, node: ast.expr) -> list[Any]:
        """Entries of a sequence, or numbers of a range, which are no knobs."""
        match node:
            case ast.Call(func=ast.Name(id="range"), args=bounds, keywords=[]):
                trees = [self._tree(bound, self._evaluate(bound, 0)) for bound in bounds]
                values = [self.definitions.value(tree, self.place(node)) for tree in trees]
                if not 0 < len(values) < 4 or any(value != int(value) for value in values):
                    raise self._refuse(node, "this range")
                if len(values) == 3 and not values[2]:
                    raise self._refuse(node, "a range of step 0")
                numbers = range(*map(int, values))
                self._check_size(node, len(numbers))
                return [Number(float(number)) for number in numbers]
        value = self._evaluate(node, 0)
        if not isinstance(value, Sequence):
            raise self._refuse(node, "a loop over this")
        return list(value.entries)

    def _assign(self, target: ast.expr, value: Any) -> None:
        match target:
            case ast.Name(id=name):
                self.names[name] = self._named(name, value, target)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                owner = self.names.get(name)
                if not isinstance(owner, Made):
                    raise self._refuse(target, f"{name}.{attribute} = ...")
                owner.attributes[attribute] = value
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                entries = value.entries if isinstance(value, Sequence) else ()
                if len(entries) != len(targets):
                    raise self._refuse(target, f"{len(targets)} names for {len(entries)} values")
                for inner, entry in zip(targets, entries, strict=True):
                    self._assign(inner, entry)
            case _:
                raise self._refuse(target, "this assignment")

    def _named(self, name: str, value: Any, node: ast.AST) -> Any:
        if isinstance(value, Made) and not value.name:
            value.name = name
        if not isinstance(value, _TREES):
            return value
        self._seen[name] += 1
        count = self._seen[name]
        variable = name if count == self._left[name] else f"{name}#{count}"
        self.definitions.define(variable, value)
        return Variable(variable)

    # ---- expressions ---------------------------------------------------------------------

    def _evaluate(self, node: ast.expr, depth: int) -> Any:
        if depth > _DEEPEST:
            raise LatticeError(f"{self.place(node)}: more than {_DEEPEST} levels: too deep")
        match node:
            case ast.Constant(value=value):
                return self._constant(node, value)
            case ast.Name(id=name):
                return self._name(node, name)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                return self._attribute(node, name, attribute)
            case ast.List(elts=entries) | ast.Tuple(elts=entries):
                return self._sequence(node, self._entries(entries, depth))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = self._evaluate(operand, depth + 1)
                if isinstance(value, complex):
                    return -value
                return self._folded(node, Negative(self._tree(node, value)))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._evaluate(operand, depth + 1)
            case ast.BinOp(left=left, op=operator, right=right):
                values = [self._evaluate(side, depth + 1) for side in (left, right)]
                return self._binary(node, operator, *values)
            case ast.Subscript(value=inner, slice=index):
                return self._entry(node, self._evaluate(inner, depth + 1), index)
            case ast.Call():
                return self._call(node, depth)
            case ast.Dict(values=values) if values and all(map(self._is_map, values)):
                return "ways to track"
        raise self._refuse(node, type(node).__name__.lower())

    def _is_map(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self.language.maps

    def _entries(self, nodes: list[ast.expr], depth: int) -> list[Any]:
        """Values of the entries of a list; `*line` gives those of the line."""
        values: list[Any] = []
        for node in nodes:
            if not isinstance(node, ast.Starred):
                values.append(self._evaluate(node, depth + 1))
                continue
            inner = self._evaluate(node.value, depth + 1)
            if not isinstance(inner, Sequence):
                raise self._refuse(node, "* of what is no sequence")
            self._parts.append(inner)
            values.extend(inner.entries)
            self._check_size(node, len(values))
        return values

    def _constant(self, node: ast.expr, value: Any) -> Any:
        if isinstance(value, bool) or value is None or isinstance(value, (str, complex)):
            return value
        if isinstance(value, (int, float)):
            try:
                return self._finite(node, float(value))
            except OverflowError:
                raise LatticeError(f"{self.place(node)}: too large a number") from None
        raise self._refuse(node, f"{value!r:.40}")

    def _finite(self, node: ast.AST, value: float) -> Number:
        if abs(value) > 1e300 or value != value:
            raise LatticeError(f"{self.place(node)}: {value!r}: must be a finite number")
        return Number(value)

    def _name(self, node: ast.expr, name: str) -> Any:
        if name in self.names:
            return self.names[name]
        if name in self.language.constants:
            return Number(self.language.constants[name])
        if name in self.language.maps:
            return name
        raise LatticeError(f"{self.place(node)}: {name!r} is not defined")

    def _attribute(self, node: ast.expr, name: str, attribute: str) -> Any:
        if name in self.language.prefixes and attribute in self.language.constants:
            return Number(self.language.constants[attribute])
        owner = self._name(node, name)
        if not isinstance(owner, Made) or attribute not in owner.attributes:
            raise LatticeError(f"{self.place(node)}: {name}.{attribute} is not set")
        return owner.attributes[attribute]

    def _tree(self, node: ast.AST, value: Any) -> Expression:
        if not isinstance(value, _TREES):
            raise self._refuse(node, "arithmetic with something that is no number")
        return value

    def _folded(self, node: ast.AST, tree: Expression) -> Expression:
        if size_of(tree, _LARGEST) > _LARGEST:
            raise LatticeError(f"{self.place(node)}: an expression of more than {_LARGEST} terms")
        if tree.variables():
            return tree
        try:
            return self._finite(node, float(tree.evaluate({})))
        except ExpressionError as error:
            raise ExpressionError(f"{self.place(node)}: {error}") from None

    def _binary(self, node: ast.expr, operator: ast.operator, left: Any, right: Any) -> Any:
        if isinstance(left, Sequence) or isinstance(right, Sequence):
            return self._joined(node, operator, left, right)
        if isinstance(left, complex) or isinstance(right, complex):
            return 1j  # coefficients of couplers, which are no part of the lattice
        word = _OPERATORS.get(type(operator))
        if word is None:
            raise self._refuse(node, type(operator).__name__.lower())
        return self._folded(node, Binary(word, self._tree(node, left), self._tree(node, right)))

    def _joined(self, node: ast.expr, operator: ast.operator, left: Any, right: Any) -> Sequence:
        self._parts += [side for side in (left, right) if isinstance(side, Sequence)]
        if isinstance(operator, ast.Add) and isinstance(left, Sequence):
            if isinstance(right, Sequence):
                self._copied += len(left.entries) + len(right.entries)
                if self._copied > _MOST_COPIED:
                    raise LatticeError(
                        f"{self.place(node)}: sequences are joined too often: write * for "
                        "repetition"
                    )
                self._check_size(node, left.size + right.size)
                return Sequence(left.entries + right.entries, left.size + right.size)
        elif isinstance(operator, ast.Mult):
            line, count = (left, right) if isinstance(left, Sequence) else (right, left)
            if isinstance(line, Sequence) and isinstance(count, Number):
                number = max(0, int(count.value))
                self._check_size(node, number * max(1, line.size, len(line.entries)))
                return self._sequence(node, list(line.entries) * number)
        raise self._refuse(node, "this operation on a sequence")

    def _sequence(self, node: ast.AST, entries: list[Any]) -> Sequence:
        sizes = (entry.size if isinstance(entry, Sequence) else 1 for entry in entries)
        size = sum(sizes)
        self._check_size(node, size)
        return Sequence(tuple(entries), size)

    def _check_size(self, node: ast.AST, size: int) -> None:
        if size > MAX_PLACES:
            raise LatticeError(f"{self.place(node)}: {size:.3g} places: more than {MAX_PLACES}")

    def _entry(self, node: ast.expr, value: Any, index: ast.expr) -> Any:
        if isinstance(value, Sequence):
            match index:
                case ast.Slice(
                    lower=None,
                    upper=None,
                    step=ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=1)),
                ):
                    self._parts.append(value)
                    return Sequence(value.entries[::-1], value.size)
                case ast.Constant(value=int(number)) if 0 <= number < len(value.entries):
                    return value.entries[number]
        raise self._refuse(node, "this index")

    def _call(self, node: ast.Call, depth: int) -> Any:
        prefix, name = self._called(node)
        values = [self._evaluate(argument, depth + 1) for argument in node.args]
        if name in _SEQUENCES and len(values) == 1 and isinstance(values[0], Sequence):
            return values[0]
        function = _RENAMED.get(name, name)
        if function in FUNCTIONS and (not prefix or prefix in self.language.prefixes):
            if len(values) != FUNCTIONS[function].arity or node.keywords:
                raise self._refuse(node, f"{name} of {len(values)} arguments")
            trees = tuple(self._tree(node, value) for value in values)
            return self._folded(node, Call(function, trees))
        if name in _IN_DEGREES and len(values) == 1:
            return self._folded(node, multiply(self._tree(node, values[0]), math.pi / 180))
        if name == name.lower():
            raise self._refuse(node, f"the function {name}")
        return self._construct(node, name, values, depth)

    def _called(self, node: ast.Call) -> tuple[str, str]:
        match node.func:
            case ast.Name(id=name):
                return "", name
            case ast.Attribute(value=ast.Name(id=prefix), attr=name):
                if prefix in self.language.prefixes:
                    return prefix, name
        raise self._refuse(node, "this call")

    def _construct(self, node: ast.Call, name: str, values: list[Any], depth: int) -> Made:
        known = self.language.positional.get(name, self.language.positional[""])
        if len(values) > len(known):
            raise self._refuse(node, f"{name} with {len(values)} positional arguments")
        attributes = dict(zip(known, values, strict=False))
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self._refuse(node, "**")
            attributes[keyword.arg] = self._evaluate(keyword.value, depth + 1)
        made = Made(name, node.lineno, attributes)
        self.made.append(made)
        return made

    # ---- lines ---------------------------------------------------------------------------

    def lines(self) -> dict[str, Sequence]:
        """Named sequences that hold elements, directly or not."""
        return {
            name: value
            for name, value in self.names.items()
            if isinstance(value, Sequence)
            and value.entries
            and all(isinstance(entry, (Made, Sequence)) for entry in value.entries)
        }

    def roots(self) -> list[str]:
        """Names of sequences that no other one holds."""
        lines = self.lines()
        used = {id(entry) for line in lines.values() for entry in line.entries}
        used |= {id(part) for part in self._parts}
        return [name for name, line in lines.items() if id(line) not in used]
