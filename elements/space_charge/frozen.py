"""SpaceChargeBiGaussian: Xsuite's frozen and quasi-frozen space-charge kick."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import sums
from ..base import Element, Number, State
from ..bunch import Bunch
from ..errors import ElementError
from ..passing import track_transport
from ..reference import Reference
from .bassetti_erskine import gaussian_field

# The elementary charge of Xsuite's kernels, C.
_QELEM = 1.60217662e-19
# q closer to 1 than this is a Gaussian, as in Xsuite.
_GAUSSIAN = 1e-6


class SpaceChargeBiGaussian(Element):
    """Thin transverse kick by a Gaussian charge of fixed size, q-Gaussian along the bunch.

    Parameters
    ----------
    length : float or Tensor, m
        Length whose effect the kick carries.
    number_of_particles : float or Tensor
        Real particles in the whole bunch.
    sigma_x, sigma_y : float or Tensor, m
    mean_x, mean_y : float or Tensor, m
    sigma_z : float or Tensor, m
    z0 : float or Tensor, m
        Centre of the bunch along zeta.
    q_parameter : float
        1 is a Gaussian, below 1 it has an end, up to 5/3 it has longer tails.
    update_on_track : bool
        Quasi-frozen: take number, means and sizes from the bunch that passes.

    Raises
    ------
    ElementError
        If a size is not positive, or q is out of range.

    Validity: a bunch that keeps a Gaussian transverse shape; no longitudinal kick. Symplectic
    if frozen: the kick is the gradient of a potential in x and y, up to the variation of the line
    density along the bunch, which acts on no momentum here (as in Xsuite). The kick depends on
    positions only, so that it is undone exactly.
    Cost: two evaluations of the Faddeeva function a particle (scipy, on the CPU).

    References
    ----------
    xfields 0.27.5, spacechargebigaussian.h and qgaussian.h.
    """

    is_map = False

    def __init__(
        self,
        length: Number = 0.0,
        number_of_particles: Number = 0.0,
        sigma_x: Number = 1.0,
        sigma_y: Number = 1.0,
        sigma_z: Number = 1.0,
        mean_x: Number = 0.0,
        mean_y: Number = 0.0,
        z0: Number = 0.0,
        q_parameter: float = 1.0,
        update_on_track: bool = False,
    ) -> None:
        super().__init__()
        self._register(
            length=length,
            number_of_particles=number_of_particles,
            sigma_x=sigma_x,
            sigma_y=sigma_y,
            sigma_z=sigma_z,
            mean_x=mean_x,
            mean_y=mean_y,
            z0=z0,
        )
        for name in ("sigma_x", "sigma_y", "sigma_z"):
            size = getattr(self, name).detach()
            if not bool((size > 0).all()):
                raise ElementError(f"{self.label}: {name} = {size.tolist()} m: must be positive")
        if not q_parameter < 5.0 / 3.0:
            raise ElementError(f"{self.label}: q_parameter = {q_parameter}: must be below 5/3")
        self.q_parameter = q_parameter
        self.update_on_track = update_on_track

    def track(self, bunch: Bunch) -> Bunch:
        return self._kick(bunch, 1.0)

    def undo_track(self, bunch: Bunch) -> Bunch:
        return self._kick(bunch, -1.0)

    def _kick(self, bunch: Bunch, weight: float) -> Bunch:
        source = self._updated(bunch) if self.update_on_track else self._own(bunch.x)

        def transport(state: State, reference: Reference) -> State:
            return self._pushed(state, reference, weight, source)

        return track_transport(transport, bunch)

    def body(self, state: State, reference: Reference, weight: float) -> State:
        if self.update_on_track:
            raise ElementError(
                f"{self.label}: the field depends on weights and on who is alive: call track(bunch)"
            )
        return self._pushed(state, reference, weight, self._own(state.x))

    def _own(self, like: Tensor) -> dict[str, Tensor]:
        names = ("number_of_particles", "mean_x", "mean_y", "sigma_x", "sigma_y")
        return {name: self._aligned(name, like) for name in names}

    def _updated(self, bunch: Bunch) -> dict[str, Tensor]:
        """Number, means and sizes of the bunch, ready to broadcast; Xsuite weights them alike."""
        weight = bunch.weight * bunch.alive
        found = {"number_of_particles": sums.total(weight)}
        for axis in ("x", "y"):
            found[f"mean_{axis}"] = bunch.mean(axis)
            found[f"sigma_{axis}"] = bunch.sigma(axis)
        return {name: value.unsqueeze(-1) for name, value in found.items()}

    def _pushed(
        self, state: State, reference: Reference, weight: float, source: dict[str, Tensor]
    ) -> State:
        ex, ey = gaussian_field(
            state.x - source["mean_x"],
            state.y - source["mean_y"],
            source["sigma_x"],
            source["sigma_y"],
        )
        # q0 QELEM E L/(gamma0^2 beta0 c P0), P0 c = p0c QELEM
        strength = (
            weight
            * self._aligned("length", state.x)
            * reference.q0**2
            * _QELEM
            * reference.inverse_gamma0_squared
            / (reference.beta0 * reference.p0c)
            * source["number_of_particles"]
            * self._line_density(state.zeta)
        )
        return state._replace(px=state.px + strength * ex, py=state.py + strength * ey)

    def _line_density(self, zeta: Tensor) -> Tensor:
        """q-Gaussian of unit area at `zeta`, 1/m."""
        q = self.q_parameter
        sigma, centre = self._aligned("sigma_z", zeta), self._aligned("z0", zeta)
        beta = 1.0 / (sigma**2 * (5.0 - 3.0 * q))
        square = beta * (zeta - centre) ** 2
        norm = torch.sqrt(beta) / _norm(q)
        if abs(q - 1.0) < _GAUSSIAN:
            return norm * torch.exp(-square)
        base = 1.0 - (1.0 - q) * square
        inside = base > 0
        return torch.where(inside, norm * torch.where(inside, base, 1.0) ** (1.0 / (1.0 - q)), 0.0)


def _norm(q: float) -> float:
    """C_q of the q-Gaussian, xfields' `cq_from_q`."""
    if abs(q - 1.0) < _GAUSSIAN:
        return math.sqrt(math.pi)
    if q > 1.0:
        ratio = math.lgamma((3 - q) / (2 * q - 2)) - math.lgamma(1 / (q - 1))
        return math.sqrt(math.pi / (q - 1)) * math.exp(ratio)
    ratio = math.lgamma(1 / (1 - q)) - math.lgamma((3 - q) / (2 - 2 * q))
    return 2.0 * math.sqrt(math.pi / (1 - q)) / (3 - q) * math.exp(ratio)
