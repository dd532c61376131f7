"""Lattice elements as torch modules with transfer maps, and the space-charge kick."""

from .apertures import Aperture as Aperture
from .apertures import LimitEllipse as LimitEllipse
from .base import Element as Element
from .base import State as State
from .bend import Bend as Bend
from .bunch import Bunch as Bunch
from .cavity import Cavity as Cavity
from .drift import Drift as Drift
from .marker import Marker as Marker
from .multipole import Multipole as Multipole
from .parts import Edge as Edge
from .parts import Inverse as Inverse
from .parts import Slice as Slice
from .quadrupole import Quadrupole as Quadrupole
from .reference import Reference as Reference
