"""Adapter for Xsuite users: live lines and particles in, particles out.

The only part of sc_bridge that knows xtrack, and it imports it on use.
"""

from .line import from_line as from_line
from .particles import bunch_from as bunch_from
from .particles import particles_from as particles_from
