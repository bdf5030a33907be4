"""Run one RISC-V loop on the machine in emitted Python, on the concrete engine, and on tinyrv.

The loop mixes arithmetic, a load, a store and a branch. The three run one after the other in this
process, each as many rounds as suit its speed; what the loop leaves in the registers is compared
with the emitted machine's after as many rounds.
"""

import time
from typing import Literal

from popek.library import root
from spec.assembly import assemble
from spec.ir import Isa
from spec.load import load
from spec.machine import Machine
from spec.program import Program
from spec.state import MachineState

LOOP = """
loop:   addi x5, x5, 1
        add  x6, x6, x5
        slli x7, x6, 3
        xor  x8, x7, x6
        sw   x8, 0(x10)
        lw   x9, 0(x10)
        sub  x6, x6, x9
        bne  x5, x11, loop
"""
ROUND = 8  # instructions
START, BUFFER = 0x8000_0000, 0x8000_1000
SEEN = slice(5, 10)  # the registers that are compared
CONCRETE, TINYRV, EMITTED = 200, 10_000, 200_000  # rounds


def main() -> None:
    loaded = load(str(root() / "riscv" / "rv32.isa"))
    assert loaded.isa is not None
    program = assemble(loaded.isa, LOOP, START)
    assert isinstance(program, Program), program
    emitted, _ = _ours(loaded.isa, program, "emitted", EMITTED)
    _show("emitted", emitted, "(aim 1)")
    concrete, left = _ours(loaded.isa, program, "concrete", CONCRETE)
    _show("concrete", concrete, _same(loaded.isa, program, CONCRETE, left))
    try:
        tinyrv, left = _tinyrv(program)
    except ImportError:
        print("RISC-V loop: tinyrv is not installed")
        return
    _show("tinyrv", tinyrv, _same(loaded.isa, program, TINYRV, left))
    print(f"RISC-V loop: emitted is {emitted / tinyrv:.1f} times as fast as tinyrv")


def _show(name: str, speed: float, remark: str) -> None:
    print(f"RISC-V loop, {name:<9} {speed / 1e6:7.3f} million instructions a second   {remark}")


def _same(isa: Isa, program: Program, rounds: int, left: list[int]) -> str:
    _, expected = _ours(isa, program, "emitted", rounds)
    return "(same result)" if left == expected else f"(ANOTHER RESULT: {left}, not {expected})"


def _ours(
    isa: Isa, program: Program, engine: Literal["concrete", "emitted"], rounds: int
) -> tuple[float, list[int]]:
    """Instructions a second, and what is left in the registers."""
    state = MachineState(isa)
    for segment in program.segments:
        state.load_cells(segment.address, list(segment.cells))
    state.update({isa.pc: START, "x[10]": BUFFER, "x[11]": rounds})
    machine = Machine(isa, state, engine=engine)
    start = time.perf_counter()
    machine.run(rounds * ROUND)
    speed = rounds * ROUND / (time.perf_counter() - start)
    return speed, machine.state.arrays["x"][SEEN]


def _tinyrv(program: Program) -> tuple[float, list[int]]:
    import tinyrv  # not a dependency of the project

    other = tinyrv.sim(xlen=32)
    for segment in program.segments:
        other.copy_in(segment.address, bytes(segment.cells))
    other.copy_in(BUFFER, bytes(4))
    other.pc = START
    other.x[10], other.x[11] = BUFFER - (1 << 32), TINYRV
    start = time.perf_counter()
    other.run(limit=TINYRV * ROUND, trace=False)
    speed = TINYRV * ROUND / (time.perf_counter() - start)
    return speed, [other.x[index] & 0xFFFF_FFFF for index in range(SEEN.start, SEEN.stop)]


if __name__ == "__main__":
    main()
