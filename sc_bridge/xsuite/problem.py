"""Problem: numbers of a tracked bunch as functions of the knobs of a line, with derivatives.

`scipy.optimize` and the optimiser of xdeps take the exact Jacobian, space charge included:
one backward pass for each number, however many knobs there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sc_bridge.adjoint import track
from sc_bridge.elements import Bunch
from sc_bridge.errors import LatticeError, ScBridgeError
from sc_bridge.sequence import KickedSequence

from .live import sequence_from
from .particles import bunch_from

Outputs = Callable[[Bunch], Mapping[str, Tensor]]


class Problem:
    """Numbers of a bunch behind a line, by knob values, with their exact Jacobian.

    Parameters
    ----------
    line : xtrack.Line or KickedSequence
        A line may carry kicks (`install_space_charge`), or get them by `slicing` and
        `space_charge`; a sequence is taken as it is.
    particles : xtrack.Particles or Bunch
        At the start of the line.
    outputs : callable
        Takes the outgoing bunch and returns numbers by name: scalar tensors.
    knobs : sequence of str
        Variables that no expression defines, or free fields as "element.field".
    turns : int
    adjoint : Adjoint, optional
        Memory strategy; `StoreStates()` by default.
    freeze_grids : bool
        Keep the cell sizes that the kicks have at the start: numbers are smooth in the knobs
        then, for small changes of the bunch. By default each kick chooses its own anew at every
        evaluation, among the rungs of the ladder.
    **options
        Other arguments of `KickedSequence`: slicing, space_charge, bend_model and so on.

    Attributes
    ----------
    evaluations, backward_passes : int
        How often the line was tracked forwards, and backwards.

    Cost: an evaluation tracks once with what the memory strategy keeps; a Jacobian at the same
    knobs adds one backward pass for each number.

    Raises
    ------
    LatticeError
        If a knob is not there, or defined by an expression.
    ScBridgeError
        If outputs are no scalar tensors by name.
    """

    def __init__(
        self,
        line: Any,
        particles: Any,
        outputs: Outputs,
        knobs: Sequence[str],
        *,
        turns: int = 1,
        adjoint: Any = None,
        freeze_grids: bool = False,
        **options: Any,
    ) -> None:
        if isinstance(line, KickedSequence):
            self.line, self.sequence = None, line
        else:
            self.line, self.sequence = line, sequence_from(KickedSequence, line, **options)
        if isinstance(knobs, str) or not knobs:
            raise LatticeError(f"knobs = {knobs!r}: must be a list of names with at least one")
        _check_callable("outputs", outputs, "a mapping of names to scalar tensors")
        self.knobs = tuple(knobs)
        self.bunch = particles if isinstance(particles, Bunch) else bunch_from(particles)
        self.outputs = outputs
        self.turns = turns
        self.adjoint = adjoint
        self.evaluations = self.backward_passes = 0
        self._parameters = [knob_parameter(self.sequence, name) for name in self.knobs]
        self._point: np.ndarray | None = None
        self._values: dict[str, Tensor] = {}
        self._jacobian: np.ndarray | None = None
        if freeze_grids and self.sequence.space_charge is not None:
            self.sequence.freeze_grids(self.bunch, turns)

    @property
    def x0(self) -> np.ndarray:
        """Present values of the knobs, (n_knobs,)."""
        return np.array([parameter.item() for parameter in self._parameters])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the numbers, in the order of rows of the Jacobian."""
        self._evaluate(self.x0)
        return tuple(self._values)

    def __call__(self, x: Any) -> np.ndarray:
        """Numbers at knob values `x`, (n_outputs,)."""
        self._evaluate(x)
        return np.array([value.item() for value in self._values.values()])

    def jacobian(self, x: Any) -> np.ndarray:
        """Derivatives of the numbers with respect to the knobs at `x`, (n_outputs, n_knobs)."""
        self._evaluate(x)
        if self._jacobian is None:
            self._jacobian = np.array([self._gradient(v) for v in self._values.values()])
        return self._jacobian.copy()

    def value_and_gradient(self, x: Any) -> tuple[float, np.ndarray]:
        """The one number and its gradient, as `scipy.optimize.minimize(..., jac=True)` wants."""
        values, jacobian = self(x), self.jacobian(x)
        if len(values) != 1:
            raise ScBridgeError(
                f"value_and_gradient: there are {len(values)} numbers ({', '.join(self._values)}): "
                "must be one; call the problem and its jacobian for several"
            )
        return float(values[0]), jacobian[0]

    def apply(self, x: Any) -> None:
        """Give knob values to the sequence, and to the line if there is one."""
        point = self._point_at(x)
        self._set(point)
        if self.line is not None:
            for name, value in zip(self.knobs, point, strict=True):
                _give(self.line, name, float(value), name in self.sequence.knobs)

    def optimizer(self, targets: Mapping[str, float], tol: float = 1e-8, **options: Any) -> Any:
        """Return an `xdeps.Optimize` that drives numbers to targets by the exact Jacobian.

        Parameters
        ----------
        targets : mapping of str to float
            Wanted value of each number.
        tol : float
            Tolerance of every target.
        **options
            Other arguments of `xdeps.Optimize`.

        Raises
        ------
        ScBridgeError
            If a target is none of the numbers.
        """
        from .matching import make_optimizer

        return make_optimizer(self, targets, tol, **options)

    # ---- evaluation ------------------------------------------------------------------------

    def _evaluate(self, x: Any) -> None:
        """Track at `x`, unless that is where the last values are from."""
        x = self._point_at(x)
        self._set(x)
        if self._point is not None and np.array_equal(x, self._point):
            return
        self._point, self._jacobian = None, None
        self.evaluations += 1
        with torch.enable_grad():
            out = track(self.sequence, self.bunch, adjoint=self.adjoint, turns=self.turns)
            self._values = _checked(self.outputs(out))
        self._point = x.copy()

    def _point_at(self, x: Any) -> np.ndarray:
        point = np.atleast_1d(np.asarray(x, dtype=float))
        if point.shape != (len(self.knobs),):
            raise ScBridgeError(f"knob values of shape {point.shape}: must be ({len(self.knobs)},)")
        return point

    def _set(self, x: np.ndarray) -> None:
        for parameter, value in zip(self._parameters, x, strict=True):
            parameter.requires_grad_()
            if parameter.item() != value:  # writing would spoil the graph of the last values
                self._point = None
                with torch.no_grad():
                    parameter.fill_(float(value))

    def _gradient(self, value: Tensor) -> np.ndarray:
        self.backward_passes += 1
        gradients = torch.autograd.grad(
            value, self._parameters, retain_graph=True, allow_unused=True
        )
        return np.array([0.0 if g is None else g.item() for g in gradients])


def gradient(
    line: Any,
    particles: Any,
    loss: Callable[[Bunch], Tensor],
    knobs: Sequence[str],
    **options: Any,
) -> dict[str, float]:
    """Return d loss/d knob for variables of a line, space charge included.

    Parameters
    ----------
    line : xtrack.Line
        With kicks of its own (`install_space_charge`), or with `slicing` and `space_charge`
        among the options.
    particles : xtrack.Particles or Bunch
        At the start of the line.
    loss : callable
        Takes the outgoing bunch and returns a scalar tensor.
    knobs : sequence of str
        Variables that no expression defines, or free fields as "element.field".
    **options
        Other arguments of `Problem`: turns, adjoint, slicing, space_charge and so on.

    Returns
    -------
    dict of str to float
        The derivative with respect to each knob, all from one backward pass.

    Raises
    ------
    LatticeError
        If a knob is not there, or defined by an expression.
    ScBridgeError
        If the loss is no function, or returns no scalar tensor.
    """
    _check_callable("loss", loss, "a scalar tensor")
    problem = Problem(line, particles, lambda bunch: {"loss": loss(bunch)}, knobs, **options)
    _, derivatives = problem.value_and_gradient(problem.x0)
    return dict(zip(problem.knobs, derivatives.tolist(), strict=True))


def _check_callable(name: str, function: object, returned: str) -> None:
    if not callable(function):
        raise ScBridgeError(
            f"{name} = {function!r}: must be a function of the outgoing bunch "
            f"that returns {returned}"
        )


def knob_parameter(sequence: KickedSequence, name: str) -> nn.Parameter:
    """Return the parameter of a variable, or of a free field "element.field".

    Raises
    ------
    LatticeError
        If there is no such variable or field, or it is driven, or a batch.
    """
    element, _, field = name.rpartition(".")
    if name not in sequence.knobs and element in sequence.wholes:
        whole = sequence[element]
        if field in whole.drivers:
            driving = ", ".join(whole.drivers[field].knobs) or "an expression"
            raise LatticeError(f"knob {name!r} is driven by {driving}: name that")
        parameter = dict(whole.named_parameters(recurse=False)).get(field)
        if parameter is None:
            known = ", ".join(whole.field_ranks)
            raise LatticeError(f"knob {name!r}: {whole.label} has the fields {known}")
    else:
        parameter = sequence.knobs[name]
    if parameter.dim():
        raise LatticeError(f"knob {name!r} has shape {tuple(parameter.shape)}: must be one number")
    return parameter


def _checked(values: Any) -> dict[str, Tensor]:
    if not isinstance(values, Mapping) or not values:
        raise ScBridgeError(
            f"outputs returned {type(values).__name__}: must be a dictionary of scalar tensors"
        )
    for name, value in values.items():
        if not isinstance(value, Tensor) or value.numel() != 1 or not value.requires_grad:
            raise ScBridgeError(
                f"{name} is {_shown(value)}: must be a scalar tensor that depends on the bunch: "
                "use torch, and leave out .item(), .detach() and NumPy"
            )
    return {str(name): value.reshape(()) for name, value in values.items()}


def _shown(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    without = "" if value.requires_grad else " without gradient"
    return f"a tensor of shape {tuple(value.shape)}{without}"


def _give(line: Any, name: str, value: float, is_variable: bool) -> None:
    if is_variable and name in line.vars:
        line.vars[name] = value
        return
    element, _, field = name.rpartition(".")
    setattr(line[element], field, value)
