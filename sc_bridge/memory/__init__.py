"""The memory of gradients: measure it, fit the law, and plan a run before it starts."""

from .law import Law as Law
from .law import fit as fit
from .measuring import Measurement as Measurement
from .measuring import measure as measure
from .planning import Plan as Plan
from .planning import plan as plan
