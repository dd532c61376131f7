"""Figures of the paper on the memory of reverse-mode differentiation, one file each.

"The Memory Scaling of Reverse-Mode Differentiation in Particle Accelerator Simulations with
Space Charge", drawn anew with sc_bridge beside the paper's scheme.
"""

import os
import sys
from pathlib import Path

# torch's profiler warns of blocks that are older than itself
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
_ROOT = str(Path(__file__).resolve().parents[3])
if _ROOT not in sys.path:
    sys.path.append(_ROOT)  # from a checkout
