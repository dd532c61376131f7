"""PALS, the Particle Accelerator Lattice Standard, in YAML or JSON, to a `Lattice`."""

from .reader import read_pals as read_pals
