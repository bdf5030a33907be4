"""One line for each step of a run."""

from typing import assert_never

from popek.number import digits
from spec.encoding import Decoded
from spec.ir import Isa
from spec.machine import Step
from spec.outcome import Outcome, Retired, Trapped
from spec.template import disassemble


def trace_line(isa: Isa, step: Step) -> str:
    """`pc  instruction  what it ended in` (the last only if it did not just retire)."""
    (pc,) = (element for element in isa.elements if element.name == isa.pc)
    what = f"interrupt {step.interrupt}" if step.interrupt is not None else "(no instruction)"
    if isinstance(step.decoded, Decoded):
        what = disassemble(isa, step.decoded, step.pc)
    elif step.outcome is None:
        what = "(waiting)"
    return f"{digits(step.pc, pc.width)}  {what:<32}{_ending(step.outcome)}".rstrip()


def _ending(outcome: Outcome | None) -> str:
    match outcome:
        case None:
            return ""
        case Retired(_, waiting, _):
            return "waits" if waiting else ""
        case Trapped(cause, trap_class, arguments):
            values = ", ".join(f"0x{int(value):X}" for value in arguments)
            return f"trap {cause}({values}) : {trap_class.value}"
        case _:
            assert_never(outcome)
