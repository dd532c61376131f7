"""Bmad to a `Lattice`: statements, lines, overlays and superpositions; nothing is run."""

from .reader import read_bmad as read_bmad
