"""The public surface, name by name: a new one is a decision, not an accident."""

from __future__ import annotations

import ast
import importlib
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PUBLIC = {
    "sc_bridge": """
        Audit AuditError BetatronFraction Bunch BunchError BunchMonitor Checkpoint ElementError
        ExpressionError KickedSequence KicksPerElement Lattice LatticeError MaxSpacing
        MomentsMonitor PerElement PlasmaFraction ReconstructionError RecordAll Reference
        Reversible ScBridgeError SpaceCharge SpaceChargeError StoreStates Strang StudyError
        TrackResult Twiss UnitError Yoshida cold_sphere gaussian kurth kv periodic_twiss plot
        read_bunch read_lattice reference semi_gaussian track uniform_ellipsoid waterbag
        write_bunch
    """,
    "sc_bridge.elements": """
        Aperture Bend Bunch Cavity CrabCavity Device DipoleEdge Drift DriftExact
        DriftSlice Edge Element Elens FirstOrderTaylorMap Inverse LimitEllipse
        LimitPolygon LimitRacetrack LimitRect LimitRectEllipse LinacCavity LineSegmentMap
        LongitudinalLimitRect Magnet Marker Misalignable Multipole MultipoleEdge
        NonLinearLens Octupole Quadrupole RBend RFMultipole Reference
        ReferenceEnergyChange ReferenceEnergyIncrease Rotation SRotation
        SecondOrderTaylorMap Sextupole Slice Solenoid SpaceChargeBiGaussian State ThinSlice
        TimeDelay Translation UniformSolenoid VariableSolenoid Wedge Wire XRotation XYShift
        YRotation ZetaShift
    """,
    "sc_bridge.memory": """
        Law Measurement Plan fit measure plan
    """,
    "sc_bridge.xsuite": """
        Problem SpaceCharge3D bunch_from from_line gradient install_space_charge particles_from
        sequences_from to_environment to_line
    """,
}


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_those_of_the_list(module):
    imported = importlib.import_module(module)
    names = {
        name
        for name, value in vars(imported).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert names == set(PUBLIC[module].split())


@pytest.mark.parametrize(
    "path",
    [
        "sc_bridge/__init__.py",
        "elements/__init__.py",
        "sc_bridge/memory/__init__.py",
        "sc_bridge/xsuite/__init__.py",
    ],
)
def test_public_names_are_exported_as_themselves(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                assert alias.asname == alias.name, f"{path}: {alias.name}: write `X as X`"


@pytest.mark.parametrize("module", PUBLIC)
def test_everything_public_is_documented(module):
    imported = importlib.import_module(module)
    for name in PUBLIC[module].split():
        assert (getattr(imported, name).__doc__ or "").strip(), f"{module}.{name}"
