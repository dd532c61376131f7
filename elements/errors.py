"""The one family of errors: every refusal of sc_bridge is an `ScBridgeError`."""

# Names and values of a file are shown as they are, and may be anything.
_LONGEST, _TAIL = 1000, 250  # characters


class ScBridgeError(Exception):
    """Base of all errors raised on purpose; its text is one line for the user.

    What a terminal would not print as it is (line ends, control characters, lone surrogates)
    is shown by its escape; of a long text the middle is left out.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if len(text) > _LONGEST:
            text = f"{text[: _LONGEST - _TAIL]} ... {text[-_TAIL:]}"
        return "".join(letter if letter.isprintable() else _escape(letter) for letter in text)


def _escape(letter: str) -> str:
    return " " if letter in "\n\t" else letter.encode("unicode_escape").decode("ascii")


class ElementError(ScBridgeError, ValueError):
    """A field or use of an element that its map cannot serve."""


class BunchError(ScBridgeError, ValueError):
    """A bunch or reference whose shape or values are not physical."""


class SpaceChargeError(ScBridgeError, ValueError):
    """A grid or bunch for which the space-charge kick is not valid."""
