"""Read a study file; whatever is wrong with it becomes one line that names the key."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from ..errors import ScBridgeError, StudyError, UnitError
from .messages import first_line, near
from .model import Study, StudyModel

# Larger than any study written by hand; what is bigger is some other file.
_LARGEST_FILE = 1_000_000  # bytes


def load_study(path: str | Path) -> Study:
    """Read and check a study file.

    Raises
    ------
    StudyError
        If the file is missing or no study; the message names the key, the value and the way out.
    UnitError
        If a unit is missing or of another dimension.
    """
    path = Path(path)
    raw = _read_toml(path)
    try:
        return Study(path, StudyModel.model_validate(raw), raw)
    except ValidationError as error:
        raise _one_line(path, error) from None


def _read_toml(path: Path) -> dict[str, Any]:
    if path.exists() and not path.is_file():
        raise StudyError(f"{path}: is no regular file: give the path of a study, study.toml")
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise StudyError(f"{path}: is larger than {_LARGEST_FILE} bytes: is this a study?")
        return tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError:
        raise StudyError(f"{path}: no such file: give the path of a study, study.toml") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        if isinstance(error, ScBridgeError):
            raise
        reason = "is not text" if isinstance(error, UnicodeDecodeError) else f"no TOML: {error}"
        raise StudyError(f"{path}: {first_line(reason)}") from None


def _one_line(path: Path, error: ValidationError) -> ScBridgeError:
    """Turn pydantic's report into one line: the first fault, and how many more there are."""
    faults = error.errors(include_url=False)
    # an unknown key explains a missing one
    fault = min(faults, key=lambda fault: fault["type"] != "extra_forbidden")
    key = _key(fault["loc"])
    others = {_key(other["loc"]) for other in faults} - {key}
    more = f" (and {len(others)} more)" if others else ""
    cause = fault.get("ctx", {}).get("error")
    if isinstance(cause, ScBridgeError):
        kind = UnitError if isinstance(cause, UnitError) else StudyError
        return kind(f"{path}: {key}{cause}{more}")
    return StudyError(f"{path}: {_explain(fault, key)}{more}")


def _explain(fault: Any, key: str) -> str:
    if fault["type"] == "extra_forbidden":
        known = _known_keys(fault["loc"][:-1])
        name = str(fault["loc"][-1])
        if len(fault["loc"]) > 1 and name in StudyModel.model_fields:
            return f"unknown key {key}: write {name} above the first section, or as its own"
        if len(fault["loc"]) > 2 and name in _known_keys(fault["loc"][:-2]):
            above, below = _key(fault["loc"][:-2]), _key(fault["loc"][:-1])
            return f"unknown key {key}: {name} belongs to [{above}]: write it above [{below}]"
        return f"unknown key {key}{near(name, known)}"
    if fault["type"] == "missing":
        return f"{key} is missing"
    shown = repr(fault["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    message = _in_words(fault)
    hint = ""
    if fault["type"] == "literal_error" and isinstance(fault["input"], str):
        choices = re.findall("'([^']*)'", str(fault["ctx"]["expected"]))
        meant = {choice.lower(): choice for choice in choices}
        found = difflib.get_close_matches(fault["input"].lower(), meant, n=1)
        hint = f"; did you mean {meant[found[0]]!r}?" if found else ""
    return f"{key} = {first_line(shown)}: {first_line(message)}{hint}"


def _in_words(fault: Any) -> str:
    """What pydantic found, for those who write TOML."""
    context = fault.get("ctx", {})
    if fault["type"] in ("too_short", "too_long"):
        bound = "least" if fault["type"] == "too_short" else "most"
        count = context["min_length" if bound == "least" else "max_length"]
        return f"must have at {bound} {count} entr{'y' if count == 1 else 'ies'}"
    known = {
        "dict_type": "must be a table",
        "model_type": "must be a table",
        "list_type": "must be a list",
    }
    message: str = fault["msg"]
    return known.get(fault["type"]) or message[:1].lower() + message[1:]


def _known_keys(place: tuple[Any, ...]) -> list[str]:
    """Keys of the section at a place; in a table of sections the names are the user's own."""
    section: Any = StudyModel
    for part in place:
        if get_origin(section) is dict:
            section = get_args(section)[1]
        else:
            annotation = section.model_fields[part].annotation
            options = (annotation, *get_args(annotation))
            section = next(o for o in options if _holds_keys(o))
    return list(getattr(section, "model_fields", ()))  # none where names are free


def _holds_keys(annotation: Any) -> bool:
    return hasattr(annotation, "model_fields") or get_origin(annotation) is dict


def _key(place: tuple[Any, ...]) -> str:
    key = ""
    if len(place) > 1 and isinstance(place[-2], int) and place[-1] in ("float", "int", "str"):
        place = place[:-1]  # what a union was tried as
    for part in place:
        if isinstance(part, int):
            key += f"[{part}]"
        elif not part.startswith(("function-", "constrained-", "nullable")):
            key += f".{part}" if key else part
    return key
