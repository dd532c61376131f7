"""Lenses: quadrupole, sextupole and octupole, straight magnets of one main order."""

from __future__ import annotations

from abc import abstractmethod
from typing import Unpack

from torch import Tensor

from .base import Number, Numbers
from .magnet import KickFields, MagnetBase


class LensFields(KickFields, total=False):
    """Fields of lenses beyond their length and strengths."""

    knl_rel: Numbers
    ksl_rel: Numbers
    main_is_skew: bool
    edge_entry_active: bool
    edge_exit_active: bool


class Lens(MagnetBase):
    """Base of straight magnets whose main strength is normal or skew, of one order."""

    main_is_skew: bool

    def _register_lens(
        self,
        knl_rel: Numbers = (),
        ksl_rel: Numbers = (),
        main_is_skew: bool = False,
        edge_entry_active: bool = False,
        edge_exit_active: bool = False,
        **fields: Unpack[KickFields],
    ) -> None:
        self._register_kicks(**fields)
        self._register_multipoles(knl_rel=knl_rel, ksl_rel=ksl_rel)
        self.main_is_skew = bool(main_is_skew)
        self.edge_entry_active = bool(edge_entry_active)
        self.edge_exit_active = bool(edge_exit_active)

    @abstractmethod
    def _main_name(self) -> str:
        """Name the field that `knl_rel` and `ksl_rel` refer to."""

    def _main_strength(self, like: Tensor) -> Number:
        return self._number(self._main_name(), like) * self._number("length", like)


class Quadrupole(Lens):
    """Quadrupole; by default the matrix of the expanded Hamiltonian, with errors as kicks.

    Parameters
    ----------
    length : float or Tensor, m
    k1, k1s : float or Tensor, 1/m^2
        Normal and skew gradient; k1 > 0 focuses in x. k1s acts as a kick.
    **fields
        knl, ksl : list of float or Tensor, (..., order + 1), m^-n
            Integrated multipole errors, as kicks.
        knl_rel, ksl_rel : list of float or Tensor, (..., order + 1), m^-n
            The same over the main integrated strength; added to knl and ksl.
        main_is_skew : bool
            The main strength is k1s instead of k1.
        model : str
            "adaptive" is "mat-kick-mat"; "mat-kick-mat-exact" adds the exact path to it;
            "drift-kick-drift-exact", "drift-kick-drift-expanded".
        integrator : {"adaptive", "uniform", "teapot", "yoshida-4", "yoshida-6", "yoshida-8"}
            "adaptive" is "uniform".
        num_multipole_kicks : int
            0 chooses one kick where there is anything to kick, as Xsuite does.
        edge_entry_active, edge_exit_active : bool
            Fringe fields of the faces; off by default.

    Validity: "mat-kick-mat" drops fourth order in px, py; all are exact in energy.

    Raises
    ------
    ElementError
        If a choice is unknown or the number of kicks is negative.
    """

    _default_model = "mat-kick-mat"
    _normal = ("", "k1")
    _skew = ("", "k1s")

    def __init__(
        self,
        length: Number = 0.0,
        k1: Number = 0.0,
        k1s: Number = 0.0,
        **fields: Unpack[LensFields],
    ) -> None:
        super().__init__()
        self._register(length=length, k1=k1, k1s=k1s)
        self._register_lens(**fields)

    def _main_name(self) -> str:
        return "k1s" if self.main_is_skew else "k1"


class Sextupole(Lens):
    """Sextupole; by default one kick between two expanded drifts.

    Parameters
    ----------
    length : float or Tensor, m
    k2, k2s : float or Tensor, 1/m^3
        Normal and skew strength.
    **fields
        As in `Quadrupole`, with k2 and k2s; "adaptive" is "drift-kick-drift-expanded".

    Validity: second order in the length of a kick; fourth and higher with the Yoshida
    integrators.

    Raises
    ------
    ElementError
        If a choice is unknown or the number of kicks is negative.
    """

    _default_model = "drift-kick-drift-expanded"
    _normal = ("", "", "k2")
    _skew = ("", "", "k2s")

    def __init__(
        self,
        length: Number = 0.0,
        k2: Number = 0.0,
        k2s: Number = 0.0,
        **fields: Unpack[LensFields],
    ) -> None:
        super().__init__()
        self._register(length=length, k2=k2, k2s=k2s)
        self._register_lens(**fields)

    def _main_name(self) -> str:
        return "k2s" if self.main_is_skew else "k2"


class Octupole(Lens):
    """Octupole; by default one kick between two expanded drifts.

    Parameters
    ----------
    length : float or Tensor, m
    k3, k3s : float or Tensor, 1/m^4
        Normal and skew strength.
    **fields
        As in `Quadrupole`, with k3 and k3s; "adaptive" is "drift-kick-drift-expanded".

    Validity: second order in the length of a kick; fourth and higher with the Yoshida
    integrators.

    Raises
    ------
    ElementError
        If a choice is unknown or the number of kicks is negative.
    """

    _default_model = "drift-kick-drift-expanded"
    _normal = ("", "", "", "k3")
    _skew = ("", "", "", "k3s")

    def __init__(
        self,
        length: Number = 0.0,
        k3: Number = 0.0,
        k3s: Number = 0.0,
        **fields: Unpack[LensFields],
    ) -> None:
        super().__init__()
        self._register(length=length, k3=k3, k3s=k3s)
        self._register_lens(**fields)

    def _main_name(self) -> str:
        return "k3s" if self.main_is_skew else "k3"
