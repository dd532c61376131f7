"""Write the tables of keys in docs/study.md from the models that check studies.

python docs/generate_study.py           # write the tables
python docs/generate_study.py --check   # fail if they are not current
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "study.md"
START, END = "<!-- tables: generate_study.py -->", "<!-- end of tables -->"

sys.path.insert(0, str(ROOT))


def value_of(field: dict[str, Any]) -> str:
    """What a key may be, in words."""
    options = [option for option in field.get("anyOf", [field]) if option.get("type") != "null"]
    shown = [_value(option) for option in options]
    return " or ".join(dict.fromkeys(shown))


def _value(option: dict[str, Any]) -> str:
    if "enum" in option or "const" in option:
        return ", ".join(f"`{json.dumps(v)}`" for v in option.get("enum", [option.get("const")]))
    if "$ref" in option:
        return "table"
    if option.get("examples"):
        return f"`{json.dumps(option['examples'][0])}`"
    kind = option.get("type")
    if kind == "array":
        least, most = option.get("minItems"), option.get("maxItems")
        number = f"{least} of " if least and least == most else "list of "
        return number + value_of(option.get("items", {}))
    if kind == "object":
        return "table of " + value_of(option.get("additionalProperties", {}))
    names = {"integer": "integer", "number": "number", "boolean": "true or false", "string": "text"}
    return names.get(str(kind), "value")


def default_of(name: str, field: dict[str, Any], required: bool) -> str:
    """Say what holds where a key is left out."""
    if required:
        return "needed"
    default = field.get("default")
    if default in (None, [], {}, "") or isinstance(default, dict):
        return ""
    return f"`{json.dumps(default)}`"


def table(section: dict[str, Any], leave_out: set[str]) -> list[str]:
    """Rows of one section."""
    needed = section.get("required", ())
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for name, field in section["properties"].items():
        if name not in leave_out:
            cells = (
                f"`{name}`",
                value_of(field),
                default_of(name, field, name in needed),
                field["description"],
            )
            rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return rows


def sections_of(schema: dict[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    """Find the sections of a schema, under the heading that a study gives them."""
    found = []
    for key, field in schema["properties"].items():
        options = [*field.get("anyOf", ()), field, field.get("additionalProperties", {})]
        reference = next((option["$ref"] for option in options if "$ref" in option), None)
        if reference is None:
            continue
        own = f"{name}.{key}" if name else key
        own += ".NAME" if "additionalProperties" in field else ""
        found.append((own, reference.rpartition("/")[2]))
    return found


def tables() -> str:
    """Return the tables of all sections."""
    from sc_bridge.study import schema

    whole = schema()
    waiting = sections_of(whole, "")
    inside = {name.split(".")[0] for name, _ in waiting}
    lines = ["Before the first section:", "", *table(whole, inside - {"adjoint"})]
    while waiting:
        (name, definition), *waiting = waiting
        section = whole["$defs"][definition]
        deeper = sections_of(section, name)
        waiting = deeper + waiting
        lines += ["", f"**`[{name}]`** {section['description']}", ""]
        lines += table(section, {key.rpartition(".")[2] for key, _ in deeper})
    return "\n".join(lines)


def renewed(text: str) -> str:
    """Return a page with its tables made anew."""
    before, rest = text.split(START)
    _, after = rest.split(END)
    return f"{before}{START}\n\n{tables()}\n\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the tables are not current")
    options = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    new = renewed(text)
    if options.check and new != text:
        raise SystemExit("docs/study.md is not current: run python docs/generate_study.py")
    if not options.check:
        PAGE.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
