"""Bunches in our files: back to the last bit, and as ParticleGroup reads them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch
from bunch_makers import LOST, ROUNDING, ParticleGroup, group_of, make
from scipy.constants import c as C_LIGHT
from scipy.constants import e as CHARGE

import sc_bridge as scb


@pytest.fixture
def bunch() -> scb.Bunch:
    return make()


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
