"""Reference particle: the mass, charge and momentum that normalise every coordinate."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from .errors import BunchError
from .gpu import moved_number

Scalar: TypeAlias = float | Tensor


def as_scalar(value: Scalar) -> Tensor:
    """Return `value` as a float64 tensor; a tensor keeps its graph."""
    if isinstance(value, Tensor):
        return value.to(torch.float64)
    return torch.tensor(float(value), dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Reference:
    """Reference particle in Xsuite's quantities.

    Any of the fields may require gradients or carry batch dimensions; they are kept
    in float64 whatever the dtype of the bunch.

    Parameters
    ----------
    mass0 : float or Tensor, (...), eV
    q0 : float or Tensor, (...), elementary charges
    p0c : float or Tensor, (...), eV

    Raises
    ------
    BunchError
        If a mass or momentum is not positive and finite, or the charge is not finite.
    """

    mass0: Tensor
    q0: Tensor
    p0c: Tensor

    def __init__(self, mass0: Scalar, q0: Scalar, p0c: Scalar) -> None:
        for name, value in (("mass0", mass0), ("q0", q0), ("p0c", p0c)):
            object.__setattr__(self, name, as_scalar(value))
        for name in ("mass0", "p0c"):
            value = getattr(self, name).detach()
            if not bool(torch.isfinite(value).all() & (value > 0).all()):
                raise BunchError(
                    f"reference: {name} = {value.tolist()} eV: must be positive and finite"
                )
        if not bool(torch.isfinite(self.q0.detach()).all()):
            raise BunchError(f"reference: q0 = {self.q0.tolist()} e: must be finite")

    @classmethod
    def known(cls, mass0: Tensor, q0: Tensor, p0c: Tensor) -> Reference:
        """Build from fields that were checked before; nobody waits for a GPU to do it again."""
        return cls._unchecked(mass0=mass0, q0=q0, p0c=p0c)

    @classmethod
    def from_kinetic_energy(cls, mass0: Scalar, q0: Scalar, kinetic_energy: Scalar) -> Reference:
        """Build from the kinetic energy in eV; gradients flow to it."""
        mass, kinetic = as_scalar(mass0), as_scalar(kinetic_energy)
        if not bool((kinetic.detach() > 0).all()):
            raise BunchError(f"reference: kinetic energy {kinetic.tolist()} eV: must be positive")
        return cls(mass, q0, torch.sqrt(kinetic * (kinetic + 2.0 * mass)))

    @property
    def beta0_gamma0(self) -> Tensor:
        return self.p0c / self.mass0

    @property
    def energy0(self) -> Tensor:
        """Total energy, eV."""
        return torch.hypot(self.p0c, self.mass0)

    @property
    def gamma0(self) -> Tensor:
        return self.energy0 / self.mass0

    @property
    def beta0(self) -> Tensor:
        return self.p0c / self.energy0

    @property
    def inverse_gamma0_squared(self) -> Tensor:
        """1 - beta0^2, without its cancellation."""
        return (self.mass0 / self.energy0) ** 2

    @property
    def kinetic_energy0(self) -> Tensor:
        """Kinetic energy, eV, without the cancellation of energy0 - mass0."""
        return self.p0c**2 / (self.energy0 + self.mass0)

    def over_particles(self, like: Tensor) -> Reference:
        """Return the reference ready to broadcast against one coordinate, (..., n_particles).

        Zero-dimensional fields stay in float64 (they do not promote a float32 bunch);
        batched ones get a trailing axis and the dtype of `like`.
        """
        if self.p0c.dim() == self.mass0.dim() == self.q0.dim() == 0:
            return self
        aligned = {
            name: value if value.dim() == 0 else value.unsqueeze(-1).to(like.dtype)
            for name, value in (
                ("mass0", self.mass0),
                ("q0", self.q0),
                ("p0c", self.p0c),
            )
        }
        return self._unchecked(**aligned)

    def detach(self) -> Reference:
        return self._unchecked(
            mass0=self.mass0.detach(), q0=self.q0.detach(), p0c=self.p0c.detach()
        )

    def to(self, device: torch.device | str) -> Reference:
        """Return the reference on another device; fields without a batch stay on the CPU."""
        fields = {name: getattr(self, name) for name in ("mass0", "q0", "p0c")}
        return self._unchecked(**{n: moved_number(value, device) for n, value in fields.items()})

    def replace(self, **fields: Scalar) -> Reference:
        """Return a copy with some of mass0, q0, p0c changed."""
        return replace(self, **fields)

    @classmethod
    def _unchecked(cls, **fields: Tensor) -> Reference:
        """Build without the checks: fields that were checked before, or traced by torch.func."""
        reference = object.__new__(cls)
        for name, value in fields.items():
            object.__setattr__(reference, name, value)
        return reference

    def __repr__(self) -> str:
        if self.p0c.dim():
            return f"Reference(batch {tuple(self.p0c.shape)})"
        return (
            f"Reference(mass0={self.mass0.item():.9g} eV, q0={self.q0.item():g} e, "
            f"kinetic_energy0={self.kinetic_energy0.item():.9g} eV)"
        )
