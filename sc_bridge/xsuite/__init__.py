"""Adapter for Xsuite users: live lines and particles in, particles out.

The only part of sc_bridge that knows xtrack. It imports it at once where it is installed, so
that files and copies of lines find the class of our kick, and works on lines of other makes
without it.
"""

from .element import SpaceCharge3D as SpaceCharge3D
from .install import install_space_charge as install_space_charge
from .line import from_line as from_line
from .live import sequences_from as sequences_from
from .particles import bunch_from as bunch_from
from .particles import particles_from as particles_from
from .problem import Problem as Problem
from .problem import gradient as gradient
from .to_environment import to_environment as to_environment
from .to_line import to_line as to_line
