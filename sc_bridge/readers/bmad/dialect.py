"""Expressions of Bmad: `name[attribute]`, its constants, masses of particles."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from sc_bridge.errors import ExpressionError
from sc_bridge.expressions import Dialect, Expression, InfixParser, Number, Variable
from sc_bridge.readers.common_names import CONSTANTS as COMMON
from sc_bridge.readers.common_names import FUNCTIONS, species_of
from sc_bridge.species import SPECIES

_NEUTRON = 939565421.94  # eV, CODATA 2022
_PION = 139570390.0  # eV, Particle Data Group 2022
_PION_0 = 134976800.0

CONSTANTS: dict[str, float] = {
    **COMMON,
    "twopi": 2.0 * math.pi,
    "fourpi": 4.0 * math.pi,
    "e_log": math.e,
    "sqrt_2": math.sqrt(2.0),
    "degrad": 180.0 / math.pi,
    "degrees": math.pi / 180.0,
    "raddeg": math.pi / 180.0,
    "fine_struct_const": COMMON["fine_structure"],
    "m_electron": SPECIES["electron"].mass0,
    "m_proton": SPECIES["proton"].mass0,
    "m_muon": SPECIES["muon"].mass0,
    "m_deuteron": SPECIES["deuteron"].mass0,
    "m_helion": SPECIES["helion"].mass0,
    "m_neutron": _NEUTRON,
    "m_pion_charged": _PION,
    "m_pion_0": _PION_0,
    "emass": SPECIES["electron"].mass0 * 1e-9,
    "pmass": SPECIES["proton"].mass0 * 1e-9,
    "anom_moment_electron": 1.15965218046e-3,
    "anom_moment_proton": 1.79284734463,
}

DIALECT = Dialect(
    "Bmad",
    functions=FUNCTIONS,
    names=r"[A-Za-z_][A-Za-z0-9_.]*",
    references=r"[A-Za-z_][A-Za-z0-9_.#]*\s*\[\s*[A-Za-z0-9_.%]+\s*\]",
    powers=("^",),
)
_PARTICLE = re.compile(r"\b(mass_of|charge_of)\s*\(([^()]*)\)", re.IGNORECASE)


def _version_free(name: str) -> Expression:
    return Number(CONSTANTS[name]) if name in CONSTANTS else Variable(name)


_PARSER = InfixParser(DIALECT, _version_free, Variable)


@lru_cache(maxsize=20_000)
def _parsed(text: str) -> Expression:
    return _PARSER.parse(_PARTICLE.sub(_particle, text), "")


def _particle(match: re.Match[str]) -> str:
    species = species_of(match[2])
    if species is None:
        raise ExpressionError(f": particle {match[2]!r} is not known")
    return repr(species.mass0 if match[1].lower() == "mass_of" else species.q0)


def parse(text: str, place: str) -> Expression:
    """Return the tree of Bmad text; `q[k1]` becomes a variable of that name.

    Raises
    ------
    ExpressionError
        If it is no expression.
    """
    try:
        return _parsed(text.strip())
    except ExpressionError as error:
        raise ExpressionError(f"{place}{error}") from None
