"""The pages: their code runs or compiles, their names and messages are those of the source."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
from test_public_names import PUBLIC

import sc_bridge
from sc_bridge import cli
from sc_bridge.errors import ScBridgeError

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"]
HOW_TO = sorted((DOCS / "how_to").glob("*.md"))


def code_blocks(page: Path, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}[^\n]*\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
    )


def named_files(page: Path) -> dict[str, str]:
    """Code blocks with a title: files that the reader saves."""
    found = re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', page.read_text(), re.DOTALL | re.M)
    return dict(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_and_toml_on_a_page_are_well_formed(page):
    for code in code_blocks(page, "python"):
        compile(code, str(page), "exec")
    for text in code_blocks(page, "toml"):
        tomllib.loads(text)


def test_the_quickstart_works_as_written_in_an_empty_folder(tmp_path, monkeypatch, capsys):
    page = DOCS / "index.md"
    monkeypatch.chdir(tmp_path)
    for name, text in named_files(page).items():
        # 5000 particles on 32^3 nodes take half a minute
        text = text.replace("5_000", "300").replace("[32, 32, 32]", "[8, 8, 8]")
        (tmp_path / name).write_text(text)
    commands = [
        shlex.split(line[2:])[1:]
        for block in code_blocks(page, "console")
        for line in block.splitlines()
        if line.startswith("$ sc-bridge")
    ]
    assert [command[0] for command in commands] == ["audit", "run"]
    for command in commands:
        assert cli.main(command) == cli.OK
    assert "nemitt_x" in capsys.readouterr().out
    assert (tmp_path / "results" / "results.json").exists()
    (code,) = code_blocks(page, "python")
    namespace: dict = {}
    exec(code.replace("5_000", "300").replace("(32, 32, 32)", "(8, 8, 8)"), namespace)
    assert torch.isfinite(namespace["kqf"].grad)


@pytest.mark.parametrize("page", HOW_TO, ids=lambda page: page.stem)
def test_the_python_of_a_guide_runs(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    namespace: dict = {}
    for code in code_blocks(page, "python"):
        exec(code.replace("2_000", "100").replace("(16, 16, 16)", "(8, 8, 8)"), namespace)


# ---- references -------------------------------------------------------------------------------


@pytest.mark.parametrize("module", PUBLIC)
def test_the_api_pages_have_every_public_name_once(module):
    page = DOCS / "api" / f"{module.removeprefix('sc_bridge.')}.md"
    listed = re.findall(rf"^::: {re.escape(module)}\.(\w+)$", page.read_text(), re.MULTILINE)
    public = PUBLIC[module].split()
    elsewhere = {"Bunch", "Reference"} if module == "sc_bridge.elements" else set()
    assert sorted(listed) == sorted(set(public) - elsewhere)
    assert all(hasattr(importlib.import_module(module), name) for name in listed)


@pytest.mark.slow
def test_the_site_is_built_strict_and_loads_nothing_from_elsewhere(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    loads = re.compile(
        r"<(?:script|img|iframe)[^>]* src=.?https?:|<link[^>]*stylesheet[^>]*href=.?https?:"
    )
    for page in tmp_path.rglob("*.html"):
        assert not loads.search(page.read_text(encoding="utf-8")), page


def error_classes() -> set[str]:
    found, left = {ScBridgeError}, [ScBridgeError]
    while left:
        subclasses = left.pop().__subclasses__()
        found.update(subclasses)
        left.extend(subclasses)
    return {kind.__name__ for kind in found if kind.__name__ in vars(sc_bridge)}


def messages() -> list[str]:
    """Every text of the source, with … where a value goes in."""
    texts = []
    for path in [*(ROOT / "elements").rglob("*.py"), *(ROOT / "sc_bridge").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = (v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
                texts.append(re.sub("…+", "…", "".join(map(str, parts))))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def test_the_catalogue_of_errors_has_every_class_and_messages_of_the_source():
    text = (DOCS / "errors.md").read_text()
    assert set(re.findall(r"^## (\w+)$", text, re.MULTILINE)) == error_classes()
    source = set(messages())
    quoted = re.findall(r"^\| `(.+?)` \|", text, re.MULTILINE)
    assert len(quoted) > 30
    for message in quoted:
        assert message in source, message


def test_the_examples_page_has_every_example():
    text = (DOCS / "examples.md").read_text()
    scripts = [
        path.relative_to(ROOT / "examples")
        for path in (ROOT / "examples").glob("*/*.py")
        if path.parent.name not in {"benchmarks", "paper"} and not path.name.startswith("make_")
    ]
    for script in scripts:
        assert f"examples/{script}" in text
