"""Bunches of other codes, written by their libraries: particles fly to where the bunch is."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import sdds
import torch
import xobjects as xo
from bunch_makers import (
    PRINTED,
    ROUNDING,
    ParticleGroup,
    assert_same,
    elegant_columns,
    group_of,
    living,
    make,
    write_sdds,
)
from scipy.constants import c as C_LIGHT
from scipy.constants import e as CHARGE

import sc_bridge as scb
from sc_bridge.xsuite import particles_from


@pytest.fixture
def bunch() -> scb.Bunch:
    return make()


def test_a_file_of_particle_group_is_read(tmp_path, bunch):
    group_of(bunch, tmp_path).write(str(tmp_path / "foreign.h5"))
    back = scb.read_bunch(tmp_path / "foreign.h5", reference=bunch.reference, reference_time="0 ns")
    assert_same(back, living(bunch), 1e-12)


def test_without_a_reference_it_is_the_mean_of_the_living(tmp_path, bunch):
    scb.write_bunch(tmp_path / "bunch.h5", bunch)
    group = ParticleGroup(str(tmp_path / "bunch.h5"))
    group.write(str(tmp_path / "foreign.h5"))
    back = scb.read_bunch(tmp_path / "foreign.h5")
    alive = group[group.status == 1]
    assert back.reference.p0c.item() == pytest.approx(alive["mean_p"], rel=ROUNDING)
    assert back.mean("zeta").item() == pytest.approx(0.0, abs=1e-12)
    assert torch.equal(back.alive, bunch.alive)


def test_particles_at_one_time_fly_to_one_place(tmp_path, bunch):
    group = group_of(bunch, tmp_path)
    group.drift_to_t(3e-9)
    group.write(str(tmp_path / "time.h5"))
    there = group.copy()
    there.drift_to_z()
    back = scb.read_bunch(tmp_path / "time.h5", reference_time=0.0)
    assert np.allclose(back.x.numpy(), there.x, rtol=0.0, atol=1e-12)
    time = -back.zeta.numpy() / (back.reference.beta0.item() * C_LIGHT)
    assert np.allclose(time, there.t, rtol=0.0, atol=1e-17)


def test_bmad_over_s_is_read(tmp_path, bunch):
    p0c = bunch.reference.p0c.item()
    group_of(bunch, tmp_path).write_bmad(str(tmp_path / "bunch.bmad"), p0c=p0c)
    back = scb.read_bunch(tmp_path / "bunch.bmad", reference=bunch.reference)
    assert_same(back, living(bunch), PRINTED)
    with pytest.raises(scb.BunchError, match="that Bmad does not write: give reference="):
        scb.read_bunch(tmp_path / "bunch.bmad")


def test_bmad_over_time_is_read(tmp_path, bunch):
    group_of(bunch, tmp_path).write_bmad(str(tmp_path / "bunch.bmad"))
    back = scb.read_bunch(tmp_path / "bunch.bmad", reference=bunch.reference, reference_time="0 s")
    assert_same(back, living(bunch), 10 * PRINTED)  # digits of pz, not of delta


def test_astra_is_read(tmp_path):
    bunch = make("electron", momentum="5 MeV/c")
    group = group_of(bunch, tmp_path)
    group.drift_to_t(0.0)
    group.write_astra(str(tmp_path / "bunch.ini"))
    at_mean = group.copy()
    at_mean.drift_to_z(float(np.average(group.z, weights=group.weight)))
    back = scb.read_bunch(tmp_path / "bunch.ini", reference=bunch.reference)
    assert np.allclose(back.x.numpy(), at_mean.x, rtol=0.0, atol=1e-12)
    expected = -bunch.reference.beta0.item() * C_LIGHT * at_mean.t
    assert np.allclose(back.zeta.numpy(), expected, rtol=0.0, atol=1e-11)
    assert np.allclose(back.px.numpy(), living(bunch).px.numpy(), rtol=0.0, atol=PRINTED)
    assert back.intensity.item() == pytest.approx(bunch.intensity.item(), rel=PRINTED)


def test_astra_at_one_place_keeps_the_length_of_the_bunch(tmp_path):
    bunch = make("electron", momentum="5 MeV/c")
    group = group_of(bunch, tmp_path)
    assert np.ptp(group.z) == 0.0
    group.write_astra(str(tmp_path / "bunch.ini"))
    back = scb.read_bunch(tmp_path / "bunch.ini", reference=bunch.reference)
    expected = living(bunch).zeta.numpy()
    shift = np.mean(back.zeta.numpy() - expected)  # the reference particle is the mean
    assert np.allclose(back.zeta.numpy() - shift, expected, rtol=0.0, atol=1e-9)
    assert back.sigma_zeta.item() == pytest.approx(living(bunch).sigma_zeta.item(), rel=1e-6)


def test_the_reference_particle_of_astra_counts_where_it_has_charge(tmp_path):
    rows = [
        [1e-3, 0, 0.5, 0, 0, 5e6, 2.0, -1e-3, 1, 5],
        [0, 1e-3, 1e-3, 10.0, 0, 1e3, 0, -1e-3, 1, 5],
        [0, 2e-3, 0, 10.0, 0, 1e3, 0, -1e-3, 1, -15],
    ]
    np.savetxt(tmp_path / "bunch.ini", rows)
    bunch = scb.read_bunch(tmp_path / "bunch.ini")
    assert bunch.alive.tolist() == [True, True, False]
    assert bunch.reference.p0c.item() == 5e6
    assert bunch.coordinates[:, 0].tolist() == [1e-3, 0, 0, 0, 0, 0]
    assert bunch.zeta[1].item() == pytest.approx(1e-3, rel=1e-3)  # ahead
    rows[1][9] = -1
    np.savetxt(tmp_path / "gun.ini", rows)
    with pytest.raises(scb.BunchError, match="1 particles are still at the cathode"):
        scb.read_bunch(tmp_path / "gun.ini")


@pytest.mark.parametrize("mode", [sdds.SDDS_BINARY, sdds.SDDS_ASCII])
def test_sdds_of_elegant_is_read(tmp_path, mode):
    bunch = make("electron", momentum="10 MeV/c")
    bunch = bunch.replace(weight=torch.full_like(bunch.weight, 1e-9 / CHARGE / 19))
    write_sdds(tmp_path / "bunch.sdds", elegant_columns(bunch), mode)
    back = scb.read_bunch(tmp_path / "bunch.sdds", reference=bunch.reference, reference_time="0 s")
    assert_same(back, living(bunch), 1e-11)


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("by_column", [True, False])
def test_sdds_of_either_order_is_read(tmp_path, monkeypatch, order, by_column):
    bunch = make("electron", momentum="10 MeV/c")
    monkeypatch.setenv("SDDS_OUTPUT_ENDIANESS", order)
    columns = elegant_columns(bunch)
    path = tmp_path / "bunch.sdds"
    if by_column:
        write_layout = sdds.sddsdata.WriteLayout

        def by_columns(index):
            sdds.sddsdata.SetColumnMajorOrder(index)
            return write_layout(index)

        monkeypatch.setattr(sdds.sddsdata, "WriteLayout", by_columns)
    write_sdds(path, columns, sdds.SDDS_BINARY)
    content = path.read_bytes()
    mark = f"endian={order}" if by_column else f"!# {order}-endian"
    assert mark.encode() in content
    assert (b"column_major_order=1" in content) == by_column
    back = scb.read_bunch(path, reference=bunch.reference, reference_time=0.0)
    assert np.allclose(back.x.numpy(), columns["x"], rtol=1e-15)


def test_sdds_of_the_library_is_read(tmp_path):
    bunch = make("electron", momentum="10 MeV/c")
    bunch = bunch.replace(weight=torch.full_like(bunch.weight, 1e7))
    group_of(bunch, tmp_path).write_elegant(str(tmp_path / "bunch.sdds"))
    back = scb.read_bunch(tmp_path / "bunch.sdds", reference=bunch.reference, reference_time=0.0)
    assert_same(back, living(bunch), 1e-9)  # the library's electron mass, and 13 digits


def test_hdf5_of_elegant_is_read(tmp_path):
    columns = elegant_columns(make("electron", momentum="10 MeV/c"))
    units = {"x": "m", "y": "m", "xp": "", "yp": "", "t": "s", "p": "m$be$nc"}
    with h5py.File(tmp_path / "bunch.h5", "w") as file:  # as sdds2hdf writes it
        for name, values in columns.items():
            dataset = file.create_dataset(f"page1/columns/{name}", data=values)
            dataset.attrs["units"] = np.bytes_(units.get(name, ""))
        file["page1/parameters/Charge"] = [1e-9]
        file["page1/parameters/Charge"].attrs["units"] = np.bytes_("C")
    back = scb.read_bunch(tmp_path / "bunch.h5")
    assert np.array_equal(back.x.numpy(), columns["x"])
    assert back.intensity.item() == pytest.approx(1e-9 / CHARGE)


def test_particles_of_xsuite_are_read(tmp_path, bunch):
    particles = particles_from(bunch)
    particles.to_json(str(tmp_path / "bunch.json"))
    back = scb.read_bunch(tmp_path / "bunch.json")
    assert_same(back, bunch, 1e-12)
    assert torch.equal(back.alive, bunch.alive)
    with open(tmp_path / "compact.json", "w") as file:
        json.dump(particles.to_dict(compact=True), file, cls=xo.JEncoder)
    assert_same(scb.read_bunch(tmp_path / "compact.json"), bunch, 1e-12)


def test_intensity_of_the_user_comes_first(tmp_path, bunch):
    columns = elegant_columns(make("electron", momentum="10 MeV/c"))
    write_sdds(tmp_path / "bunch.sdds", columns, sdds.SDDS_BINARY, charge=None)
    with pytest.raises(scb.BunchError, match="has no parameter Charge: give intensity="):
        scb.read_bunch(tmp_path / "bunch.sdds")
    found = scb.read_bunch(tmp_path / "bunch.sdds", intensity=1e9)
    assert found.intensity.item() == pytest.approx(1e9)
    scb.write_bunch(tmp_path / "bunch.npz", bunch)
    found = scb.read_bunch(tmp_path / "bunch.npz", intensity=1e9)
    assert found.intensity.item() == pytest.approx(1e9)
    with pytest.raises(scb.BunchError, match=r"intensity = -1\.0: must be finite"):
        scb.read_bunch(tmp_path / "bunch.npz", intensity=-1.0)
