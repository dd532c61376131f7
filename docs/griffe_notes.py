"""A griffe extension: lines of cost and validity in docstrings become paragraphs of their own.

They stand behind the parameters, where a parser of NumPy docstrings takes them for one more.
"""

from __future__ import annotations

import re

import griffe

_NOTE = re.compile(
    r"^(Cost|Validity):.*?(?=\n\n|\Z|\n(?:Cost|Validity):)", re.MULTILINE | re.DOTALL
)
_SECTION = re.compile(r"^\w[\w ]*\n-{3,}$", re.MULTILINE)


def notes_first(text: str) -> str:
    """Move `Cost:` and `Validity:` in front of the first section."""
    section = _SECTION.search(text)
    if section is None:
        return text
    before, behind = text[: section.start()].rstrip(), text[section.start() :]
    notes = [f"**{m[0].replace(':', ':**', 1)}" for m in _NOTE.finditer(behind)]
    behind = re.sub(r"\n{3,}", "\n\n", _NOTE.sub("", behind))
    return "\n\n".join([before, *notes, behind]) if notes else text


class Notes(griffe.Extension):
    """Apply `notes_first` to every docstring."""

    def on_instance(self, *, obj: griffe.Object, **_: object) -> None:
        if obj.docstring is not None:
            obj.docstring.value = notes_first(obj.docstring.value)
