"""Space charge: grid, deposit, Poisson solve and kick."""

from .kick import Field as Field
from .kick import SpaceChargeKick as SpaceChargeKick
from .kick import cell_sizes as cell_sizes
from .kick import space_charge_field as space_charge_field
from .kick import space_charge_kick as space_charge_kick
from .settings import SpaceCharge as SpaceCharge
