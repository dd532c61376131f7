"""Reader of elegant's lattice files (.lte), with momentum and line from a run file (.ele)."""

from .reader import read_elegant as read_elegant
