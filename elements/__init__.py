"""Lattice elements as torch modules with transfer maps, and the space-charge kick."""

from .base import Element as Element
from .base import State as State
from .bunch import Bunch as Bunch
from .drift import Drift as Drift
from .marker import Marker as Marker
from .parts import Edge as Edge
from .parts import Inverse as Inverse
from .parts import Slice as Slice
from .reference import Reference as Reference
