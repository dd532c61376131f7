"""Conditions: what a run finds in its sequence, so that the backward pass finds the same.

The backward pass runs stages once more. A field that was set in between would enter it
unnoticed where it asks for no gradient. Values that were changed in place are gone: that is
refused. What was exchanged (parameters by `torch.func.functional_call`, frozen grids) is put
back for as long as the backward pass takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from torch import Tensor, nn

from sc_bridge.elements import Element

from ..errors import ScBridgeError
from ..knobs import Knobs
from ..sequence import KickedSequence

_PLAIN = (str, int, float, bool, tuple, type(None))


@dataclass(frozen=True)
class _Fields:
    """Parameters and plain attributes of one module, as a run found them."""

    module: nn.Module
    parameters: dict[str, Any]
    versions: list[int | None]
    attributes: dict[str, Any]

    @classmethod
    def of(cls, module: nn.Module) -> _Fields:
        parameters = dict(module._parameters)
        return cls(module, parameters, _versions(parameters), dict(vars(module)))

    def changed(self) -> str | None:
        """Return what was changed in place since, in words."""
        present = self.module._parameters
        if present.keys() != self.parameters.keys():
            return self._named(*(present.keys() ^ self.parameters.keys()))
        if (versions := _versions(self.parameters)) != self.versions:
            pairs = zip(self.parameters, versions, self.versions, strict=True)
            return self._named(*(name for name, new, old in pairs if new != old))
        if isinstance(self.module, Element) and (names := self._other_attributes()):
            return self._named(*names)
        return None

    def _other_attributes(self) -> list[str]:
        """Names of the attributes, such as the model of a bend, that have other values now."""
        return [
            name
            for name, value in vars(self.module).items()
            if value is not (old := self.attributes.get(name))
            and not name.startswith("_")
            and isinstance(value, _PLAIN)
            and value != old
        ]

    def _named(self, *names: str) -> str:
        if isinstance(self.module, Knobs):
            keys = self.module.keys()
            return "knob " + ", ".join(repr(keys[int(name)]) for name in names)
        label = self.module.label if isinstance(self.module, Element) else "the sequence"
        return f"{', '.join(sorted(names))} of {label}"


def refuse_changed(what: str) -> NoReturn:
    """Refuse a backward pass through what is not there any more."""
    raise ScBridgeError(
        f"track: {what} was changed between the forward and the backward pass: "
        "call backward first, then change it and track again"
    )


@dataclass(frozen=True)
class Living:
    """The mask of living particles that a run was given."""

    alive: Tensor
    version: int

    @classmethod
    def of(cls, alive: Tensor) -> Living:
        return cls(alive, _version(alive))

    def check(self, *_: object) -> None:
        """Refuse a backward pass if the mask was changed in place."""
        if _version(self.alive) != self.version:
            refuse_changed("alive of the incoming bunch")


@dataclass(frozen=True)
class Conditions:
    """Fields, knobs, settings of space charge and living particles of one run.

    Cost: a reference to every parameter; once a run, a look at each.
    """

    sequence: KickedSequence
    fields: tuple[_Fields, ...]
    living: Living
    settings: dict[str, Any]

    @classmethod
    def of(cls, sequence: KickedSequence, alive: Tensor) -> Conditions:
        fields = tuple(_Fields.of(m) for m in sequence.modules() if m._parameters)
        return cls(sequence, fields, Living.of(alive), _settings(sequence))

    def check(self) -> None:
        """Refuse a backward pass through what is not there any more.

        Raises
        ------
        ScBridgeError
            If a field, a knob or the mask of living particles was changed in place.
        """
        changed = next((what for fields in self.fields if (what := fields.changed())), None)
        if changed is not None:
            refuse_changed(changed)
        self.living.check()

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Let the sequence have the parameters and settings of the forward pass for a while."""
        exchanged = [
            (fields.module._parameters, name, parameter)
            for fields in self.fields
            for name, parameter in fields.parameters.items()
            if fields.module._parameters[name] is not parameter
        ]
        kept = [(home, name, home[name]) for home, name, _ in exchanged]
        settings = _settings(self.sequence)
        try:
            _put(exchanged)
            vars(self.sequence).update(self.settings)
            yield
        finally:
            _put(kept)
            vars(self.sequence).update(settings)


def _put(places: list[tuple[dict[str, Any], str, Any]]) -> None:
    for home, name, parameter in places:
        home[name] = parameter


def _versions(parameters: dict[str, Any]) -> list[int | None]:
    return [None if p is None else p._version for p in parameters.values()]


def _version(tensor: Tensor) -> int:
    """Count of the changes in place; nothing tells of those of an inference tensor."""
    return -1 if tensor.is_inference() else tensor._version


def _settings(sequence: KickedSequence) -> dict[str, Any]:
    return {name: vars(sequence)[name] for name in ("space_charge", "_cell_sizes")}
