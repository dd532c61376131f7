"""MAD-X to a `Lattice`: statements, deferred expressions, sequences and lines, nothing run."""

from .reader import read_madx as read_madx
