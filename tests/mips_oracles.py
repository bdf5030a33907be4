"""MIPS32 twice: as described, and as QEMU's 24Kc, driven through its GDB stub.

The stub shows general registers, HI, LO, Status, Cause, BadVAddr and the PC. The rest of coprocessor 0 and the TLB are
loaded, and stored again, by programs that run in KSEG0. What neither can set (the exception code, BadVPN2, the
probe bit of Index) is as the case before left it, and a case starts from that.
"""

import random
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from spec.encoding import Codec, Decoded
from spec.ir import Isa
from spec.machine import Machine, Step
from spec.outcome import Touch, Trapped
from spec.state import MachineState
from tests.gdb_remote import QemuGdb

PROGRAM = "qemu-system-mipsel"
RAM_BYTES = 16 << 20
PAGE = 0x1000
CODE_PAGE = 0x1_0000
DATA_PAGES = (0x1_1000, 0x1_2000, 0x1_3000, 0x1_4000)
ENTRIES = 16
KSEG0 = 0x8000_0000
_LOADER, _DUMPER, _BLOCK, _DUMP = 0x1000, 0x2000, 0x4000, 0x5000
_DISABLE_COUNT = 1 << 27  # of Cause: Release 2's

NUMBERS = {  # of the registers that a case sets
    "Cause": 13, "Context": 4, "Wired": 6, "Count": 9, "Compare": 11, "EPC": 14, "ErrorEPC": 30, "Config": 16,
    "PageMask": 5, "EntryLo0": 2, "EntryLo1": 3, "EntryHi": 10, "Index": 0,
}  # fmt: skip
LAYOUT = {
    "Status": (("CU0", 28, 1), ("BEV", 22, 1), ("IM", 8, 8), ("ERL", 2, 1), ("EXL", 1, 1), ("IE", 0, 1)),
    "Cause": (("BD", 31, 1), ("CE", 28, 2), ("IV", 23, 1), ("IP", 8, 2), ("ExcCode", 2, 5)),
    "Index": (("P", 31, 1), ("Index", 0, 4)),
    "EntryHi": (("VPN2", 13, 19), ("ASID", 0, 8)),
    "EntryLo0": (("PFN", 6, 20), ("C", 3, 3), ("D", 2, 1), ("V", 1, 1), ("G", 0, 1)),
    "EntryLo1": (("PFN", 6, 20), ("C", 3, 3), ("D", 2, 1), ("V", 1, 1), ("G", 0, 1)),
    "PageMask": (("Mask", 13, 12),),
    "Context": (("PTEBase", 23, 9), ("BadVPN2", 4, 19)),
    "Wired": (("Wired", 0, 4),),
}  # fmt: skip
WHOLE = ("EPC", "ErrorEPC", "BadVAddr", "Compare", "Count")
KEPT = {"Context": 0x007F_FFF0, "Index": 1 << 31, "Cause": 0xB000_007C}
"""Bits that no program can set: they stay as they are."""
TABLE = ("hi", "lo0", "lo1", "mask")
FRAME = (("PFN", 6, 20), ("C", 3, 3), ("D", 2, 1), ("V", 1, 1))
SUPERVISOR, USER = 1, 2
NEVER_OF_ZERO = ("BLTZ", "BGTZ", "BLTZL", "BLTZALL", "BGTZL")
LIKELY = ("BEQL", "BNEL", "BLEZL", "BGTZL", "BLTZL", "BGEZL", "BLTZALL", "BGEZALL")

Registers = Mapping[str, int]


def background() -> dict[int, bytes]:
    """What is in memory before each case."""
    source = random.Random(4000)
    return {page: source.randbytes(PAGE) for page in DATA_PAGES}


BACKGROUND = background()


@dataclass(frozen=True, slots=True)
class Case:
    """Words at the PC, found at a physical address, and the state before them.

    `registers`: r1 to r31, HI, LO, PC, coprocessor 0 by name, and `hi0`, `lo00` ... of the TLB. `KSU` of Status is the
    mode, or the one to go back to where EXL or ERL is set.
    """

    words: tuple[int, ...]
    place: int
    registers: Registers
    steps: int = 1  # at least

    @property
    def mode(self) -> int:
        status = self.registers["Status"]
        return 0 if status & 6 else status >> 3 & 3


@dataclass(frozen=True, slots=True)
class After:
    """Registers, by the names of a case, and the bytes written."""

    registers: Registers
    memory: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the description says came of a case."""

    after: After
    decoded: Decoded | None
    steps: tuple[Step, ...]
    waits: bool
    outside: bool  # it touched what is no memory there, or the harness

    @property
    def name(self) -> str:
        return self.decoded.instruction.name if self.decoded else ""

    @property
    def causes(self) -> tuple[str, ...]:
        """Those of the traps, "" for a step without one."""
        return tuple(
            step.outcome.cause if isinstance(step.outcome, Trapped) else step.interrupt or ""
            for step in self.steps
        )

    @property
    def there(self) -> int:
        """How many steps it takes QEMU, for which to skip an instruction is one, but where the branch can
        tell by its operands alone that it is not taken."""
        decoded = self.steps[-1].decoded
        skips = decoded is not None and decoded.instruction.name in LIKELY
        return len(self.steps) + (skips and not never_taken(decoded))


class Described:
    """The description's own machine."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.codec = Codec(isa)
        self._base = MachineState(isa)
        for page, content in BACKGROUND.items():
            self._base.load_cells(page, content)

    def decode(self, case: Case) -> Decoded | None:
        return self.codec.decode_cells(list(_bytes(case.words)))

    def run(self, case: Case, draw: int = ENTRIES - 1) -> Expectation:
        """Run one step, or to the end of a delay slot; `draw` is where Random has got to."""
        machine = Machine(self.isa, self._state(case, draw), self.codec.decode)
        steps: list[Step] = []
        while len(steps) < case.steps or (machine.state.scalars["delayed"] and len(steps) < 3):
            steps.append(machine.step())
            scalars = machine.state.scalars
            scalars["Count"] = scalars["Count"] - 1 & 0xFFFF_FFFF  # it stands still there
        stored: set[int] = set()
        outside = False
        for step in steps:
            if step.outcome is None:
                continue
            for access in step.outcome.accesses.virtual:
                if access.physical is None:
                    continue
                outside |= not CODE_PAGE <= access.physical <= RAM_BYTES - access.size
                if access.touch is Touch.STORE:
                    stored |= set(range(access.physical, access.physical + access.size))
        memory = {address: machine.state.cells[address] for address in stored}
        after = After(_snapshot(machine.state), memory)
        return Expectation(after, self.decode(case), tuple(steps), machine.waiting, outside)

    def _state(self, case: Case, draw: int) -> MachineState:
        state = self._base.copy()
        state.load_cells(case.place, _bytes(case.words))
        registers = case.registers
        status = registers["Status"]
        mode = status >> 3 & 3
        values = {"M": case.mode, "Status.KSU": mode if status & 6 else 0, "random": draw}
        values |= {name: registers[name] for name in (*WHOLE, "HI", "LO", "PC")}
        values["K0"] = registers["Config"] & 7
        for name, fields in LAYOUT.items():
            values |= {f"{name}.{f}": _bits(registers[name], low, n) for f, low, n in fields}
        state.update(values)
        state.own_array("r")[1:] = [registers[f"r{n}"] for n in range(1, 32)]
        for name, values_ in _table(registers).items():
            state.own_array(name)[:] = values_
        return state


def never_taken(decoded: Decoded | None) -> bool:
    """A branch whose operands alone say so."""
    if decoded is None:
        return False
    name, fields = decoded.instruction.name, decoded.fields
    if name in ("BNE", "BNEL"):
        return fields["rs"] == fields["rt"]
    return name in NEVER_OF_ZERO and fields["rs"] == 0


def _bytes(words: tuple[int, ...]) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in words)


def _bits(value: int, low: int, width: int) -> int:
    return value >> low & ((1 << width) - 1)


def _table(registers: Registers) -> dict[str, list[int]]:
    """The TLB as the description has it."""
    rows = [{part: registers[f"{part}.{n}"] for part in TABLE} for n in range(ENTRIES)]
    found = {
        "tag.VPN2": [row["hi"] >> 13 for row in rows],
        "tag.ASID": [row["hi"] & 0xFF for row in rows],
        "tag.G": [row["lo0"] & row["lo1"] & 1 for row in rows],
        "tag.Mask": [row["mask"] >> 13 for row in rows],
    }
    for half, name in (("lo0", "even"), ("lo1", "odd")):
        for field, low, width in FRAME:
            found[f"{name}.{field}"] = [_bits(row[half], low, width) for row in rows]
    return found


def _snapshot(state: MachineState) -> dict[str, int]:
    """A state as the names of a case have it."""
    scalars, arrays = state.scalars, state.arrays
    found = {f"r{n}": arrays["r"][n] for n in range(1, 32)}
    found |= {name: scalars[name] for name in (*WHOLE, "HI", "LO", "PC")}
    found["Config"] = scalars["K0"]
    for name, fields in LAYOUT.items():
        found[name] = sum(scalars[f"{name}.{f}"] << low for f, low, _ in fields)
    returning = scalars["Status.EXL"] | scalars["Status.ERL"]
    found["Status"] |= (scalars["Status.KSU"] if returning else scalars["M"]) << 3
    for n in range(ENTRIES):
        found[f"hi.{n}"] = arrays["tag.VPN2"][n] << 13 | arrays["tag.ASID"][n]
        found[f"mask.{n}"] = arrays["tag.Mask"][n] << 13
        for half, name in (("lo0", "even"), ("lo1", "odd")):
            parts = sum(arrays[f"{name}.{f}"][n] << low for f, low, _ in FRAME)
            found[f"{half}.{n}"] = parts | arrays["tag.G"][n]
    return found


# --------------------------------------------------------------------------- QEMU


class Qemu:
    """qemu-system-mipsel with a 24Kc, which has Release 2 and the same 16 entries."""

    def __init__(self) -> None:
        with tempfile.NamedTemporaryFile(suffix=".bin") as bios:
            bios.write(bytes(PAGE))
            bios.flush()
            arguments = ["-M", "mipssim", "-cpu", "24Kc", "-m", "16M", "-bios", bios.name]
            self._gdb = QemuGdb(PROGRAM, arguments, flat_register_bytes=4)
        gdb = self._gdb
        gdb.use_physical_memory(True)
        for page, content in BACKGROUND.items():
            gdb.write_memory(page, content)
        loader, dumper = list(_loader()), list(_dumper())
        gdb.write_memory(_LOADER, _bytes(tuple(loader)))
        gdb.write_memory(_DUMPER, _bytes(tuple(dumper)))
        self._ends = {
            _LOADER: KSEG0 + _LOADER + 4 * (len(loader) - 1),
            _DUMPER: KSEG0 + _DUMPER + 4 * (len(dumper) - 1),
        }
        for end in self._ends.values():
            gdb.exchange([f"Z0,{end:x},4"])
        gdb.take_interrupts_while_stepping()
        self._execute(_DUMPER)
        self._kept = self._dumped()

    def close(self) -> None:
        self._gdb.close()

    def started(self, case: Case) -> Case:
        """The case with the bits that stay as they are."""
        registers = dict(case.registers)
        for name, bits in KEPT.items():
            registers[name] = registers[name] & ~bits | self._kept[name] & bits
        return replace(case, registers=registers)

    def run(self, case: Case, steps: int, watched: Mapping[int, int]) -> After:
        """What QEMU does with a case that `started`; the bytes at `watched` stand for those written."""
        gdb = self._gdb
        registers = case.registers
        block = [registers[name] for name in NUMBERS]
        block[list(NUMBERS).index("Cause")] |= _DISABLE_COUNT
        block += [registers[f"{part}.{n}"] for n in range(ENTRIES) for part in TABLE]
        gdb.write_memory(_BLOCK, _bytes(tuple(block)))
        self._execute(_LOADER)
        gdb.write_memory(case.place, _bytes(case.words))
        wanted = {str(n): registers[f"r{n}"] for n in range(1, 32)}
        wanted |= {"32": registers["Status"], "33": registers["LO"], "34": registers["HI"]}
        wanted |= {"35": registers["BadVAddr"], "37": registers["PC"]}
        gdb.write_many(wanted)
        for _ in range(steps):
            assert gdb.step(10.0), "QEMU sleeps, the description does not"
        shown = gdb.read_many([str(n) for n in range(38)])
        after = {f"r{n}": shown[str(n)] for n in range(1, 32)}
        after |= {"LO": shown["33"], "HI": shown["34"], "PC": shown["37"]}
        places = sorted(watched)
        found = gdb.read_places(range(address, address + 1) for address in places)
        memory = {address: content[0] for address, content in zip(places, found, strict=True)}
        pages = self._pages(case, watched)
        self._execute(_DUMPER)
        self._kept = dumped = self._dumped()
        dumped |= {"Status": shown["32"], "BadVAddr": shown["35"], "Cause": shown["36"]}
        return After({**dumped, **after}, {**pages, **memory})

    def _pages(self, case: Case, watched: Mapping[int, int]) -> dict[int, int]:
        """Other bytes that changed in the pages of data; memory is put back."""
        found: dict[int, int] = {}
        gdb = self._gdb
        images = gdb.read_places(range(page, page + PAGE) for page in BACKGROUND)
        for (page, content), now in zip(BACKGROUND.items(), images, strict=True):
            if now != content:
                changed = {page + n: b for n, b in enumerate(now) if b != content[n]}
                found |= {a: b for a, b in changed.items() if a not in watched}
                gdb.write_memory(page, content)
        spans = [range(case.place, case.place + 4 * len(case.words))]
        spans += [range(a, a + 1) for a in watched if a & -PAGE not in BACKGROUND]
        gdb.write_places((span.start, bytes(len(span))) for span in spans)
        return found

    def _execute(self, program: int) -> None:
        """Run a program in KSEG0, in kernel mode."""
        self._gdb.write_many({"32": 0, "37": KSEG0 + program})
        self._gdb.exchange(["c"])
        assert self._gdb.read("37") == self._ends[program]

    def _dumped(self) -> dict[str, int]:
        names = [*NUMBERS, *(f"{part}.{n}" for n in range(ENTRIES) for part in TABLE)]
        content = self._gdb.read_memory(_DUMP, 4 * len(names))
        return {
            name: int.from_bytes(content[4 * n : 4 * n + 4], "little")
            for n, name in enumerate(names)
        }


_T0, _T1 = 8, 9
_TLBR, _TLBWI, _NOP = 0x4200_0001, 0x4200_0002, 0
_ENTRY = {"hi": 10, "lo0": 2, "lo1": 3, "mask": 5}


def _move(to: bool, rt: int, number: int) -> int:
    """MTC0 or MFC0, select 0."""
    return 0x4000_0000 | to << 23 | rt << 16 | number << 11


def _memory(code: int, rt: int, offset: int) -> int:
    return code << 26 | _T0 << 21 | rt << 16 | offset


def _address(at: int) -> Iterator[int]:
    """$t0 := the address in KSEG0."""
    yield 0x3C00_0000 | _T0 << 16 | KSEG0 >> 16
    yield 0x3400_0000 | _T0 << 21 | _T0 << 16 | at


def _index(n: int) -> Iterator[int]:
    yield 0x2400_0000 | _T1 << 16 | n
    yield _move(True, _T1, NUMBERS["Index"])


def _loader() -> Iterator[int]:
    """The TLB and coprocessor 0 from the block; no link is left."""
    yield from _address(_BLOCK)
    at = 4 * len(NUMBERS)
    for n in range(ENTRIES):
        yield from _index(n)
        for part in TABLE:
            yield _memory(0x23, _T1, at)
            yield _move(True, _T1, _ENTRY[part])
            at += 4
        yield from (_NOP, _TLBWI, _NOP)
    for n, number in enumerate(NUMBERS.values()):
        yield _memory(0x23, _T1, 4 * n)
        yield _move(True, _T1, number)
    yield _memory(0x38, 0, PAGE - 4)  # sc
    yield from (_NOP, _NOP)


def _dumper() -> Iterator[int]:
    """Coprocessor 0 and the TLB into memory."""
    yield from _address(_DUMP)
    for n, number in enumerate(NUMBERS.values()):
        yield _move(False, _T1, number)
        yield _memory(0x2B, _T1, 4 * n)
    at = 4 * len(NUMBERS)
    for n in range(ENTRIES):
        yield from _index(n)
        yield from (_NOP, _TLBR, _NOP)
        for part in TABLE:
            yield _move(False, _T1, _ENTRY[part])
            yield _memory(0x2B, _T1, at)
            at += 4
    yield from (_NOP, _NOP)
