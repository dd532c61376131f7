"""What a user may say about the bunch in a file."""

from __future__ import annotations

from dataclasses import dataclass

from sc_bridge.elements import Reference


@dataclass(frozen=True)
class BunchOptions:
    """Arguments of `read_bunch`; None leaves it to the file."""

    reference: Reference | None = None
    species: str | None = None
    intensity: float | None = None
    reference_time: float | None = None  # s
