"""sc_bridge: differentiate through the lattice you already have, with space charge.

Only the names listed here and in `sc_bridge.elements`, `.memory` and `.xsuite` are public.
"""

from .adjoint import Checkpoint as Checkpoint
from .adjoint import RecordAll as RecordAll
from .adjoint import Reversible as Reversible
from .adjoint import StoreStates as StoreStates
from .adjoint import TrackResult as TrackResult
from .adjoint import track as track
from .audit import Audit as Audit
from .bunch_files import read_bunch as read_bunch
from .bunch_files import write_bunch as write_bunch
from .distributions import cold_sphere as cold_sphere
from .distributions import gaussian as gaussian
from .distributions import kurth as kurth
from .distributions import kv as kv
from .distributions import semi_gaussian as semi_gaussian
from .distributions import uniform_ellipsoid as uniform_ellipsoid
from .distributions import waterbag as waterbag
from .elements import Bunch as Bunch
from .elements import Reference as Reference
from .elements.space_charge import SpaceCharge as SpaceCharge
from .errors import AuditError as AuditError
from .errors import BunchError as BunchError
from .errors import ElementError as ElementError
from .errors import ExpressionError as ExpressionError
from .errors import LatticeError as LatticeError
from .errors import ReconstructionError as ReconstructionError
from .errors import ScBridgeError as ScBridgeError
from .errors import SpaceChargeError as SpaceChargeError
from .errors import StudyError as StudyError
from .errors import UnitError as UnitError
from .lattice import Lattice as Lattice
from .monitors import BunchMonitor as BunchMonitor
from .monitors import MomentsMonitor as MomentsMonitor
from .pictures import plot as plot
from .readers import read_lattice as read_lattice
from .sequence import KickedSequence as KickedSequence
from .slicing import KicksPerElement as KicksPerElement
from .slicing import MaxSpacing as MaxSpacing
from .slicing import PerElement as PerElement
from .species import reference as reference
from .splitting import Strang as Strang
from .splitting import Yoshida as Yoshida
from .twiss import Twiss as Twiss
from .twiss import periodic_twiss as periodic_twiss
from .wavelengths import BetatronFraction as BetatronFraction
from .wavelengths import PlasmaFraction as PlasmaFraction
