"""Real-address and virtual-8086 mode of `isas/x86/v8086_286` do what Unicorn does.

Random instructions, all that the description has, from states biased to edges. Compared: registers,
segments, IP, flags, memory, and the vector of a trap with the state before its delivery. Unicorn is
QEMU's code; what it is known to have wrong is said in `LACKS`. What the manual leaves open is found
by running the description twice, with every open bit 0 and with every open bit 1.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.ir import FieldType, Instruction, Isa, OperandRef, Parameter, TrapClass
from spec.load import load
from spec.outcome import Retired, Touch, VirtualAccess
from spec.state import MachineState

pytest.importorskip("unicorn", reason="the oracle Unicorn is not installed")

from tests.v8086_unicorn import MEMORY, Found, State, Unicorn

FILE = Path(__file__).parent.parent / "isas" / "x86" / "v8086_286.isa"
REAL, V86 = 1, 3
DIRECTORY = 0x400000
VECTORS = {"de": 0, "bp": 3, "of": 4, "br": 5, "ud": 6, "stack_fault": 12, "gp": 13}
FLAGS = {
    "CF": 0,
    "PF": 2,
    "AF": 4,
    "ZF": 6,
    "SF": 7,
    "TF": 8,
    "IF": 9,
    "DF": 10,
    "OF": 11,
    "NT": 14,
}
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFD, 0xFFFE, 0x5555)
REPEATS = (0xF2, 0xF3)
BEYOND = ("gp", "stack_fault")  # of a word at FFFF
LACKS = {
    "IN AL": "Unicorn answers ports itself, and lets virtual-8086 mode use them",
    "IN AX": "as IN AL",
    "OUT AL": "as IN AL",
    "OUT AX": "as IN AL",
    "SGDT": "the tables are Unicorn's own",
    "SIDT": "as SGDT",
    "LGDT": "as SGDT",
    "LIDT": "as SGDT",
    "SMSW": "CR0 is Unicorn's own",
}


@cache
def described() -> Isa:
    isa = load(str(FILE)).isa
    assert isa is not None
    return isa


@cache
def compared() -> tuple[Instruction, ...]:
    return tuple(i for i in described().instructions if i.name not in LACKS)


@dataclass(frozen=True, slots=True)
class Case:
    """An instruction and the state it is executed in."""

    instruction: Instruction
    fields: Mapping[str, int]
    code: tuple[int, ...]
    state: State
    virtual: bool

    def __str__(self) -> str:
        mode = "virtual-8086" if self.virtual else "real-address"
        return f"{self.instruction.name} {bytes(self.code).hex()} in {mode} mode, {self.state}"


class Cases:
    """Random instructions and states."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.isa = described()
        self.codec = Codec(self.isa)

    def case(self, instruction: Instruction) -> Case:
        while True:
            fields: dict[str, int] = {each.name: 0 for each in instruction.fields}
            for parameter in instruction.parameters:
                self._fill(parameter, "", fields)
            try:
                code = tuple(self.codec.encode(instruction, fields))
            except ValueError:  # `where` excludes these operands
                continue
            virtual = self.random.random() < 0.5
            return Case(instruction, fields, code, self._state(code), virtual)

    def _fill(self, parameter: Parameter, scope: str, fields: dict[str, int]) -> None:
        path = scope + parameter.name
        match parameter.type:
            case FieldType(width, values):
                members = [value for _, value in values]
                fields[path] = self.random.choice(members) if members else self._number(width)
            case OperandRef(operand, tags):
                (found,) = [o for o in self.isa.operands if o.name == operand]
                chosen = self.random.choice([a for a in found.alternatives if a.tag in tags])
                fields[f"{path}.tag"] = chosen.tag
                for inner in chosen.parameters:
                    self._fill(inner, f"{path}.{chosen.name}.", fields)

    def _number(self, width: int) -> int:
        if self.random.random() < 0.5:
            return self.random.choice(EDGES) & ((1 << width) - 1)
        return self.random.getrandbits(width)

    def _state(self, code: tuple[int, ...]) -> State:
        segments = [self._number(16) & 0x7FFF | 0x1000 for _ in range(4)]
        segments[1] = self.random.randrange(0x9000, 0xE000)
        registers = tuple(self._number(16) for _ in range(8))
        ip = self.random.randrange(0, 0xFF00)
        flags = self.random.getrandbits(15) & 0x7ED5 | 2
        if self.random.random() < 0.5:
            flags &= ~0x3000
        at = (segments[1] << 4) + ip
        start = State(registers, tuple(segments), ip, flags, {})
        memory = {address: self.random.getrandbits(8) for address in self._near(start)}
        memory |= {at + offset: value for offset, value in enumerate(code)}
        return replace(start, memory=memory)

    def _near(self, state: State) -> list[int]:
        """Where operands are likely to lie: at the registers, in each segment."""
        return [
            ((segment << 4) + ((register + offset) & 0xFFFF)) % MEMORY
            for segment in state.segments
            for register in state.registers
            for offset in range(-2, 4)
        ]


class Model:
    """The description's side of a comparison."""

    def __init__(self) -> None:
        self.isa = described()
        self.engine = ConcreteEngine(self.isa)
        self.blank = MachineState(self.isa)
        self.blank.update({"CR3": DIRECTORY})
        self._write(DIRECTORY, DIRECTORY + 0x1000 | 7)
        for page in range(MEMORY >> 12):  # every page maps to itself
            self._write(DIRECTORY + 0x1000 + 4 * page, page << 12 | 7)

    def _write(self, address: int, entry: int) -> None:
        self.blank.load_cells(address, list(entry.to_bytes(4, "little")))

    def run(self, case: Case, ones: bool) -> Found | None:
        """With every bit that the manual leaves open 0, or 1; None where Unicorn is no judge.

        It goes on beyond the end of a segment, where offsets wrap or a word at FFFF is refused,
        it stops at a store into the page that it executes, and takes INT 6 for an invalid word.
        """
        before = self._state(case)
        choices = [(1 << 16) - 1] * 16 if ones else []
        outcome = self.engine.execute(
            before, case.instruction, case.fields, len(case.code), choices
        )
        if _wraps([access.address for access in outcome.accesses.virtual]):
            return None
        written = [a for a in outcome.accesses.virtual if a.touch is Touch.STORE]
        if any(abs(a.address - before.scalars["LIP"]) < 0x1000 for a in written):
            return None
        if isinstance(outcome, Retired):
            return Found(None, self._read(case, outcome.state, written))
        if outcome.trap_class is TrapClass.FAULT and outcome.cause in BEYOND:
            return None
        if (outcome.cause, outcome.arguments) == ("software", (6,)):
            return None
        vector = outcome.arguments[0] if outcome.cause == "software" else VECTORS[outcome.cause]
        after = before.copy()
        if outcome.trap_class is TrapClass.CALL:
            after.update({"LIP": outcome.next})  # these are taken after the instruction
        return Found(int(vector), self._read(case, after, []))

    def _state(self, case: Case) -> MachineState:
        start = case.state
        state = self.blank.copy()
        state.own_array("r")[:] = start.registers
        state.own_array("segment")[:] = start.segments
        scalars = {name: start.flags >> bit & 1 for name, bit in FLAGS.items()}
        scalars |= {"IOPL": start.flags >> 12 & 3, "M": V86 if case.virtual else REAL}
        scalars |= {"ports_open": 1, "LIP": (start.segments[1] << 4) + start.ip}
        state.update(scalars)
        for address, value in start.memory.items():
            state.cells[address] = value
        return state

    def _read(self, case: Case, state: MachineState, written: Sequence[VirtualAccess]) -> State:
        segments = tuple(state.arrays["segment"])
        flags = 2 | state.scalars["IOPL"] << 12
        flags |= sum(state.scalars[name] << bit for name, bit in FLAGS.items())
        touched = {a.address + n for a in written for n in range(a.size)} | case.state.memory.keys()
        memory = {address: state.cells[address] for address in touched if state.cells[address]}
        ip = state.scalars["LIP"] - (segments[1] << 4) & 0xFFFF
        return State(tuple(state.arrays["r"]), segments, ip, flags, memory)


def _wraps(addresses: Sequence[int]) -> bool:
    return any(0xFFF0 <= a - b <= 0xFFFF for a in addresses for b in addresses)


def differences(case: Case, model: Model, unicorn: Unicorn) -> list[str]:
    """Where Unicorn and the description part; nothing if the manual leaves it open."""
    zeros, ones = model.run(case, False), model.run(case, True)
    if zeros is None or ones is None:
        return []
    found = unicorn.run(case.state, case.virtual)
    if case.code[0] in REPEATS and found.state.ip == case.state.ip and not found.state.registers[1]:
        # Unicorn ends a repetition by executing the instruction once more, with CX 0
        found = unicorn.run(found.state, case.virtual)
    if found.vector != zeros.vector:
        return [f"Unicorn has vector {found.vector}, the description {zeros.vector}"]
    report = []
    for name in ("registers", "segments", "ip"):
        theirs, ours = getattr(found.state, name), getattr(zeros.state, name)
        if theirs != ours and ours == getattr(ones.state, name):
            report.append(f"Unicorn has {name} {theirs}, the description {ours}")
    settled = ~(zeros.state.flags ^ ones.state.flags)
    if (found.state.flags ^ zeros.state.flags) & settled:
        report.append(
            f"Unicorn has flags {found.state.flags:04x}, the description {zeros.state.flags:04x}"
        )
    if found.state.memory != zeros.state.memory and zeros.state.memory == ones.state.memory:
        report.append("memory differs")
    return report


def shrunk(case: Case, model: Model, unicorn: Unicorn) -> Case:
    """The same difference from as plain a state as there is."""
    code = {(case.state.segments[1] << 4) + case.state.ip + n for n in range(len(case.code))}
    for index in range(8):
        registers = list(case.state.registers)
        registers[index] = 0
        plainer = replace(case, state=replace(case.state, registers=tuple(registers)))
        case = plainer if differences(plainer, model, unicorn) else case
    for address in sorted(case.state.memory.keys() - code):
        memory = {a: v for a, v in case.state.memory.items() if a != address}
        plainer = replace(case, state=replace(case.state, memory=memory))
        case = plainer if differences(plainer, model, unicorn) else case
    return case


def campaign(steps: int, seed: int) -> tuple[int, int]:
    """How many steps were compared in real-address and in virtual-8086 mode."""
    cases, model, unicorn = Cases(seed), Model(), Unicorn()
    count = [0, 0]
    for number in range(steps):
        case = cases.case(compared()[number % len(compared())])
        if differences(case, model, unicorn):
            case = shrunk(case, model, unicorn)
            raise AssertionError(f"{case}: {differences(case, model, unicorn)}")
        count[case.virtual] += 1
    return count[0], count[1]


def test_random_instructions_do_what_unicorn_does() -> None:
    real, virtual = campaign(6 * len(compared()), 1)

    assert real > 200
    assert virtual > 200


@pytest.mark.deep
def test_many_random_instructions_do_what_unicorn_does() -> None:
    """python -m pytest -m deep tests/test_oracle_v8086.py"""
    real, virtual = campaign(40_000, 2)

    assert real > 10_000
    assert virtual > 10_000


def test_what_is_left_out_exists() -> None:
    assert LACKS.keys() <= {instruction.name for instruction in described().instructions}
