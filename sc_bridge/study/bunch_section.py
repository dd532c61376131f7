"""The section of the bunch: which distribution needs which numbers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ..errors import StudyError
from .quantities import Length, NotNegative, Positive, Pure, Section

# Numbers of a bunch that a study may differentiate with respect to, and their units.
NUMBERS = {
    "intensity": "1",
    "nemitt_x": "m",
    "nemitt_y": "m",
    "sigma_x": "m",
    "sigma_px": "1",
    "sigma_y": "m",
    "sigma_py": "1",
    "sigma_z": "m",
    "sigma_delta": "1",
    "radius": "m",
}
_EMITTANCES = ("nemitt_x", "nemitt_y")
_SIZES = ("sigma_x", "sigma_px", "sigma_y", "sigma_py")

_OptionalLength = Annotated[Length, NotNegative] | None
_OptionalNumber = Annotated[Pure, NotNegative] | None


class TwissSection(Section):
    """Optics at the start of the line, instead of the periodic ones."""

    betx: Annotated[Length, Positive, Field(description="beta function in x")]
    alfx: Annotated[Pure, Field(description="alpha in x")] = 0.0
    bety: Annotated[Length, Positive, Field(description="beta function in y")]
    alfy: Annotated[Pure, Field(description="alpha in y")] = 0.0
    dx: Annotated[Length, Field(description="dispersion in x, by delta")] = 0.0
    dpx: Annotated[Pure, Field(description="its slope")] = 0.0
    dy: Annotated[Length, Field(description="dispersion in y, by delta")] = 0.0
    dpy: Annotated[Pure, Field(description="its slope")] = 0.0


class BunchSection(Section):
    """The bunch at the start of the line: a distribution, or a file."""

    distribution: Annotated[
        Literal[
            "gaussian",
            "waterbag",
            "kv",
            "kurth",
            "uniform_ellipsoid",
            "semi_gaussian",
            "cold_sphere",
        ],
        Field(description="what is drawn, matched to the lattice without space charge"),
    ] = "gaussian"
    file: Annotated[
        str | None, Field(min_length=1, description="bunch to read instead; relative to the study")
    ] = None
    format: Annotated[str | None, Field(description="of that file; by default told by it")] = None
    n_particles: Annotated[
        int | None, Field(ge=1, le=10**9, description="macroparticles; those of a file by default")
    ] = None
    intensity: Annotated[
        _OptionalNumber, Field(description="real particles; those of a file by default")
    ] = None
    nemitt_x: Annotated[_OptionalLength, Field(description="normalised rms emittance")] = None
    nemitt_y: Annotated[_OptionalLength, Field(description="normalised rms emittance")] = None
    sigma_x: Annotated[_OptionalLength, Field(description="rms size, instead of emittances")] = None
    sigma_px: Annotated[_OptionalNumber, Field(description="rms of Px/P0, with sigma_x")] = None
    sigma_y: Annotated[_OptionalLength, Field(description="rms size, with sigma_x")] = None
    sigma_py: Annotated[_OptionalNumber, Field(description="rms of Py/P0, with sigma_x")] = None
    sigma_z: Annotated[_OptionalLength, Field(description="rms of zeta")] = None
    sigma_delta: Annotated[
        _OptionalNumber, Field(description="rms of delta; by default that of the RF bucket")
    ] = None
    radius: Annotated[_OptionalLength, Field(description="of a cold sphere, in its rest frame")] = (
        None
    )
    twiss: Annotated[
        TwissSection | None, Field(description="optics; by default the lattice's periodic ones")
    ] = None
    seed: Annotated[int, Field(ge=0, lt=2**63, description="of the random numbers")] = 0

    @property
    def shape(self) -> tuple[str, ...]:
        """Numbers that the distribution takes, besides the intensity."""
        if self.file is not None:
            return ()
        if self.distribution == "cold_sphere":
            return ("radius",)
        sizes = any(getattr(self, name) is not None for name in _SIZES)
        return (*(_SIZES if sizes else _EMITTANCES), "sigma_z", "sigma_delta")

    @model_validator(mode="after")
    def _check_numbers(self) -> BunchSection:
        if self.file is not None:
            self._refuse_others(("intensity", "n_particles"), "the file")
            return self
        for name in ("n_particles", "intensity", *self.shape):
            if getattr(self, name) is None and name != "sigma_delta":
                raise StudyError(f".{name} is missing")
        self._refuse_others(("n_particles", "intensity", *self.shape), self.distribution)
        if self.twiss is not None and "nemitt_x" not in self.shape:
            raise StudyError(f".twiss: {self.distribution} by size takes no optics: leave it out")
        return self

    def _refuse_others(self, wanted: tuple[str, ...], what: str) -> None:
        """Refuse numbers that nothing would use."""
        given = [name for name in NUMBERS if getattr(self, name) is not None]
        other = next((name for name in given if name not in wanted), None)
        if other is not None:
            raise StudyError(
                f".{other} = {getattr(self, other):.6g}: {what} takes {', '.join(wanted)}: "
                "leave the other out"
            )
