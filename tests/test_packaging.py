"""The wheel holds everything: an unlisted subpackage would be dropped without a word."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def folders_with_modules(top: Path, package: str) -> set[str]:
    """Packages below a folder, links not followed."""
    found = set()
    for folder, _, files in os.walk(top, followlinks=False):
        if any(name.endswith(".py") for name in files):
            parts = Path(folder).relative_to(top).parts
            found.add(".".join((package, *parts)))
    return found


def test_packages_are_those_of_the_tree():
    expected = folders_with_modules(ROOT / "sc_bridge", "sc_bridge")
    expected |= folders_with_modules(ROOT / "elements", "sc_bridge.elements")
    assert set(SETUPTOOLS["packages"]) == expected


def test_elements_is_a_relative_link_that_git_keeps():
    link = ROOT / "sc_bridge" / "elements"
    assert link.is_symlink()
    assert os.readlink(link) == "../elements"


def test_every_package_says_that_it_is_typed():
    assert (ROOT / "sc_bridge" / "py.typed").is_file()
    assert (ROOT / "elements" / "py.typed").is_file()


def test_constraints_pin_every_dependency_and_extra():
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
    wanted = list(PROJECT["project"]["dependencies"])
    for extra in PROJECT["project"]["optional-dependencies"].values():
        wanted += extra
    names = {name.split("=")[0].split(">")[0].split("[")[0].lower() for name in wanted}
    assert names <= pinned


def test_torch_and_xsuite_are_the_versions_that_the_oracles_were_taken_with():
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for pin in ("torch==2.13.0", "xsuite==0.67.0", "xobjects==0.7.2", "xtrack==0.118.4"):
        assert pin in pins


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> set[str]:
    """Names in a wheel that is built with the setuptools of the test environment, no network."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "-w", str(folder)]
    # a copy: building must not leave anything in the checkout
    source = folder / "source"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        target = source / name
        if (ROOT / name).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_symlink():
                target.symlink_to(os.readlink(ROOT / name))
            else:
                target.write_bytes((ROOT / name).read_bytes())
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(source)], check=True)
    (built,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(built).namelist())


def test_wheel_holds_every_module_once(wheel):
    expected = {
        f"{top}/{path.relative_to(ROOT / folder).as_posix()}"
        for top, folder in (("sc_bridge", "sc_bridge"), ("sc_bridge/elements", "elements"))
        for path in (ROOT / folder).rglob("*.py")
        if not (folder == "sc_bridge" and (ROOT / "sc_bridge" / "elements") in path.parents)
    }
    assert {name for name in wheel if name.endswith(".py")} == expected


def test_wheel_holds_every_source_in_c(wheel):
    sources = {path.relative_to(ROOT / "elements") for path in (ROOT / "elements").rglob("*.[ch]")}
    assert {f"sc_bridge/elements/{path.as_posix()}" for path in sources} <= wheel


def test_wheel_is_typed_and_licensed(wheel):
    assert {"sc_bridge/py.typed", "sc_bridge/elements/py.typed"} <= wheel
    assert any(name.endswith("licenses/LICENSE") for name in wheel)


def test_wheel_holds_no_tests_nor_examples(wheel):
    assert {name.split("/")[0] for name in wheel if ".dist-info" not in name} == {"sc_bridge"}
