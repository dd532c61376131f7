"""elegant's element types, and how a shortened or lengthened word finds its type."""

from __future__ import annotations

import functools


def words(text: str) -> list[str]:
    """Return the words of a text: how long tables are written here."""
    return text.split()


# entity_name of elegant's track_data.c
TYPES = words(
    "ALPH APCONTOUR BEAMBEAM BEDGE BGGEXP BMAPXY BMXYZ BOFFAXE BRANCH BRAT BUMPER CCBEND CENTER "
    "CEPL CHARGE CKICKER CLEAN CORGPIPE CORGPLATES CPICKUP CSBEND CSRCSBEND CSRDRIFT CWAKE "
    "CWIGGLER DQCOR DRIF DSCATTER ECOL EDRIFT EHKICK EKICKER ELSE EMATRIX EMITTANCE ENERGY EVKICK "
    "FLOOR FMULT FRFMODE FTABLE FTRFMODE GFWIGGLER GKICKMAP HISTOGRAM HKICK HKPOLY HMON IBSCATTER "
    "ILMATRIX IMPEDANCE IONEFFECTS KICKER KOCT KPOLY KQUAD KQUSE KSBEND KSEXT LGBEND LMIRROR "
    "LRWAKE LSCDRIFT LSRMDLTR LTHINLENS MAGNIFY MALIGN MAPSOLENOID MARK MATR MATTER MAXAMP MBUMPER "
    "MHISTOGRAM MODRF MONI MRFDF MULT NIBEND NISEPT OCTU PEPPOT PFILTER POLAR POLYSERIES QUAD "
    "QUFRINGE RAMPP RAMPRF RBEN RCOL RECIRC REFLECT REMCOR RFCA RFCW RFDF RFMODE RFTM110 RFTMEZ0 "
    "RIMULT RMDF ROTATE SAMPLE SBEN SCATTER SCMULT SCRAPER SCRIPT SEXT SHRFDF SLICE SOLE SPEEDBUMP "
    "SREFFECTS STRAY TAPERAPC TAPERAPE TAPERAPR TFBDRIVER TFBPICKUP TMCF TRCOUNT TRFMODE TRWAKE "
    "TSCATTER TUBEND TWISS TWLA TWMTA TWPL UKICKMAP VKICK VMON WAKE WATCH WIGGLER ZLONGIT "
    "ZTRANSVERSE"
)

_EXACT = frozenset(TYPES)


@functools.lru_cache(maxsize=1024)
def types_like(word: str) -> list[str]:
    """Return the types that a word may mean: itself, or all that it begins or that begin it.

    Examples
    --------
    >>> types_like("QUADRUPOLE"), types_like("CSRCSBEN"), types_like("RFC")
    (['QUAD'], ['CSRCSBEND'], ['RFCA', 'RFCW'])
    """
    if word in _EXACT:
        return [word]
    return [t for t in TYPES if word.startswith(t) or t.startswith(word)]
