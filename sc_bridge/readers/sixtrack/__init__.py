"""Reader of SixTrack: geometry in fort.2, energy, harmonic and multipoles in fort.3."""

from .reader import read_sixtrack as read_sixtrack
