"""A small machine into which tests put statements written in the language."""

from pathlib import Path

from spec.concrete import ConcreteEngine
from spec.ir import Isa
from spec.load import load
from spec.outcome import Outcome, Retired
from spec.state import MachineState

MACHINE = """isa "A machine for tests"
mode M : bits(1) { user, supervisor }
pc P : bits(16)
register A, B, C, D : bits(16)
register x : bits(16)[4] zero 0
flag Z, N : bits(1)
control K : bits(16)
control W : Word
control R : Word[2]
bank SP : bits(16) { user: USP, supervisor: SSP }
enum Color : bits(2) { red = 1, green, blue }
struct Word : bits(16) { high @ 15:12, mid @ 9:4, bit @ 0 }
struct Packed { top : bits(4), color : Color, low : bits(10) }
register tint : Color reset green
register packed : Packed
alias AB : bits(32) = A ++ B
alias SR : bits(8) = N ++ 3'b101 ++ Z ++ M ++ 2'b00
memory E : bits(8)[2^16] big
translate(va, access, size, mode) { return paddr(bits(va)) }
cause privileged : privilege { }
cause overflow(value : bits(16), flag : bits(1)) : fault { A = value }
undecodable trap privileged : fault
"""


def write(folder: Path, text: str, name: str = "t.isa") -> str:
    """The path of a file with that text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def machine(folder: Path, body: str, declarations: str = "") -> Isa:
    """The machine with one instruction `X` that has this body."""
    text = f"{MACHINE}{declarations}\ninstruction X = 8'h00 {{\n{body}\n}}\n"
    loaded = load(write(folder, text))
    assert loaded.isa is not None, [(d.code, d.message, d.help) for d in loaded.diagnostics]
    return loaded.isa


def codes(folder: Path, body: str, declarations: str = "") -> list[str]:
    """The codes of what is wrong with such a machine."""
    text = f"{MACHINE}{declarations}\ninstruction X = 8'h00 {{\n{body}\n}}\n"
    return [d.code for d in load(write(folder, text)).diagnostics]


def outcome(isa: Isa, state: MachineState, choices: tuple[int, ...] = ()) -> Outcome:
    """What the instruction `X` does."""
    (instruction,) = [i for i in isa.instructions if i.name == "X"]
    return ConcreteEngine(isa).execute(state, instruction, {}, 1, choices)


def run(folder: Path, body: str, declarations: str = "", **values: int) -> MachineState:
    """The state after `X` has retired, from a state with these values."""
    isa = machine(folder, body, declarations)
    state = MachineState(isa)
    state.update(values)
    ended = outcome(isa, state)
    assert isinstance(ended, Retired), ended
    return ended.state
