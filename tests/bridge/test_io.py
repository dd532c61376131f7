"""Bunches in HDF5: there and back, units, and files that are none."""

from __future__ import annotations

import h5py
import pytest
import torch

import sc_bridge as scb
from sc_bridge.io import read_bunch, write_bunch


@pytest.fixture
def bunch() -> scb.Bunch:
    return scb.Bunch(
        torch.randn(6, 5, dtype=torch.float64),
        scb.reference("proton", kinetic_energy="160 MeV"),
        torch.arange(5.0),
        torch.tensor([True, True, False, True, True]),
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_bunch_comes_back_to_the_last_bit(tmp_path, bunch, dtype):
    bunch = bunch.to(dtype)
    write_bunch(tmp_path / "bunch.h5", bunch)
    back = read_bunch(tmp_path / "bunch.h5")
    assert back.coordinates.dtype == dtype
    assert torch.equal(back.coordinates, bunch.coordinates)
    assert torch.equal(back.weight, bunch.weight)
    assert torch.equal(back.alive, bunch.alive)
    for name in ("mass0", "q0", "p0c"):
        assert getattr(back.reference, name) == getattr(bunch.reference, name)


def test_every_array_has_its_unit(tmp_path, bunch):
    write_bunch(tmp_path / "bunch.h5", bunch)
    with h5py.File(tmp_path / "bunch.h5") as file:
        units = {name: file[name].attrs["unit"] for name in file}
    assert units["x"] == units["y"] == units["zeta"] == "m"
    assert units["px"] == units["weight"] == "1"
    assert units["mass0"] == units["p0c"] == "eV"


def test_gradients_do_not_stop_writing(tmp_path, bunch):
    bunch.coordinates.requires_grad_()
    write_bunch(tmp_path / "bunch.h5", bunch)
    assert not read_bunch(tmp_path / "bunch.h5").coordinates.requires_grad


def test_a_batch_is_refused(tmp_path, bunch):
    batch = scb.Bunch(torch.zeros(2, 6, 5), bunch.reference)
    with pytest.raises(scb.BunchError, match=r"a batch of shape \(2,\) cannot be written"):
        write_bunch(tmp_path / "bunch.h5", batch)
    assert not (tmp_path / "bunch.h5").exists()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(scb.BunchError, match="no such file"):
        read_bunch(tmp_path / "bunch.h5")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(scb.BunchError, match="cannot be read as a bunch"):
        read_bunch(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1.0
    with pytest.raises(scb.BunchError, match="holds no bunch"):
        read_bunch(tmp_path / "other.h5")


def test_a_file_that_lacks_a_coordinate_is_refused(tmp_path, bunch):
    write_bunch(tmp_path / "bunch.h5", bunch)
    with h5py.File(tmp_path / "bunch.h5", "a") as file:
        del file["px"]
    with pytest.raises(scb.BunchError, match=r"cannot be read as a bunch: .*px"):
        read_bunch(tmp_path / "bunch.h5")
    with h5py.File(tmp_path / "bunch.h5", "a") as file:
        file.create_group("px")
    with pytest.raises(scb.BunchError, match="px is no array"):
        read_bunch(tmp_path / "bunch.h5")
