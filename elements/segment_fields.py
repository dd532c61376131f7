"""Fields of a line segment map: Xsuite's keywords, and what its files hold instead of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from .base import Number, Numbers
from .errors import ElementError
from .misalignment import Alignment

Pair: TypeAlias = Number | Numbers

# by the numbers under which Xsuite's files hold them
LONGITUDINAL_MODES = ("frozen", "linear_fixed_qs", "nonlinear", "linear_fixed_rf")
# value at the entry and at the exit
PAIRS = {
    "betx": 1.0,
    "bety": 1.0,
    "alfx": 0.0,
    "alfy": 0.0,
    "dx": 0.0,
    "dpx": 0.0,
    "dy": 0.0,
    "dpy": 0.0,
    "x_ref": 0.0,
    "px_ref": 0.0,
    "y_ref": 0.0,
    "py_ref": 0.0,
}
NUMBERS = {
    "det_xx": 0.0,
    "det_xy": 0.0,
    "det_yx": 0.0,
    "det_yy": 0.0,
    "energy_increment": 0.0,
    "energy_ref_increment": 0.0,
    "qs": 0.0,
    "bets": 1.0,
    "bucket_length": -1.0,
    "momentum_compaction_factor": 0.0,
}
CHROMATICITIES = ("dq", "ddq", "dnq", "coeffs_dq")
_RF_LISTS = ("voltage_rf", "frequency_rf", "lag_rf", "phase_rf")
_COORDINATES = ("x", "px", "y", "py", "zeta", "pzeta")
_NOISE = (
    *(f"gauss_noise_ampl_{name}" for name in _COORDINATES),
    "uncorrelated_gauss_noise",
    "correlated_gauss_noise",
)


class SegmentFields(Alignment, total=False):
    """Keywords of `LineSegmentMap` beside its length and its longitudinal mode."""

    qx: Number
    qy: Number
    dqx: Number
    dqy: Number
    ddqx: Number
    ddqy: Number
    dnqx: Numbers
    dnqy: Numbers
    coeffs_dqx: Numbers
    coeffs_dqy: Numbers
    det_xx: Number
    det_xy: Number
    det_yx: Number
    det_yy: Number
    betx: Pair
    bety: Pair
    alfx: Pair
    alfy: Pair
    dx: Pair
    dpx: Pair
    dy: Pair
    dpy: Pair
    x_ref: Pair
    px_ref: Pair
    y_ref: Pair
    py_ref: Pair
    longitudinal_mode_flag: int
    qs: Number | None
    bets: Number | None
    bucket_length: Number | None
    momentum_compaction_factor: Number | None
    slippage_length: Number | None
    voltage_rf: Pair | None
    frequency_rf: Pair | None
    lag_rf: Pair | None
    phase_rf: Pair | None
    energy_increment: Number
    energy_ref_increment: Number
    damping_rate_x: Number
    damping_rate_px: Number
    damping_rate_y: Number
    damping_rate_py: Number
    damping_rate_zeta: Number
    damping_rate_pzeta: Number
    damping_matrix: Any
    damping_factors: Any
    uncorrelated_rad_damping: bool
    correlated_rad_damping: bool
    gauss_noise_ampl_x: float
    gauss_noise_ampl_px: float
    gauss_noise_ampl_y: float
    gauss_noise_ampl_py: float
    gauss_noise_ampl_zeta: float
    gauss_noise_ampl_pzeta: float
    gauss_noise_matrix: Any
    uncorrelated_gauss_noise: bool
    correlated_gauss_noise: bool


def refuse_noise(label: str, given: dict[str, Any]) -> None:
    """Take the fields of random noise, and raise if there is any."""
    wanted = [name for name in _NOISE if given.pop(name, 0)]
    matrix = given.pop("gauss_noise_matrix", None)
    if matrix is not None and bool(torch.as_tensor(matrix).any()):
        wanted.append("gauss_noise_matrix")
    if wanted:
        raise ElementError(
            f"{label}: {wanted[0]}: random noise has no gradient and cannot be tracked twice "
            "alike: leave it out"
        )


def longitudinal_mode(label: str, given: dict[str, Any], mode: str | None) -> str:
    """Return the mode that is given, or that the given fields ask for, and drop absent fields."""
    number = given.pop("longitudinal_mode_flag", None)
    for name in [name for name, value in given.items() if value is None]:
        del given[name]
    if mode is not None:
        return mode
    if number is not None:
        if number not in range(len(LONGITUDINAL_MODES)):
            raise ElementError(f"{label}: longitudinal_mode_flag = {number}: must be 0, 1, 2 or 3")
        return LONGITUDINAL_MODES[int(number)]
    if "qs" in given:
        return "linear_fixed_qs"
    rf = given.get("voltage_rf")
    return "frozen" if rf is None or not _is_any(rf) else "nonlinear"


def chromatic_coefficients(label: str, plane: str, tune: Number, options: dict[str, Any]) -> Any:
    """Return Taylor coefficients of the tune in delta, the tune itself first."""
    if options["coeffs_dq"] is not None:
        return options["coeffs_dq"]
    higher = [0.0 if options[name] is None else options[name] for name in ("dq", "ddq")]
    if options["dnq"] is not None:
        if any(map(_is_any, (tune, *higher))):
            raise ElementError(
                f"{label}: dnq{plane} holds the tune and all chromaticities: "
                f"leave out q{plane}, dq{plane} and ddq{plane}"
            )
        given = options["dnq"]
        derivatives = list(given.unbind(-1) if isinstance(given, Tensor) else given)
    else:
        # Xsuite leaves out one that is 0, which then counts as the next
        derivatives = [tune, *(value for value in higher if _is_any(value))]
    return _stacked([value / math.factorial(n) for n, value in enumerate(derivatives)])


def rf_lists(label: str, given: dict[str, Any]) -> dict[str, Any]:
    """Take the lists of the RF systems, all of one length."""
    lists = {name: given.pop(name, None) for name in _RF_LISTS}
    found = {name: _as_list(value) for name, value in lists.items() if value is not None}
    systems = max((_entries(value) for value in found.values()), default=1)
    for name, value in found.items():
        if _entries(value) != systems:
            raise ElementError(
                f"{label}: {name} has {_entries(value)} entries, others have {systems}"
            )
    return {name: found.get(name, [0.0] * systems) for name in _RF_LISTS}


def damping_factors(label: str, given: dict[str, Any]) -> Any:
    """Take the fields of damping and return the matrix that multiplies the coordinates."""
    rates = torch.stack(
        torch.broadcast_tensors(
            *(
                torch.as_tensor(given.pop(f"damping_rate_{name}", 0.0), dtype=torch.float64)
                for name in _COORDINATES
            )
        ),
        dim=-1,
    )
    uncorrelated = given.pop("uncorrelated_rad_damping", False)
    correlated = given.pop("correlated_rad_damping", False)
    matrix, factors = given.pop("damping_matrix", None), given.pop("damping_factors", None)
    if bool((rates < 0).any()):
        raise ElementError(f"{label}: damping rates {rates.tolist()}: must not be negative")
    if _is_any(rates) and matrix is not None:
        raise ElementError(f"{label}: damping_rate_* and damping_matrix: give one of them")
    identity = torch.eye(6, dtype=torch.float64)
    if matrix is not None:
        return identity + torch.as_tensor(matrix, dtype=torch.float64)
    if _is_any(rates):
        return identity - torch.diag_embed(rates)
    if factors is None or not (uncorrelated or correlated):
        return identity
    full = torch.as_tensor(factors, dtype=torch.float64)
    return full if correlated else full * identity


def _is_any(value: Any) -> bool:
    return bool(torch.as_tensor(value).any())


def _as_list(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.dim() else value.unsqueeze(-1)
    return value if isinstance(value, Sequence) else [value]


def _entries(value: Any) -> int:
    return value.shape[-1] if isinstance(value, Tensor) else len(value)


def _stacked(values: list[Any]) -> Any:
    """Return a list of numbers, or the tensor that holds them along its last axis."""
    if not any(isinstance(value, Tensor) for value in values):
        return values
    tensors = [torch.as_tensor(value, dtype=torch.float64) for value in values]
    return torch.stack(torch.broadcast_tensors(*tensors), dim=-1)
