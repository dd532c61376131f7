"""Constants, functions and names of particles that Bmad and PALS have in common."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from sc_bridge.expressions import Call, Expression, Number
from sc_bridge.expressions.algebra import ONE, add, call, divide, multiply, subtract
from sc_bridge.species import SPECIES, Species

_CHARGE = 1.602176634e-19  # C, exact
_C = 299792458.0  # m/s, exact

# CODATA 2022, in the units of the standard (eV, m, s)
CONSTANTS: dict[str, float] = {
    "pi": math.pi,
    "c_light": _C,
    "h_planck": 4.135667696923859e-15,
    "h_bar": 6.582119569509067e-16,
    "h_bar_planck": 6.582119569509067e-16,
    "hbar": 6.582119569509067e-16,
    "k_boltzmann": 8.617333262145179e-5,
    "r_e": 2.8179403205e-15,
    "r_electron": 2.8179403205e-15,
    "r_p": 1.5346982647e-18,
    "r_proton": 1.5346982647e-18,
    "e_charge": _CHARGE,
    "fine_structure": 7.2973525643e-3,
    "fine_structure_const": 7.2973525643e-3,
    "n_avogadro": 6.02214076e23,
    "classical_radius_factor": 1.4399645468825422e-09,  # e^2/(4 pi epsilon_0), eV m
}


def _inverse(function: str, x: Expression) -> Expression:
    return divide(ONE, Call(function, (x,)))


def _log_of_root(sign: float, x: Expression) -> Expression:
    """Inverse hyperbolic sine (+1) or cosine (-1)."""
    root = call("sqrt", add(multiply(x, x), Number(sign)))
    return call("log", add(x, root))


def _atanh(x: Expression) -> Expression:
    return multiply(call("log", divide(add(ONE, x), subtract(ONE, x))), 0.5)


def _modulo(a: Expression, b: Expression) -> Expression:
    return subtract(a, multiply(call("floor", divide(a, b)), b))


FUNCTIONS: dict[str, str | Callable[..., Expression]] = {
    name: name
    for name in (
        "sqrt", "log", "exp", "sin", "cos", "tan", "sinc", "asin", "acos", "atan", "atan2",
        "sinh", "cosh", "tanh", "abs", "sign", "floor",
    )
}  # fmt: skip
FUNCTIONS |= {
    "int": "trunc",
    "nint": "round",
    "ceiling": "ceil",
    "cot": partial(_inverse, "tan"),
    "coth": partial(_inverse, "tanh"),
    "asinh": partial(_log_of_root, 1.0),
    "acosh": partial(_log_of_root, -1.0),
    "atanh": _atanh,
    "modulo": _modulo,
}

_OTHER_NAMES = {
    "anti-proton": "antiproton",
    "anti-electron": "positron",
    "anti-muon": "antimuon",
    "muon-": "muon",
    "muon+": "antimuon",
    "h-": "H-",
    "h_minus": "H-",
    "#1h-1": "H-",
    "#1h-": "H-",
    "#2h+1": "deuteron",
    "#2h+": "deuteron",
    "#3h+1": "triton",
    "#3he+2": "helion",
    "#3he++": "helion",
    "#4he+2": "alpha",
    "#4he++": "alpha",
    "he++": "alpha",
}


def species_of(name: str) -> Species | None:
    """Return a species by openPMD's name, None if it is not known."""
    key = name.strip().strip("'\"").lower()
    return SPECIES.get(_OTHER_NAMES.get(key, key))
