"""Bunches in files: openPMD beam physics and NPZ out; these and other codes' files in."""

from .formats import read_bunch as read_bunch
from .formats import write_bunch as write_bunch
