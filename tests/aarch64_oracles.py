"""AArch64 twice: as described, and in QEMU's Cortex-A53 (without EL3) driven through its GDB stub.

The stub shows system registers but does not write them, nor changes the exception level, so before
the instruction under test a program at EL2, where a reset begins, loads them and returns to the
case's level. It lies in a block of its own, which the tables of EL2 map where it is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import TracebackType
from typing import Self

from spec.assembly import assemble
from spec.concrete import ConcreteEngine
from spec.encoding import Codec, Decoded
from spec.ir import Access, Isa, Literal, Load
from spec.outcome import Outcome, Retired, Touch, Trapped
from spec.program import Program
from spec.state import MachineState
from tests.gdb_remote import QemuGdb

PROGRAM = "qemu-system-aarch64"
EL0, EL1T, EL1H, EL2T, EL2H = 0, 4, 5, 8, 9
CODE_PAGE = 0x10_0000
DATA_PAGES = (0x20_0000, 0x20_1000)
TABLES = (0x30_0000, 0x30_1000, 0x30_2000)  # of level 2, for TTBR0_EL1, TTBR1_EL1, TTBR0_EL2
LOWER_TABLES = range(0x31_0000, 0x32_0000, 0x1000)
HARNESS = 0xE0_0000
PAGE_BYTES = 0x1000
_BLOCK = HARNESS + 0x2000

SCTLR_EL1_ONES, SCTLR_EL2_ONES = 0x30D0_0802, 0x30C5_0832
TCR_EL1_ONES, TCR_EL2_ONES, HCR_ONES = 0x8022_0022, 0x8080_0022, 0x8000_0000
FIELDS: dict[str, dict[str, int]] = {
    "SCTLR_EL1": {
        "UCI": 26, "WXN": 19, "nTWE": 18, "nTWI": 16, "UCT": 15, "DZE": 14, "I": 12, "UMA": 9,
        "SA0": 4, "SA": 3, "C": 2, "M": 0,
    },
    "SCTLR_EL2": {"WXN": 19, "I": 12, "SA": 3, "C": 2, "M": 0},
    "TCR_EL1": {"EPD1": 23, "EPD0": 7},
    "TCR_EL2": {},
    "HCR_EL2": {
        "TRVM": 30, "HCD": 29, "TDZ": 28, "TGE": 27, "TVM": 26, "TTLB": 25, "TPU": 24, "TPC": 23,
        "TSW": 22, "TID3": 18, "TID2": 17, "TID1": 16, "TWE": 14, "TWI": 13, "AMO": 5, "IMO": 4,
        "FMO": 3,
    },
    "CNTKCTL_EL1": {"EL0VCTEN": 1, "EL0PCTEN": 0},
    "CNTHCTL_EL2": {"EL1PCTEN": 0},
}  # fmt: skip
_ONES = {
    "SCTLR_EL1": SCTLR_EL1_ONES, "SCTLR_EL2": SCTLR_EL2_ONES, "TCR_EL1": TCR_EL1_ONES,
    "TCR_EL2": TCR_EL2_ONES,
    "HCR_EL2": HCR_ONES,
}  # fmt: skip
PLAIN = (
    "TTBR0_EL1", "TTBR1_EL1", "TTBR0_EL2", "SPSR_EL1", "ELR_EL1", "ESR_EL1", "FAR_EL1",
    "VBAR_EL1", "MAIR_EL1", "PAR_EL1", "CONTEXTIDR_EL1", "TPIDR_EL1", "CSSELR_EL1", "SPSR_EL2",
    "ELR_EL2", "ESR_EL2", "FAR_EL2", "VBAR_EL2", "MAIR_EL2", "TPIDR_EL2", "VPIDR_EL2",
    "VMPIDR_EL2", "TPIDR_EL0", "TPIDRRO_EL0", "CNTVOFF_EL2",
)  # fmt: skip
KEPT_BITS = {
    "SPSR_EL1": 0xF010_03DF, "SPSR_EL2": 0xF010_03DF, "VBAR_EL1": ~0x7FF, "VBAR_EL2": ~0x7FF,
    "ESR_EL1": 0xFFFF_FFFF, "ESR_EL2": 0xFFFF_FFFF, "CONTEXTIDR_EL1": 0xFFFF_FFFF,
    "VPIDR_EL2": 0xFFFF_FFFF,
}  # fmt: skip
"""Bits that registers have; QEMU keeps others that are written."""
STACKS = ("SP_EL0", "SP_EL1", "SP_EL2")
PSTATE = {"N": 31, "Z": 30, "C": 29, "V": 28, "D": 9, "A": 8, "I": 7, "F": 6}
_GDB_NAMES = {
    "SCTLR_EL1": "SCTLR", "VBAR_EL1": "VBAR", "CNTKCTL_EL1": "CNTKCTL", "CSSELR_EL1": "CSSELR",
}  # fmt: skip
_TLBI = ("tlbi_alle1", "tlbi_alle2")


def background(address: int) -> int:
    """The byte that lies in a data page unless a case says otherwise."""
    return (address * 167 + (address >> 8) * 59) & 0xFF


@dataclass(frozen=True, slots=True)
class Case:
    """Instructions at the program counter and the state before them, elements by their names.

    `memory` holds double words by physical address. Of the data pages the rest is `background`.
    """

    words: tuple[int, ...]
    code: int  # the physical address of the first of `words`
    state: Mapping[str, int]
    memory: Mapping[int, int] = field(default_factory=dict)

    @property
    def level(self) -> int:
        return self.state["EL"] >> 2


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the description says: the state, the double words written."""

    state: Mapping[str, int]
    memory: Mapping[int, int]
    decoded: Decoded | None
    outcome: Outcome
    within: bool  # only pages that cases use were touched
    steps: int  # up to the first exception

    @property
    def name(self) -> str:
        return self.decoded.instruction.name if self.decoded else ""

    @property
    def cause(self) -> str:
        return self.outcome.cause if isinstance(self.outcome, Trapped) else ""


def element_names() -> list[str]:
    """What is compared, by the description's names."""
    general = [f"X[{n}]" for n in range(31)]
    fields = [f"{name}.{each}" for name, parts in FIELDS.items() for each in parts]
    return [*general, *STACKS, *PSTATE, "EL", "PC", *fields, *PLAIN]


class Described:
    """The description's own machine."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.codec = Codec(isa)
        self.engine = ConcreteEngine(isa)
        self._base = MachineState(isa)
        for page in DATA_PAGES:
            self._base.load_cells(page, bytes(background(page + i) for i in range(PAGE_BYTES)))

    def run(self, case: Case) -> Expectation:
        state = self._base.copy()
        for address, value in case.memory.items():
            state.load_cells(address, value.to_bytes(8, "little"))
        state.load_cells(case.code, _code(case))
        state.update(dict(case.state))
        before, within, steps = state, True, 0
        decoded, last = None, None
        for _ in case.words:
            decoded, last, state = self._step(state)
            within = within and _within(last)
            steps += 1
            if isinstance(last, Trapped):
                break
        assert last is not None
        after = {name: _value(state, name) for name in element_names()}
        return Expectation(after, _written(before, state), decoded, last, within, steps)

    def _step(self, state: MachineState) -> tuple[Decoded | None, Outcome, MachineState]:
        pc = state.scalars["PC"]
        fetch = Load("unit", Literal(pc, 64), 32, Access.FETCH)
        fetched = self.engine.run(state, (fetch,), {"next": pc})
        decoded = None
        if isinstance(fetched, Trapped):
            outcome: Outcome = fetched
        else:
            (place,) = [a.physical for a in fetched.accesses.virtual]
            assert place is not None
            word = int.from_bytes(bytes(state.cells[place + i] for i in range(4)), "little")
            decoded = self.codec.decode(lambda _: word)
            if decoded is None:
                outcome = self.engine.undecodable(state, self.isa.undecodable, 4)
            else:
                outcome = self.engine.execute(state, decoded.instruction, decoded.fields, 4, ())
        if isinstance(outcome, Trapped):
            done = self.engine.deliver(state, outcome.cause, outcome.arguments, outcome.next)
            assert isinstance(done, Retired)
            return decoded, outcome, done.state
        state = outcome.state
        return decoded, outcome, state


class Qemu:
    """One emulator; `run` says what became of a case."""

    def __init__(self, isa: Isa) -> None:
        program = assemble(isa, _harness_text(), origin=HARNESS)
        assert isinstance(program, Program), program
        self._program = program
        self._start, self._below, self._here = (
            program.symbols[name] for name in ("load", "below", "here")
        )
        self._gdb = QemuGdb(PROGRAM, ["-M", "none", "-m", "16M", "-cpu", "cortex-a53,has_el3=off"])
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gdb.close()

    def run(
        self, case: Case, watched: frozenset[int], steps: int
    ) -> tuple[dict[str, int], dict[int, int]]:
        """The elements after it, and the `watched` double words and those of data pages that changed."""
        gdb = self._gdb
        self._to_el2()
        places = [(address, v.to_bytes(8, "little")) for address, v in case.memory.items()]
        block = b"".join(v.to_bytes(8, "little") for v in _loaded(case))
        gdb.write_places([*places, (case.code, _code(case)), (_BLOCK, block)])
        gdb.write_many(
            {"x0": _BLOCK, "x1": SCTLR_EL2_ONES, "sp": case.state["SP_EL2"], "pc": self._start}
        )
        gdb.proceed(5.0)
        assert gdb.read("pc") == (self._here if case.level == 2 else self._below)
        gdb.write_many({f"x{n}": case.state[f"X[{n}]"] for n in range(31)})
        if case.level == 2:
            gdb.write("pc", case.state["PC"])
        else:
            assert gdb.step(5.0)
        for _ in range(steps):
            assert gdb.step(5.0), "QEMU sleeps"
        return self._registers(), self._memory(case, watched)

    def _begin(self) -> None:
        gdb = self._gdb
        gdb.use_physical_memory(True)
        gdb.mask_interrupts_while_stepping()
        for segment in self._program.segments:
            gdb.write_memory(segment.address, bytes(segment.cells))
        for page in DATA_PAGES:
            gdb.write_memory(page, _data_page(page))
        gdb.set_breakpoints([self._below, self._here])

    def _to_el2(self) -> None:
        """The stub's write of the level is half of one; an exception makes it whole.

        Where EL2 now translates by tables that have not the harness, a new emulator is begun.
        """
        gdb = self._gdb
        seen = gdb.read_many(["SCTLR_EL2", "TTBR0_EL2"])
        if seen["SCTLR_EL2"] & 1 and seen["TTBR0_EL2"] != TABLES[2]:
            gdb.restart()
            self._begin()
        gdb.write_many({"cpsr": 0x3C0 | EL2H, "pc": 1})
        assert gdb.step(5.0)
        assert gdb.read("cpsr") & 15 == EL2H

    def _registers(self) -> dict[str, int]:
        system = [*FIELDS, *PLAIN, *STACKS]
        names = {name: _GDB_NAMES.get(name, name) for name in system}
        seen = self._gdb.read_many(
            [*(f"x{n}" for n in range(31)), "sp", "pc", "cpsr", *names.values()]
        )
        status = seen["cpsr"]
        found = {f"X[{n}]": seen[f"x{n}"] for n in range(31)} | {"PC": seen["pc"]}
        found |= {name: status >> bit & 1 for name, bit in PSTATE.items()} | {"EL": status & 15}
        found |= {name: seen[names[name]] & KEPT_BITS.get(name, ~0) for name in (*PLAIN, *STACKS)}
        for name, parts in FIELDS.items():
            found |= {f"{name}.{each}": seen[names[name]] >> bit & 1 for each, bit in parts.items()}
        current = "SP_EL0" if not status & 1 else f"SP_EL{status >> 2 & 3}"
        return found | {current: seen["sp"]}

    def _memory(self, case: Case, watched: frozenset[int]) -> dict[int, int]:
        gdb = self._gdb
        changed: dict[int, int] = {}
        pages = gdb.read_places(range(page, page + PAGE_BYTES) for page in DATA_PAGES)
        for page, image in zip(DATA_PAGES, pages, strict=True):
            plain = _data_page(page)
            if image != plain:
                for at in range(0, PAGE_BYTES, 8):
                    if image[at : at + 8] != plain[at : at + 8]:
                        changed[page + at] = int.from_bytes(image[at : at + 8], "little")
                gdb.write_memory(page, plain)
        words = gdb.read_places(range(address, address + 8) for address in case.memory)
        for (address, before), word in zip(case.memory.items(), words, strict=True):
            now = int.from_bytes(word, "little")
            if now != before:
                changed[address] = now
        blank = [(address, bytes(8)) for address in case.memory]
        gdb.write_places([*blank, (case.code, bytes(len(_code(case))))])
        return changed


def differences(
    expected: Expectation, seen: tuple[dict[str, int], dict[int, int]]
) -> dict[str, str]:
    """What QEMU says otherwise, in words, by name."""
    registers, memory = seen
    found = {
        name: f"described {value:#x}, QEMU {registers[name]:#x}"
        for name, value in expected.state.items()
        if registers[name] != value
    }
    for address in expected.memory.keys() | memory.keys():
        mine, theirs = expected.memory.get(address), memory.get(address)
        if mine != theirs:
            found[f"[{address:#x}]"] = f"described {_hex(mine)}, QEMU {_hex(theirs)}"
    return found


def with_state(case: Case, **values: int) -> Case:
    return replace(case, state={**case.state, **values})


def _hex(word: int | None) -> str:
    return "as before" if word is None else hex(word)


def _code(case: Case) -> bytes:
    return b"".join(word.to_bytes(4, "little") for word in case.words)


_LOADED = (*(n for n in (*FIELDS, *PLAIN) if n != "SCTLR_EL2"), "SP_EL0", "SP_EL1")


def _harness_text() -> str:
    """Loads all but the general registers; SCTLR_EL2 last, since it may turn translation on."""
    lines = [
        "load: msr sctlr_el2, x1",
        "isb #15",
        "clrex #15",
        *(f"sys {each}, x1" for each in _TLBI),
    ]
    for name in _LOADED:
        lines += ["ldr 1, [x0], #8", f"msr {name.lower()}, x1"]
    lines += ["ldr 1, [x0], #8", "ldr 2, [x0], #8", "ldr 3, [x0], #8", "ldr 4, [x0], #8"]
    lines += ["msr sctlr_el2, x1", "isb #15", "cbnz x2, above", "below: eret"]
    lines += ["above: msr nzcv, x3", "msr daif, x3", "msr spsel, x4", "here: b here"]
    return "\n".join(lines) + "\n"


def _loaded(case: Case) -> list[int]:
    state = dict(case.state)
    if case.level != 2:
        assert (state["SPSR_EL2"], state["ELR_EL2"]) == (pstate(state), state["PC"])
    return [
        *(register(state, name) for name in _LOADED),
        register(state, "SCTLR_EL2"), int(case.level == 2), pstate(state), state["EL"] & 1,
    ]  # fmt: skip


def register(state: Mapping[str, int], name: str) -> int:
    if name not in FIELDS:
        return state[name]
    return _ONES.get(name, 0) | sum(state[f"{name}.{e}"] << bit for e, bit in FIELDS[name].items())


def pstate(state: Mapping[str, int]) -> int:
    return sum(state[name] << bit for name, bit in PSTATE.items()) | state["EL"]


def _value(state: MachineState, name: str) -> int:
    array, _, index = name.partition("[")
    return state.arrays[array][int(index[:-1])] if index else state.scalars[name]


@cache
def _data_page(page: int) -> bytes:
    return bytes(background(page + i) for i in range(PAGE_BYTES))


def _in(address: int, pages: tuple[int, ...]) -> bool:
    return any(page <= address < page + PAGE_BYTES for page in pages)


def _written(before: MachineState, after: MachineState) -> dict[int, int]:
    changed: dict[int, int] = {}
    for number, page in after.cells.pages.items():
        old = before.cells.pages.get(number)
        if page is old or page == old:
            continue
        start = number << after.cells.page_shift
        for at in range(0, len(page), 8):
            mine = bytes(page[at : at + 8])
            if mine != (bytes(old[at : at + 8]) if old else bytes(8)):
                changed[start + at] = int.from_bytes(mine, "little")
    return changed


def _within(outcome: Outcome) -> bool:
    """Whether the instruction kept to pages of cases, and its walks to tables."""
    assert isinstance(outcome, Retired | Trapped)
    for access in outcome.accesses.virtual:
        at = access.physical
        readable = (*DATA_PAGES, CODE_PAGE) if access.touch is Touch.LOAD else DATA_PAGES
        if at is not None and access.touch in (Touch.LOAD, Touch.STORE) and not _in(at, readable):
            return False
    walks = [a.address for a in outcome.accesses.physical]
    return all(TABLES[0] <= at < LOWER_TABLES.stop for at in walks)
