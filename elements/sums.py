"""Sums over particles: the one place through which every reduction of a bunch goes.

Particles sharded over processes will need a collective operation in each of these
functions, and nowhere else.
"""

from __future__ import annotations

import torch
from torch import Tensor


def total(values: Tensor) -> Tensor:
    """Sum over particles, (..., n_particles) -> (...)."""
    return values.sum(-1)


def largest(values: Tensor) -> Tensor:
    """Maximum over particles, (..., n_particles) -> (...)."""
    return values.amax(-1)


def count(alive: Tensor) -> Tensor:
    """Number of living particles, (..., n_particles) -> (...)."""
    return alive.sum(-1)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean over particles with weights, (..., n_particles) -> (...); 0 if all weights are 0."""
    norm = total(weight)
    return total(values * weight) / torch.where(norm == 0, torch.ones_like(norm), norm)


def weighted_covariance(deviation: Tensor, weight: Tensor) -> Tensor:
    """Mean products of deviations, (..., k, n_particles) -> (..., k, k); 0 if all weights are 0.

    `weight` is (..., 1, n_particles).
    """
    norm = total(weight).unsqueeze(-1)
    products = (deviation * weight) @ deviation.transpose(-1, -2)
    return products / torch.where(norm == 0, torch.ones_like(norm), norm)


def plain_mean(values: Tensor, alive: Tensor | None = None) -> Tensor:
    """Mean over living particles (None: all), each counted once; finite when none lives."""
    if alive is None:
        return values.mean(-1)
    return weighted_mean(torch.where(alive, values, torch.zeros_like(values)), alive.to(values))


def span(values: Tensor) -> tuple[Tensor, Tensor]:
    """Least and greatest value over particles, (..., n_particles) -> (...), (...)."""
    return values.amin(-1), values.amax(-1)


def binned(values: Tensor, index: Tensor, n_bins: int) -> Tensor:
    """Sum of the values that fall into each bin, (n,) -> (n_bins,)."""
    return values.new_zeros(n_bins).index_add(0, index, values)
