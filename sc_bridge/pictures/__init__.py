"""Pictures of lattices and bunches; matplotlib is imported at their first use."""

from .figures import plot as plot
