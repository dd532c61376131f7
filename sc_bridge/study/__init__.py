"""Study files: TOML in, checked models, a run, and what it gives."""

from .building import build_sequence as build_sequence
from .building import make_bunch as make_bunch
from .building import make_monitors as make_monitors
from .limit import plan_study as plan_study
from .loading import load_study as load_study
from .model import Study as Study
from .model import StudyModel as StudyModel
from .model import schema as schema
from .outcome import Derivative as Derivative
from .outcome import Footprint as Footprint
from .outcome import Outcome as Outcome
from .outcome import Progress as Progress
from .running import TRACED as TRACED
from .running import run_study as run_study
