"""The one family of errors: every refusal of sc_bridge is an `ScBridgeError`."""


class ScBridgeError(Exception):
    """Base of all errors raised on purpose; its text is one line for the user."""


class ElementError(ScBridgeError, ValueError):
    """A field or use of an element that its map cannot serve."""


class BunchError(ScBridgeError, ValueError):
    """A bunch or reference whose shape or values are not physical."""


class SpaceChargeError(ScBridgeError, ValueError):
    """A grid or bunch for which the space-charge kick is not valid."""
