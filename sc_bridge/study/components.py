"""Components: single entries of the lists of elements, named as Xsuite does, "mq.knl[1]".

A component that no knob drives is free, whatever drives its neighbours. Strengths may be of any
order: a list that ends below it is continued with zeros.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from sc_bridge.elements import Element

from ..errors import StudyError
from ..knobs import FieldDriver
from ..sequence import KickedSequence

_COMPONENT = re.compile(r"(.+)\.([^.\[\]]+)\[(\d{1,9}|\*)\]")
# Lists that mean zero where they end.
_OPEN = frozenset({"knl", "ksl", "knl_rel", "ksl_rel"})
_MOST = 171  # components: the factorial of a higher order is no float


def component_names(sequence: KickedSequence, text: str) -> list[str]:
    """Names of the components that a text stands for: itself, or all that a wildcard fits.

    "mq*.knl[1]" fits every list of that name but those where a knob drives the component;
    "mq.knl[*]" every component that the list has. None, where the text names no component.
    """
    parts = _split(text)
    if parts is None:
        return []
    element, field, index = parts
    exact = sequence.wholes.get(element)
    if exact is not None and index is not None and exact.field_ranks.get(field):
        return [text]
    return [
        f"{name}.{key}[{number}]"
        for name, whole in sequence.wholes.items()
        if name == element or (exact is None and fnmatchcase(name, element))
        for key in whole.field_ranks
        if fnmatchcase(key, field)
        for number in _free_components(whole, key, index)
    ]


def split_name(name: str) -> tuple[str, str, int | None]:
    """Element, field, and component (None for a field that is one number) of a name."""
    parts = _split(name)
    if parts is None:
        element, _, field = name.rpartition(".")
        return element, field, None
    return parts


def _split(text: str) -> tuple[str, str, int | None] | None:
    """Element, list and component (None for all); None if the text is not written so."""
    match = _COMPONENT.fullmatch(text)
    if match is None:
        return None
    return match[1], match[2], None if match[3] == "*" else int(match[3])


def _free_components(element: Element, field: str, index: int | None) -> Iterator[int]:
    if not element.field_ranks[field]:
        return
    wanted = range(getattr(element, field).shape[-1]) if index is None else (index,)
    for number in wanted:
        there = field in _OPEN or number < getattr(element, field).shape[-1]
        if there and _driving(element, field, number) is None:
            yield number


def find_component(
    where: str, sequence: KickedSequence, name: str
) -> tuple[nn.Parameter, str, int] | None:
    """Return the parameter that holds a component, the name of its list, and its index.

    None, where the name is not that of a component of an element.

    Raises
    ------
    StudyError
        If a knob drives it, or the list has no such component; `where` begins the message.
    """
    parts = _split(name)
    if parts is None or parts[0] not in sequence.wholes:
        return None
    element, field, index = sequence[parts[0]], *parts[1:]
    if not element.field_ranks.get(field) or index is None:
        return None
    driving = _driving(element, field, index)
    if driving is not None:
        by = f"is driven by {', '.join(driving)}: name that" if driving else "is a constant"
        raise StudyError(f"{where}: {name} {by}")
    parameter = dict(element.named_parameters(recurse=False))[field]
    if parameter.dim() != 1:
        raise StudyError(f"{where}: {name}: a batch of shape {tuple(parameter.shape)}")
    count = parameter.shape[0]
    most = _MOST if field in _OPEN else count
    if index >= most:
        raise StudyError(f"{where}: {name}: {field} has the components 0 to {most - 1}")
    if index >= count:
        _continue(parameter, index + 1)
    return parameter, field, index


def _driving(element: Element, field: str, index: int) -> tuple[str, ...] | None:
    """Knobs that drive a component; None where it is free."""
    driver = element.drivers.get(field)
    return driver.driving(index) if isinstance(driver, FieldDriver) else None


def _continue(parameter: Tensor, count: int) -> None:
    """Continue a list with zeros, in place: all slices and occurrences see it."""
    with torch.no_grad():
        parameter.data = torch.cat((parameter, parameter.new_zeros(count - parameter.shape[0])))
        increment_version(parameter)  # as copying into it does: graphs notice
