"""Errors of the bridge, with those of the elements: one family, one line each."""

from sc_bridge.elements.errors import BunchError as BunchError
from sc_bridge.elements.errors import ElementError as ElementError
from sc_bridge.elements.errors import ScBridgeError as ScBridgeError
from sc_bridge.elements.errors import SpaceChargeError as SpaceChargeError


class LatticeError(ScBridgeError, ValueError):
    """A lattice file or record that cannot be read or built."""


class ExpressionError(LatticeError):
    """An expression outside the whitelist, or one that cannot be evaluated."""


class UnitError(ScBridgeError, ValueError):
    """A quantity without a unit, or with a unit of another dimension."""


class StudyError(ScBridgeError, ValueError):
    """A study file that is missing, malformed or contradictory."""


class ReconstructionError(ScBridgeError):
    """A state rebuilt by inversion that is too far from the one that was kept."""


class AuditError(ScBridgeError):
    """Source, built and sliced lattice disagree in a count or a length."""
