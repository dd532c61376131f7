"""Adjoint strategies: how the backward pass gets the states that it needs.

A strategy is a value that the user passes to `track`. Each states its cost.
"""

from ..course import Observer as Observer
from .checkpoint import Checkpoint as Checkpoint
from .protocol import Adjoint as Adjoint
from .record import RecordAll as RecordAll
from .reversible import Reversible as Reversible
from .store import StoreStates as StoreStates
from .tracking import TrackResult as TrackResult
from .tracking import track as track
