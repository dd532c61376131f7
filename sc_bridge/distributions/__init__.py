"""Distributions: bunches of random macroparticles, matched to a sequence or to given optics."""

from .shapes import cold_sphere as cold_sphere
from .shapes import gaussian as gaussian
from .shapes import kurth as kurth
from .shapes import kv as kv
from .shapes import semi_gaussian as semi_gaussian
from .shapes import uniform_ellipsoid as uniform_ellipsoid
from .shapes import waterbag as waterbag
