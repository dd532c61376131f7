"""The cache of compiled kernels, and what happens without one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from sc_bridge.elements import kernels
from sc_bridge.elements.kernels import build
from sc_bridge.elements.space_charge import (
    SpaceCharge,
    fused,
    space_charge_kick,
    torch_operations,
)
from space_charge.bunches import gaussian_bunch

pytestmark = pytest.mark.usefixtures("two_threads")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch):
    """Kernels not yet looked for; what other tests loaded comes back afterwards."""
    loaded = kernels.load()
    kernels._load_once.cache_clear()
    yield
    monkeypatch.undo()
    kernels._load_once.cache_clear()
    assert (kernels.load() is None) == (loaded is None)


def kick_works() -> None:
    bunch = gaussian_bunch(50)
    expected = space_charge_kick(bunch, 1.0, SpaceCharge((8, 8, 8), implementation="plain"))
    kicked = space_charge_kick(bunch, 1.0, SpaceCharge((8, 8, 8)))
    assert (kicked.coordinates - expected.coordinates).abs().max() < 1e-15


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("SC_BRIDGE_CACHE", str(tmp_path / "chosen"))
    assert kernels.cache_folder() == tmp_path / "chosen"
    monkeypatch.delenv("SC_BRIDGE_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert kernels.cache_folder() == tmp_path / "xdg" / "sc_bridge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kernels.cache_folder() == Path.home() / ".cache" / "sc_bridge"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert kernels.cache_folder() == Path.home() / "Library" / "Caches" / "sc_bridge"


def test_without_a_writable_folder_the_kick_falls_back_with_one_warning(
    fresh, monkeypatch, tmp_path
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SC_BRIDGE_CACHE", str(tmp_path / "file" / "folder"))
    with pytest.warns(RuntimeWarning, match="C compiler .* SC_BRIDGE_CACHE") as caught:
        kick_works()
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kick_works()
    assert fused.backend_for(torch.device("cpu")) is torch_operations


def test_without_a_compiler_the_kick_falls_back_with_one_warning(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv("SC_BRIDGE_CACHE", str(tmp_path))
    monkeypatch.setenv("CC", str(tmp_path / "no_such_compiler"))
    with pytest.warns(RuntimeWarning, match="no compiled kernels"):
        kick_works()
    assert list(tmp_path.iterdir()) == []


def test_kernels_can_be_left_off(fresh, monkeypatch):
    monkeypatch.setenv("SC_BRIDGE_KERNELS", "0")
    assert kernels.load() is None
    kick_works()


def test_a_module_that_is_there_needs_no_compiler(fresh, monkeypatch):
    kernels.load()
    kernels._load_once.cache_clear()
    monkeypatch.setattr(kernels, "_build", lambda *_: pytest.fail("built again"))
    assert kernels.load() is not None


def test_name_of_the_module_follows_the_source(monkeypatch, tmp_path):
    before = build.module_name()
    assert before == build.module_name()
    folder = build.SOURCE.parent
    shutil.copytree(
        folder, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    monkeypatch.setattr(build, "SOURCE", tmp_path / build.SOURCE.name)
    assert build.module_name() == before
    for name in (build.SOURCE.name, *build.PROGRAM):
        (tmp_path / name).write_text((folder / name).read_text() + "\n")
        assert build.module_name() != before
        (tmp_path / name).write_text((folder / name).read_text())


@pytest.mark.slow
def test_several_processes_may_build_at_once(tmp_path):
    script = "from sc_bridge.elements import kernels; print(kernels.load() is not None)"
    environment = dict(
        os.environ, SC_BRIDGE_CACHE=str(tmp_path), PYTHONPATH=os.pathsep.join(sys.path)
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", script],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    assert [process.communicate()[0].strip() for process in running] == ["True", "True"]
    assert [path.name.split(".")[0] for path in tmp_path.iterdir()] == [build.module_name()]
