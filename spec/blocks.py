"""Translates runs of instructions into emitted code, for one choice of the control state.

A block begins at a pc and follows the way that the code takes when branches are not taken, until
its length is reached or the way is not known. Ways that lead back to the beginning are rounds of a
loop; all others leave the block. A block is made for the values that a few elements have (its
`Context`): those that `translate` and the conditions of interrupts read, and the mode. So fetches
through an untranslated address and permission checks cost nothing; where a fetch depends on
more, the block checks at run time that it fetches what was decoded.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from spec.compiled import Code, Round, compile_code
from spec.concrete import ConcreteEngine
from spec.emit import Emitter
from spec.emitted import emit_phase, emit_routine
from spec.evaluate import Walk
from spec.expressions import reads
from spec.folding import Truth, Value
from spec.ir import Access, CompareOp, Isa, Local, Role
from spec.machine import Decode, Decoded
from spec.outcome import Trapped
from spec.path import Path
from spec.python_code import Branch, Node
from spec.runtime import Runtime
from spec.state import MachineState
from spec.statements import function_reads

BLOCK_LENGTH = 48  # instructions
