"""The optimiser of xdeps, with the exact Jacobian of a `Problem`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

from sc_bridge.errors import ScBridgeError

from .xtrack import import_xtrack

if TYPE_CHECKING:
    from .problem import Problem


class Knobs:
    """The knobs of a problem as xdeps sees a container; a value set reaches the line too."""

    def __init__(self, problem: Problem) -> None:
        self._problem = problem

    def __getitem__(self, name: str) -> float:
        return float(self._problem.x0[self._problem.knobs.index(name)])

    def __setitem__(self, name: str, value: float) -> None:
        x = self._problem.x0
        x[self._problem.knobs.index(name)] = value
        self._problem.apply(x)


def make_optimizer(
    problem: Problem, targets: Mapping[str, float], tol: float, **options: Any
) -> Any:
    """Return an `xdeps.Optimize`; see `Problem.optimizer`."""
    import_xtrack()
    import xdeps

    names = problem.names
    unknown = [name for name in targets if name not in names]
    if unknown or not targets:
        raise ScBridgeError(
            f"optimizer: targets {unknown or dict(targets)!r}: must be among {', '.join(names)}"
        )

    class Track(xdeps.Action):
        """Tracks at the present knobs and returns the numbers by name."""

        def run(self) -> dict[str, float]:
            return dict(zip(names, problem(problem.x0).tolist(), strict=True))

    action = Track()
    knobs = Knobs(problem)
    optimizer = xdeps.Optimize(
        vary=[xdeps.Vary(name, knobs) for name in problem.knobs],
        targets=[
            xdeps.Target(name, value, tol=tol, action=action) for name, value in targets.items()
        ],
        **options,
    )
    rows = [names.index(name) for name in targets]

    def get_jacobian(merit: Any, x: Any, f0: Any = None) -> np.ndarray:
        """Derivatives of weighted residuals with respect to scaled knobs."""
        jacobian = problem.jacobian(merit._x_to_knobs(x))[rows]
        weights = np.array([target.weight for target in merit.targets])
        scales = np.array([1.0 if vary.weight is None else vary.weight for vary in merit.vary])
        jacobian = jacobian * weights[:, None] * scales
        return np.where(merit.mask_input, jacobian, 0.0)

    merit = optimizer._err
    merit.get_jacobian = MethodType(get_jacobian, merit)
    return optimizer
