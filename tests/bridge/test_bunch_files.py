"""Bunches in files: back to the last bit, as the libraries read and write them, and refusals."""

from __future__ import annotations

import json
import os
import warnings
import zipfile

import h5py
import numpy as np
import pytest
import sdds
import torch
import xobjects as xo
from scipy.constants import c as C_LIGHT
from scipy.constants import e as CHARGE

import sc_bridge as scb
from sc_bridge.xsuite import particles_from

with warnings.catch_warnings():
    # matplotlib warns of what the library's colour maps do
    warnings.filterwarnings("ignore", "The set_under function")
    from beamphysics import ParticleGroup

# Through SI units and back: a few roundings of float64.
ROUNDING = 1e-14
# ASCII with 13 digits.
PRINTED = 1e-11
LOST = 3


def make(species="proton", n_particles=20, dtype=torch.float64, **energy):
    generator = torch.Generator().manual_seed(5)
    scale = torch.tensor([2e-3, 1e-3, 1e-3, 2e-3, 0.3, 2e-3], dtype=torch.float64)
    coordinates = torch.randn(6, n_particles, generator=generator, dtype=torch.float64)
    alive = torch.arange(n_particles) != LOST
    weight = 1e6 * (1.0 + torch.rand(n_particles, generator=generator, dtype=torch.float64))
    reference = scb.reference(species, **(energy or {"kinetic_energy": "160 MeV"}))
    return scb.Bunch((coordinates * scale[:, None]).to(dtype), reference, weight, alive)


@pytest.fixture
def bunch() -> scb.Bunch:
    return make()


def living(bunch: scb.Bunch) -> scb.Bunch:
    return scb.Bunch(bunch.coordinates[:, bunch.alive], bunch.reference, bunch.weight[bunch.alive])


def group_of(bunch, folder) -> ParticleGroup:
    """The living particles as the library has them."""
    scb.write_bunch(folder / "group.h5", living(bunch))
    return ParticleGroup(str(folder / "group.h5"))


def assert_same(found, expected, tolerance):
    """Coordinates, on the scale of each, weights and reference agree."""
    scale = expected.coordinates.abs().amax(-1, keepdim=True)
    error = ((found.coordinates - expected.coordinates) / scale).abs().max().item()
    assert error < tolerance
    assert torch.allclose(found.weight, expected.weight, rtol=tolerance, atol=0.0)
    assert found.reference.p0c.item() == pytest.approx(expected.reference.p0c.item(), rel=tolerance)


# ---- ours: to the last bit -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["bunch.h5", "bunch.npz"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("n_particles", [1, 20])
def test_a_bunch_comes_back_to_the_last_bit(tmp_path, name, dtype, n_particles):
    bunch = make(dtype=dtype, n_particles=n_particles)
    scb.write_bunch(tmp_path / name, bunch)
    back = scb.read_bunch(tmp_path / name)
    assert back.coordinates.dtype == dtype
    assert torch.equal(back.coordinates, bunch.coordinates)
    assert torch.equal(back.weight, bunch.weight)
    assert torch.equal(back.alive, bunch.alive)
    for field in ("mass0", "q0", "p0c"):
        assert getattr(back.reference, field) == getattr(bunch.reference, field)


@pytest.mark.parametrize("name", ["bunch.h5", "bunch.npz"])
def test_lost_particles_may_hold_anything(tmp_path, bunch, name):
    bunch.coordinates[:, LOST] = torch.tensor([np.nan, np.inf, 0.0, 3.0, 1e300, -5.0])
    scb.write_bunch(tmp_path / name, bunch)
    back = scb.read_bunch(tmp_path / name)
    assert torch.equal(back.coordinates.nan_to_num(7.0), bunch.coordinates.nan_to_num(7.0))
    again = scb.read_bunch(tmp_path / name, reference=scb.reference("proton", momentum="0.6 GeV/c"))
    assert again.sigma_x.item() == pytest.approx(bunch.sigma_x.item(), rel=ROUNDING)


@pytest.mark.parametrize("name", ["bunch.h5", "bunch.npz"])
@pytest.mark.parametrize("species", ["electron", "H-", "antiproton", "alpha", "other"])
def test_any_species_comes_back(tmp_path, name, species):
    reference = (
        scb.reference(mass="12 u", charge="6 e", momentum="2 GeV/c")
        if species == "other"
        else scb.reference(species, total_energy="5 GeV")
    )
    bunch = make().replace(reference=reference)
    scb.write_bunch(tmp_path / name, bunch)
    assert repr(scb.read_bunch(tmp_path / name).reference) == repr(reference)


def test_npz_is_plain_arrays(tmp_path, bunch):
    scb.write_bunch(tmp_path / "bunch.npz", bunch)
    with np.load(tmp_path / "bunch.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["zeta"], bunch.zeta.numpy())
        assert arrays["alive"].dtype == bool
        assert arrays["p0c"] == bunch.reference.p0c.item()


def test_another_reference_leaves_the_particles_where_they_are(tmp_path, bunch):
    scb.write_bunch(tmp_path / "bunch.h5", bunch)
    reference = scb.reference("proton", kinetic_energy="161 MeV")
    other = scb.read_bunch(tmp_path / "bunch.h5", reference=reference)
    px = other.px * other.reference.p0c
    assert torch.allclose(px, bunch.px * bunch.reference.p0c, rtol=ROUNDING, atol=0.0)
    time = other.zeta / other.reference.beta0
    assert torch.allclose(time, bunch.zeta / bunch.reference.beta0, rtol=ROUNDING, atol=0.0)


def test_gradients_do_not_stop_writing(tmp_path, bunch):
    bunch.coordinates.requires_grad_()
    scb.write_bunch(tmp_path / "bunch.h5", bunch)
    assert not scb.read_bunch(tmp_path / "bunch.h5").coordinates.requires_grad


# ---- as ParticleGroup reads it ---------------------------------------------------------------


@pytest.mark.parametrize("species", ["proton", "electron"])
def test_particle_group_reads_what_is_written(tmp_path, species):
    bunch = make(species, kinetic_energy="160 MeV")
    scb.write_bunch(tmp_path / "bunch.h5", bunch)
    group = ParticleGroup(str(tmp_path / "bunch.h5"))
    assert group.species == species
    assert np.array_equal(group.x, bunch.x.numpy())
    p0c, beta0 = bunch.reference.p0c.item(), bunch.reference.beta0.item()
    assert np.allclose(group.px, bunch.px.numpy() * p0c, rtol=ROUNDING, atol=0.0)
    assert np.allclose(group.p, (1.0 + bunch.delta.numpy()) * p0c, rtol=ROUNDING, atol=0.0)
    assert np.allclose(group.t, -bunch.zeta.numpy() / (beta0 * C_LIGHT), rtol=ROUNDING, atol=0.0)
    assert group.in_z_coordinates
    assert np.allclose(group.weight, bunch.weight.numpy() * CHARGE, rtol=ROUNDING, atol=0.0)
    assert np.array_equal(group.status == 1, bunch.alive.numpy())
    alive = group[group.status == 1]
    assert alive["sigma_x"] == pytest.approx(bunch.sigma_x.item(), rel=1e-12)
    # the library's emittance is the unbiased one, of its own rest energy
    share = alive.weight / alive.weight.sum()
    expected = bunch.nemitt_x.item() / (1.0 - np.sum(share**2))
    assert alive["norm_emit_x"] == pytest.approx(expected, rel=1e-7)


def test_energies_are_those_of_the_particles(tmp_path, bunch):
    group = group_of(bunch, tmp_path)
    energy = bunch.reference.energy0 + bunch.ptau * bunch.reference.p0c
    # the library's rest energy is of an older adjustment of the constants
    assert np.allclose(group.energy, energy[bunch.alive].numpy(), rtol=1e-8, atol=0.0)


def test_every_record_of_ours_has_its_unit(tmp_path, bunch):
    scb.write_bunch(tmp_path / "bunch.h5", bunch)
    with h5py.File(tmp_path / "bunch.h5") as file:
        assert file.attrs["openPMDextension"] == b"BeamPhysics;SpeciesType"
        species = file["data/1/particles/proton"]
        assert list(species["zeta"].attrs["unitDimension"]) == [1, 0, 0, 0, 0, 0, 0]
        assert list(species["realParticles"].attrs["unitDimension"]) == [0] * 7
        assert species["normalisedMomentum/x"].attrs["unitSI"] == 1.0


# ---- other codes' files, by the writers of the libraries -------------------------------------


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


def elegant_columns(bunch):
    bunch = living(bunch)
    p0c, mass = bunch.reference.p0c.item(), bunch.reference.mass0.item()
    delta, px, py = bunch.delta.numpy(), bunch.px.numpy(), bunch.py.numpy()
    pz = np.sqrt((1 + delta) ** 2 - px**2 - py**2)
    time = -bunch.zeta.numpy() / (bunch.reference.beta0.item() * C_LIGHT)
    return {
        "x": bunch.x.numpy(),
        "xp": px / pz,
        "y": bunch.y.numpy(),
        "yp": py / pz,
        "t": time,
        "p": (1 + delta) * p0c / mass,
        "particleID": np.arange(bunch.n_particles),
    }


def write_sdds(path, columns, mode, charge=1e-9, pages=1, **units):
    """Write a bunch by the SDDS library of elegant's author."""
    data = sdds.SDDS()
    data.mode = mode
    known = {"x": "m", "y": "m", "t": "s", "p": "m$be$nc"} | units
    if charge is not None:
        data.defineParameter("Charge", "", "C", "", "", data.SDDS_DOUBLE, "")
        data.setParameterValueList("Charge", [charge] * pages)
    data.defineParameter("PreviousElementName", "", "", "", "", data.SDDS_STRING, "")
    data.setParameterValueList("PreviousElementName", ["_BEG_"] * pages)
    for name, values in columns.items():
        kind = data.SDDS_LONG if name == "particleID" else data.SDDS_DOUBLE
        data.defineColumn(name, "", known.get(name, ""), "", "", kind, 0)
        data.setColumnValueLists(name, [values.tolist()] * pages)
    data.save(str(path))


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


# ---- refusals --------------------------------------------------------------------------------


def test_a_batch_is_refused(tmp_path, bunch):
    batch = scb.Bunch(torch.zeros(2, 6, 5), bunch.reference)
    with pytest.raises(scb.BunchError, match=r"a batch of shape \(2,\) cannot be written"):
        scb.write_bunch(tmp_path / "bunch.h5", batch)
    assert not list(tmp_path.iterdir())


def test_an_unknown_suffix_is_refused(tmp_path, bunch):
    with pytest.raises(scb.BunchError, match=r"a bunch is written to \.h5 .* or \.npz"):
        scb.write_bunch(tmp_path / "bunch.csv", bunch)
    scb.write_bunch(tmp_path / "bunch.csv", bunch, format="npz")
    assert scb.read_bunch(tmp_path / "bunch.csv").n_particles == bunch.n_particles


def test_what_the_disk_refuses_leaves_nothing(tmp_path, bunch, monkeypatch):
    with pytest.raises(scb.BunchError, match="cannot be written: No such file or directory"):
        scb.write_bunch(tmp_path / "nowhere" / "bunch.h5", bunch)
    scb.write_bunch(tmp_path / "bunch.h5", bunch)
    before = (tmp_path / "bunch.h5").read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(scb.BunchError, match="cannot be written: full"):
        scb.write_bunch(tmp_path / "bunch.h5", bunch)
    assert [path.name for path in tmp_path.iterdir()] == ["bunch.h5"]
    assert (tmp_path / "bunch.h5").read_bytes() == before


def test_a_written_bunch_has_the_rights_of_other_files(tmp_path, bunch):
    (tmp_path / "other").write_text("")
    scb.write_bunch(tmp_path / "bunch.npz", bunch)
    assert (tmp_path / "bunch.npz").stat().st_mode == (tmp_path / "other").stat().st_mode


COLUMN = b"SDDS1\n&column name=x, type=double &end\n"
BMAD = b"!ASCII::3\nBEGIN_BUNCH\nelectron\n1\n0\n0\n1 2 3\n"
BINARY, TEXT = b"&data mode=binary &end\n", b"&data mode=ascii &end\n"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.h5", None, "no such file: give the path of a bunch"),
        ("a.txt", b"", "is no bunch that can be read: known are openPMD"),
        ("a.txt", b"hello", "is no bunch that can be read"),
        ("a.h5", b"\x89HDF\r\n\x1a\n broken", "cannot be read as openPMD beam physics"),
        ("a.npz", b"PK\x03\x04 broken", "is no whole archive"),
        ("a.json", b"{", "cannot be read as JSON of xtrack.Particles"),
        ("a.json", b'{"x": [1]}', "is JSON, but no xtrack.Particles: it has no 'px'"),
        ("a.json", b'{"x":' + b"[" * 100_000, "cannot be read as|too deeply nested"),
        ("a.sdds", b"SDDS1\n&column name=x, type=double, &end\n", "has no &data command"),
        ("a.sdds", b"SDDS1\nhello\n", "'hello' is no command"),
        ("a.sdds", b"SDDS1\n&include filename=/etc/passwd &end\n", "&include names another file"),
        ("a.sdds", COLUMN.replace(b"double", b"duble") + TEXT, "of type 'duble'"),
        ("a.sdds", COLUMN + BINARY + b"\xff\xff\xff\x7f", "ends in the middle"),
        ("a.sdds", COLUMN + TEXT + b"2\n1.0\n", "ends in the middle"),
        ("a.sdds", COLUMN + TEXT + b"1\n1.0\n", "has no column 'xp'"),
        ("a.sdds", COLUMN.replace(b"column", b"array") + TEXT, "SDDS arrays"),
        ("a.sdds", b"SDDS1\n&data mode=xml &end\n1\n", "of mode 'xml'"),
        ("a.bmad", BMAD, "END_BUNCH is missing"),
        ("a.bmad", BMAD + b"END_BUNCH\n", "has 3 columns, not 8"),
        ("a.bmad", b"!ASCII::3\n", "holds 0 bunches, not 1"),
        ("a.ini", b"1 2 3 4 5 6 7 8 9 10\n1 2 3\n", "cannot be read as ASTRA"),
        ("a.ini", b"0 0 0 0 0 5e6 0 0 1 5\n", "holds only a reference particle"),
        ("a.ini", b"0 0 0 0 0 5e6 0 1 9 5\n", "of kinds \\[9.0\\]"),
        ("a.ini", b"0 0 0 0 0 5e6 0 1 4 5\n", "unknown species 'hydrogen'"),
        ("a.ini", b"0 0 0 0 0 -5e6 0 1 1 5\n", "lives with pz = -5e\\+06 eV/c"),
        ("a.ini", b"nan 0 0 0 0 5e6 0 1 1 5\n", "is no bunch"),
        ("a.ini", b"0 0 0 0 0 5e6 0 1 1 5\nnan 0 0 0 0 0 0 1 1 5\n", "particle 1 lives but"),
        ("a.ini", b"0 0 0 0 0 5e6 0 1 1 -15\n", "all 1 particles are lost"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_one_line(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(scb.BunchError, match=message) as caught:
        scb.read_bunch(tmp_path / name)
    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(scb.BunchError, match="no format 'opal': known are openpmd, npz"):
        scb.read_bunch(tmp_path / "a", format="opal")
    with pytest.raises(scb.BunchError, match="is no regular file"):
        scb.read_bunch(tmp_path)


def damaged(folder, change, name="bunch.h5"):
    scb.write_bunch(folder / name, make())
    with h5py.File(folder / name, "a") as file:
        change(file)
    return folder / name


def claim(file):
    species = file["data/1/particles/proton"]
    species.attrs["numParticles"] = 10**9
    for name in list(species):
        del species[name]
    for name in ("position/x", "momentum/x"):
        species.create_group(name).attrs.update({"value": 0.0, "shape": [10**9], "unitSI": 1.0})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.__delitem__("openPMD"), "HDF5, but no openPMD"),
        (lambda file: file.create_group("data/2/particles"), "holds 2 iterations, not 1"),
        (lambda file: file.create_group("data/1/particles/electron"), "holds 2 species"),
        (lambda file: file.__delitem__("data/1/particles/proton/position"), "no record position"),
        (lambda file: file.__delitem__("data/1/particles/proton/zeta"), "cannot be read as.*zeta"),
        (claim, "of 1000000000 values cannot be in a file of"),
    ],
)
def test_a_damaged_openpmd_file_is_refused(tmp_path, change, message):
    with pytest.raises(scb.BunchError, match=message):
        scb.read_bunch(damaged(tmp_path, change))


def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, bunch):
    for name in ("bunch.h5", "bunch.npz"):
        scb.write_bunch(tmp_path / name, bunch)
        content = (tmp_path / name).read_bytes()
        for part in np.linspace(0, len(content) - 1, 40).astype(int):
            (tmp_path / name).write_bytes(content[:part])
            with pytest.raises(scb.BunchError, match=name):
                scb.read_bunch(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": np.zeros(3)}, "array 'px' has shape"),
        ({"x": None}, "has no array 'x'"),
        ({"x": np.array([{}] * 20, dtype=object)}, "cannot be loaded when allow_pickle=False"),
        ({"p0c": np.float64(-1.0)}, "p0c = -1.0 eV: must be positive"),
        ({"x": np.zeros(20, dtype=int)}, "must be float64 or float32"),
    ],
)
def test_a_faulty_archive_is_refused(tmp_path, bunch, change, message):
    scb.write_bunch(tmp_path / "bunch.npz", bunch)
    with np.load(tmp_path / "bunch.npz") as file:
        arrays = dict(file) | change
    np.savez(tmp_path / "bunch.npz", **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(scb.BunchError, match=message):
        scb.read_bunch(tmp_path / "bunch.npz")


def test_an_archive_that_unpacks_to_very_much_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", b"\0" * 10**7)
    with pytest.raises(scb.BunchError, match="unpacks to 10000000 bytes: is no bunch"):
        scb.read_bunch(tmp_path / "bomb.npz")


def test_two_pages_or_other_units_are_refused(tmp_path):
    columns = elegant_columns(make("electron", momentum="10 MeV/c"))
    for mode in (sdds.SDDS_BINARY, sdds.SDDS_ASCII):
        write_sdds(tmp_path / "two.sdds", columns, mode, pages=2)
        with pytest.raises(scb.BunchError, match="holds more than one page"):
            scb.read_bunch(tmp_path / "two.sdds")
    write_sdds(tmp_path / "mm.sdds", columns, sdds.SDDS_BINARY, x="mm")
    with pytest.raises(scb.BunchError, match="column x is in 'mm': must be in 'm'"):
        scb.read_bunch(tmp_path / "mm.sdds")


def test_another_species_than_that_of_the_reference_is_refused(tmp_path, bunch):
    scb.write_bunch(tmp_path / "bunch.h5", bunch)
    electrons = scb.reference("electron", momentum="1 GeV/c")
    with pytest.raises(scb.BunchError, match="holds particles of species 'proton', but"):
        scb.read_bunch(tmp_path / "bunch.h5", reference=electrons)
    with pytest.raises(scb.UnitError, match="reference_time"):
        scb.read_bunch(tmp_path / "bunch.h5", reference_time="1 m")
