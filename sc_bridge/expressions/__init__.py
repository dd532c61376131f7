"""Expressions: one small tree for every dialect, and the readers of infix text into it."""

from .infix import Dialect as Dialect
from .infix import InfixParser as InfixParser
from .tree import FUNCTIONS as FUNCTIONS
from .tree import MAX_DEPTH as MAX_DEPTH
from .tree import MAX_LENGTH as MAX_LENGTH
from .tree import Binary as Binary
from .tree import Call as Call
from .tree import Expression as Expression
from .tree import Function as Function
from .tree import Negative as Negative
from .tree import Number as Number
from .tree import Value as Value
from .tree import Variable as Variable
from .tree import constant as constant
from .tree import order_of_evaluation as order_of_evaluation
from .tree import shorten as shorten
