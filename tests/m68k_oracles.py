"""The MC68000 and MC68010 three times: as described, in Musashi and in QEMU.

Each runs one instruction of a `Case` and says what came of it as an `After`. Memory holds the same
background everywhere, so that an `After` names only the bytes that were written.

What an oracle is known not to have is for its user to say, as names that `differences` ignores.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from spec.concrete import ConcreteEngine
from spec.encoding import Codec, Decoded
from spec.ir import Isa
from spec.outcome import Accesses, Outcome, Retired, Trapped
from spec.state import MachineState
from tests.gdb_remote import QemuGdb

machine68k = pytest.importorskip("machine68k", reason="Musashi is not here")

CODE = 0x4000
SUPERVISOR_STACK = 0x8800
USER_STACK = 0xA800
HANDLERS = 0x800
MEMORY_BYTES = 1 << 24
MOVEC_TO_CONTROL = tuple(map(bytes.fromhex, ("4e7b0801", "4e7b1000", "4e7b2001")))
MOVEC_FROM_CONTROL = tuple(map(bytes.fromhex, ("4e7a0801", "4e7a1000", "4e7a2001")))
IMPLEMENTED = 0xA71F  # bits of the status register
_PAGE = 0x1000
_PAGES = (0, CODE, 0x8000, 0xA000, MEMORY_BYTES - _PAGE)
_CHOICES = 64
_LONGEST_BYTES = 10


def _background() -> dict[int, bytes]:
    """Random pages, but for the vectors, whose handlers are NOPs."""
    source = random.Random(68000)
    pages = {page: source.randbytes(_PAGE) for page in _PAGES}
    vectors = b"".join((HANDLERS + 4 * n).to_bytes(4, "big") for n in range(256))
    pages[0] = vectors + pages[0][len(vectors) : HANDLERS] + b"\x4e\x71" * ((_PAGE - HANDLERS) // 2)
    return pages


BACKGROUND = _background()


def background(address: int) -> int:
    page = BACKGROUND.get(address & ~(_PAGE - 1))
    return page[address & (_PAGE - 1)] if page else 0


@dataclass(frozen=True, slots=True)
class Case:
    """One instruction (with what follows it in memory) at `CODE`, and the state before it."""

    code: bytes
    d: tuple[int, ...]
    a: tuple[int, ...]  # A0 to A6
    usp: int
    ssp: int
    sr: int
    vbr: int = 0
    sfc: int = 0
    dfc: int = 0

    def byte(self, address: int) -> int:
        """What memory holds there before the instruction."""
        at = address - CODE
        return self.code[at] if 0 <= at < len(self.code) else background(address)


@dataclass(frozen=True, slots=True)
class After:
    """What came of it: registers by name, and the bytes written."""

    registers: Mapping[str, int]
    memory: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the description says; set bits of `undefined` (by name, by address) are left open."""

    after: After
    undefined: Mapping[str, int]
    undefined_bytes: frozenset[int]
    decoded: Decoded | None
    outcome: Outcome

    @property
    def cause(self) -> str:
        """The trap's cause, or nothing."""
        return self.outcome.cause if isinstance(self.outcome, Trapped) else ""


class Described:
    """The description's own machine."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.codec = Codec(isa)
        self.engine = ConcreteEngine(isa)
        self._base = MachineState(isa)
        for page, content in BACKGROUND.items():
            self._base.load_cells(page, content)

    def state(self, case: Case) -> MachineState:
        state = self._base.copy()
        state.load_cells(CODE, case.code)
        state.own_array("D")[:] = case.d
        state.own_array("A")[:] = case.a
        values = {"USP": case.usp, "SSP": case.ssp, "PC": CODE, "S": case.sr >> 13 & 1}
        values |= {"T": case.sr >> 15, "I": case.sr >> 8 & 7}
        values |= {flag: case.sr >> bit & 1 for bit, flag in enumerate("CVZNX")}
        if "VBR" in state.scalars:
            values |= {"VBR": case.vbr, "SFC": case.sfc, "DFC": case.dfc}
        state.update(values)
        return state

    def run(self, case: Case) -> Expectation:
        """Run twice, all choices 0 and all 1: what differs is what the manual leaves open."""
        state = self.state(case)
        after, outcome, chosen = self._once(state, case, ())
        other = after
        if chosen:
            other, _, _ = self._once(state, case, (-1,) * _CHOICES)
        open_bits = {
            name: value ^ other.registers[name]
            for name, value in after.registers.items()
            if value != other.registers[name]
        }
        open_bytes = frozenset(
            address
            for address in after.memory.keys() | other.memory.keys()
            if after.memory.get(address) != other.memory.get(address)
        )
        return Expectation(after, open_bits, open_bytes, self.decode(case), outcome)

    def decode(self, case: Case) -> Decoded | None:
        return self.codec.decode_cells([case.byte(CODE + at) for at in range(_LONGEST_BYTES)])

    def _once(
        self, state: MachineState, case: Case, choices: Sequence[int]
    ) -> tuple[After, Outcome, bool]:
        decoded = self.decode(case)
        outcome: Outcome
        if decoded is None:
            outcome = self.engine.undecodable(state, self.isa.undecodable, 2)
        else:
            outcome = self.engine.execute(
                state, decoded.instruction, decoded.fields, decoded.length, choices
            )
        accesses = outcome.accesses
        final = outcome
        if isinstance(outcome, Trapped):
            final = self.engine.deliver(
                state, outcome.cause, outcome.arguments, outcome.next, choices
            )
            accesses = final.accesses
        assert isinstance(final, Retired), "no trap is raised while one is delivered"
        chosen = bool(accesses.choices or outcome.accesses.choices)
        return _after_of(final.state, accesses), outcome, chosen


def _after_of(state: MachineState, accesses: Accesses) -> After:
    written: set[int] = set()
    for store in accesses.virtual:
        if store.access.name == "WRITE" and store.physical is not None:
            written.update((store.physical + i) % MEMORY_BYTES for i in range(store.size))
    for physical in accesses.physical:
        if physical.write:
            written.update((physical.address + i) % MEMORY_BYTES for i in range(physical.size))
    scalars = state.scalars
    registers = {f"D{i}": value for i, value in enumerate(state.arrays["D"])}
    registers |= {f"A{i}": value for i, value in enumerate(state.arrays["A"])}
    registers |= {name: scalars[name] for name in ("USP", "SSP", "PC")}
    registers |= {name: scalars[name] for name in ("VBR", "SFC", "DFC") if name in scalars}
    flags = sum(scalars[flag] << bit for bit, flag in enumerate("CVZNX"))
    registers["SR"] = scalars["T"] << 15 | scalars["S"] << 13 | scalars["I"] << 8 | flags
    return After(registers, {address: state.cells[address] for address in written})


class Musashi:
    """machine68k's processor. All of its memory is RAM; it has 24 address lines."""

    def __init__(self, model: str) -> None:
        self._control = model == "m68010"
        kind = machine68k.CPUType.M68010 if self._control else machine68k.CPUType.M68000
        self._machine = machine68k.Machine(kind, MEMORY_BYTES >> 10)
        self._cpu, self._memory = self._machine.cpu, self._machine.mem
        for page, content in BACKGROUND.items():
            self._memory.w_block(page, content)
        self._log: list[tuple[str, int, int, int]] = []
        self._memory.set_trace_func(self._trace)
        self._memory.set_trace_mode(True)

    def close(self) -> None:
        self._machine.cleanup()

    def disassemble(self, code: bytes) -> str:
        """The instruction in Musashi's words."""
        self._memory.w_block(CODE, code)
        text = str(self._cpu.disassemble(CODE)[1])
        self._restore(range(CODE, CODE + len(code)))
        return text

    def run(self, case: Case) -> After:
        cpu, register = self._cpu, machine68k.Register
        cpu.pulse_reset()  # ends a STOP; its own cycles are spent by the next call
        cpu.execute(1)
        self._memory.w_block(CODE, case.code)
        cpu.w_sr(case.sr)
        cpu.w_usp(case.usp)
        cpu.w_isp(case.ssp)
        for number, value in enumerate((*case.d, *case.a)):
            cpu.w_reg(register(number), value)
        if self._control:
            cpu.w_reg(register.VBR, case.vbr)
            cpu.w_reg(register.SFC, case.sfc)
            cpu.w_reg(register.DFC, case.dfc)
        cpu.w_pc(CODE)
        self._log.clear()
        cpu.execute(1)
        values = [cpu.r_reg(register(number)) for number in range(15)]
        registers = {f"D{i}": value for i, value in enumerate(values[:8])}
        registers |= {f"A{i}": value for i, value in enumerate(values[8:])}
        registers |= {"USP": cpu.r_usp(), "SSP": cpu.r_isp(), "PC": cpu.r_pc(), "SR": cpu.r_sr()}
        if self._control:
            for name in ("VBR", "SFC", "DFC"):
                registers[name] = cpu.r_reg(getattr(register, name))
        written = {
            (address + offset) % MEMORY_BYTES
            for kind, size, address, _ in self._log
            if kind == "W"
            for offset in range(1 << size)
        }
        after = After(registers, {address: self._memory.r8(address) for address in written})
        self._restore({*written, *range(CODE, CODE + len(case.code))})
        return after

    def _trace(self, kind: str, size: int, address: int, value: int) -> int:
        self._log.append((kind, size, address, value))
        return 0

    def _restore(self, addresses: "set[int] | range") -> None:
        for address in addresses:
            self._memory.w8(address, background(address))


class Qemu:
    """qemu-system-m68k. Its status register has no unused bits.

    The stub does not show the MC68010's control registers: MOVEC sets and reads them.
    """

    def __init__(self, model: str) -> None:
        self._control = model == "m68010"
        self._gdb = QemuGdb(
            "qemu-system-m68k", ["-M", "none", "-m", "16M", "-cpu", model], byteorder="big"
        )
        self._fill()

    def close(self) -> None:
        self._gdb.close()

    def run(self, case: Case, watched: Mapping[int, int]) -> After:
        """The bytes at `watched` stand for those written."""
        gdb = self._gdb
        gdb.write_many({"ps": 0x2000})
        if self._control:
            gdb.write_many({"d0": case.vbr, "d1": case.sfc, "d2": case.dfc})
            self._execute(MOVEC_TO_CONTROL)
        gdb.write_memory(CODE, case.code)
        gdb.write_many({"sp": case.ssp})
        gdb.write_many({"ps": 0})
        gdb.write_many({"sp": case.usp})
        names = [*(f"d{i}" for i in range(8)), *(f"a{i}" for i in range(6)), "fp"]
        gdb.write_many(dict(zip(names, (*case.d, *case.a), strict=True)) | {"pc": CODE})
        gdb.write_many({"ps": case.sr})
        awake = gdb.step()
        seen = gdb.read_many([*names, "sp", "ps", "pc"])
        gdb.write_many({"ps": seen["ps"] ^ 0x2000})
        stacks = (gdb.read("sp"), seen["sp"])
        usp, ssp = stacks if seen["ps"] & 0x2000 else reversed(stacks)
        registers = {f"D{i}": seen[f"d{i}"] for i in range(8)}
        registers |= {f"A{i}": seen[name] for i, name in enumerate(names[8:])}
        registers |= {"USP": usp, "SSP": ssp, "PC": seen["pc"], "SR": seen["ps"] & IMPLEMENTED}
        places = sorted(watched)
        found = gdb.read_places(range(address, address + 1) for address in places)
        memory = {address: content[0] for address, content in zip(places, found, strict=True)}
        if awake and self._control:
            gdb.write_many({"ps": 0x2000})
            self._execute(MOVEC_FROM_CONTROL)
            control = gdb.read_many(["d0", "d1", "d2"])
            registers |= {"VBR": control["d0"], "SFC": control["d1"], "DFC": control["d2"]}
        if awake:
            self._restore(case, memory)
        else:
            gdb.restart()
            self._fill()
        return After(registers, memory)

    def _execute(self, instructions: Sequence[bytes]) -> None:
        for code in instructions:
            self._gdb.write_memory(CODE, code)
            self._gdb.write_many({"pc": CODE})
            self._gdb.step()

    def _fill(self) -> None:
        for page, content in BACKGROUND.items():
            self._gdb.write_memory(page, content)

    def _restore(self, case: Case, written: Iterable[int]) -> None:
        """The background where the instruction wrote, and where an exception may have."""
        spans = [range(CODE, CODE + _LONGEST_BYTES), range(case.ssp - 64, case.ssp)]
        spans += [range(address, address + 1) for address in written]
        self._gdb.write_places((span.start, bytes(map(background, span))) for span in spans)


def differences(
    case: Case, expected: Expectation, seen: After, ignored: Mapping[str, int]
) -> dict[str, str]:
    """What an oracle says otherwise, in words, by name.

    `ignored` are bits of registers that do not count; if it has "memory", no bytes count.
    """
    found: dict[str, str] = {}
    for name, value in expected.after.registers.items():
        counted = ~(expected.undefined.get(name, 0) | ignored.get(name, 0))
        if (value ^ seen.registers.get(name, value)) & counted:
            found[name] = f"described {value:08x}, oracle {seen.registers[name]:08x}"
    if "memory" in ignored:
        return found
    mine, theirs = expected.after.memory, seen.memory
    for address in sorted((mine.keys() | theirs.keys()) - expected.undefined_bytes):
        before = case.byte(address)
        if mine.get(address, before) != theirs.get(address, before):
            found[f"[{address:06x}]"] = (
                f"described {mine.get(address, before):02x}, "
                f"oracle {theirs.get(address, before):02x}"
            )
    return found


def simpler(case: Case) -> list[Case]:
    """The case with one thing of its state made plainer, plainest first."""
    plain = [replace(case, d=values) for values in _lesser(case.d)]
    plain += [replace(case, a=values) for values in _lesser(case.a)]
    plain += [replace(case, usp=USER_STACK), replace(case, ssp=SUPERVISOR_STACK)]
    plain += [replace(case, vbr=0)]
    plain += [replace(case, sr=case.sr & ~(1 << bit)) for bit in (0, 1, 2, 3, 4, 8, 9, 10, 13)]
    return [candidate for candidate in plain if candidate != case]


def _lesser(values: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for i, value in enumerate(values):
        for lesser in (0, 1, CODE + 0x800, value & 0xFFFF, value & -value):
            if lesser < value:
                yield (*values[:i], lesser, *values[i + 1 :])
