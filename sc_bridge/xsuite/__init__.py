"""Adapter for Xsuite users: live lines and particles in, particles out.

The only part of sc_bridge that knows xtrack, and it imports it on use.
"""

from .element import SpaceCharge3D as SpaceCharge3D
from .install import install_space_charge as install_space_charge
from .line import from_line as from_line
from .live import sequences_from as sequences_from
from .particles import bunch_from as bunch_from
from .particles import particles_from as particles_from
from .problem import Problem as Problem
from .problem import gradient as gradient
from .to_line import to_line as to_line
