"""Bunch files that are faulty, damaged or cannot be written: one line, and nothing is left."""

from __future__ import annotations

import os
import zipfile

import h5py
import numpy as np
import pytest
import sdds
import torch
from bunch_makers import elegant_columns, make, write_sdds

import sc_bridge as scb


@pytest.fixture
def bunch() -> scb.Bunch:
    return make()


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
