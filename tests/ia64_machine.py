"""IA-64 of `isas/ia64` at a program, for the tests of it."""

from functools import cache
from pathlib import Path

from spec.assembly import assemble
from spec.encoding import codec_of
from spec.ir import Isa
from spec.load import load
from spec.machine import Machine
from spec.program import Program
from spec.state import MachineState

ISAS = Path(__file__).parent.parent / "isas" / "ia64"
CODE, DATA, VECTORS = 0x1_0000, 0x2_0000, 0x8_0000
BUNDLE = 16
VIRTUAL = 0x6000_0000_0000_0000
KERNEL, USER = 0, 3
GUEST, HOST = 1, 0


@cache
def described(name: str = "ia64") -> Isa:
    loaded = load(str(ISAS / f"{name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


@cache
def assembled(text: str, name: str) -> Program:
    program = assemble(described(name), text, origin=CODE)
    assert isinstance(program, Program), program
    return program


def machine(text: str, name: str = "ia64", /, **state: int) -> Machine:
    isa = described(name)
    start = MachineState(isa)
    for segment in assembled(text, name).segments:
        start.load_cells(segment.address, list(segment.cells))
    physical = {"psr.it": 0, "psr.dt": 0, "psr.ic": 1, "cpl": KERNEL}
    start.update({"IP": CODE, "cr_iva": VECTORS} | physical | state)
    return Machine(isa, start, codec_of(isa).decode)


def gr(bare: Machine, number: int) -> int:
    return bare.state.arrays["GR"][number]


def set_gr(bare: Machine, **values: int) -> None:
    for name, value in values.items():
        bare.state.own_array("GR")[int(name.removeprefix("r"))] = value


def vector(bare: Machine) -> int:
    return bare.pc - VECTORS
