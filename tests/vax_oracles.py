"""The VAX twice: as described, and in SIMH's VAX-11/780, which is driven by a script.

Each runs the instruction of a `Case` and says what came of it as an `After`: general registers, PSL,
stack pointers, the registers of memory management and all memory that either may have written.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from spec.concrete import ConcreteEngine
from spec.encoding import Codec, Decoded
from spec.ir import Isa
from spec.outcome import Outcome, Retired, Trapped
from spec.state import MachineState
from tests.simh import records

LONG = 0xFFFF_FFFF
MEMORY = 1 << 23  # bytes that the simulated machine has
CODE = 0x1000
SCB = 0x200
HANDLERS = 0x2000
DATA = 0x4000  # two pages of operands
STACKS = {"USP": 0x5780, "SSP": 0x5580, "ESP": 0x5380, "KSP": 0x5180, "ISP": 0x5980}
SYSTEM_TABLE, P0_TABLE, P1_TABLE, PCB = 0x8000, 0x8200, 0x8400, 0x8600
WINDOWS = (range(DATA, DATA + 0x40), range(DATA + 0x200, DATA + 0x240))
MODES = {0: "KSP", 1: "ESP", 2: "SSP", 3: "USP", 4: "ISP"}
CONTROL = {  # the description's name, SIMH's
    "P0BR": "p0br",
    "P1BR": "p1br",
    "P0LR": "p0lr",
    "P1LR": "p1lr",
    "SBR": "sbr",
    "SLR": "slr",
    "SCBB": "scbb",
    "PCBB": "pcbb",
    "ASTLVL": "astlvl",
    "MAPEN": "mapen",
}
_PSL_BITS = {"C": 0, "V": 1, "Z": 2, "N": 3, "T": 4, "IV": 5, "FU": 6, "DV": 7}
_PSL_BITS |= {"IPL": 16, "PRV": 22, "CUR": 24, "FPD": 27, "TP": 30}
STORING = ("unmodified", "change_mode")  # what they need has been looked up before
MODIFIED = "modified"  # what `differences` may ignore: that bit of page table entries
_RESTARTS = 12  # pages that one instruction may mark as modified


@dataclass(frozen=True, slots=True)
class Case:
    """One instruction at `CODE`, and the state before it. `stacks` are by name of the bank."""

    code: bytes
    general: tuple[int, ...]
    psl: int
    stacks: Mapping[str, int]
    memory: Mapping[int, int] = field(default_factory=dict)  # long words; the rest is zero
    control: Mapping[str, int] = field(default_factory=dict)
    software: int = 0  # SISR as it is read

    @property
    def mode(self) -> int:
        """As in the description: the access mode, or 4 on the interrupt stack."""
        return self.psl >> 24 & 7


@dataclass(frozen=True, slots=True)
class After:
    """What came of it: registers by name, bytes by physical address."""

    registers: Mapping[str, int]
    memory: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Expectation:
    after: After
    decoded: Decoded
    outcome: Outcome
    touched: frozenset[int]  # physical addresses
    lost: bool  # the exception found no stack

    @property
    def cause(self) -> str:
        """The trap's cause, or nothing."""
        return self.outcome.cause if isinstance(self.outcome, Trapped) else ""

    @property
    def name(self) -> str:
        return self.decoded.instruction.name


def background() -> dict[int, int]:
    """The system control block: a handler for each vector; every third is for the interrupt stack."""
    return {SCB + 4 * i: HANDLERS + 8 * i + (i % 3 == 2) for i in range(128)}


class Described:
    """The description's own machine."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.codec = Codec(isa)
        self.engine = ConcreteEngine(isa)
        self._latest: tuple[Case, Expectation] | None = None
        self._base = MachineState(isa)
        for address, value in background().items():
            self._base.load_cells(address, value.to_bytes(4, "little"))

    def state(self, case: Case) -> MachineState:
        state = self._base.copy()
        for address, value in case.memory.items():
            state.load_cells(address, value.to_bytes(4, "little"))
        state.load_cells(CODE, case.code)
        state.own_array("GPR")[:] = case.general
        state.update(dict.fromkeys(("ARITHMETIC", "FPD", "TP"), 0))
        state.update({name: case.psl >> bit & 1 for name, bit in _PSL_BITS.items() if bit < 8})
        state.update({"IPL": case.psl >> 16 & 31, "PRV": case.psl >> 22 & 3, "CUR": case.mode})
        state.update({"PC": CODE, "SISR": case.software >> 1})
        state.update(dict(case.stacks) | dict(case.control))
        return state

    def run(self, case: Case) -> Expectation:
        """One instruction, begun again as often as it marks a page as modified."""
        if self._latest is None or self._latest[0] is not case:
            self._latest = (case, self._run(case))
        return self._latest[1]

    def _run(self, case: Case) -> Expectation:
        state = self.state(case)
        decoded = self.codec.decode_cells(case.code)
        assert decoded is not None, f"{case.code.hex()} is an instruction"
        touched: set[int] = set()
        written: set[int] = set()
        lost = False
        for _ in range(_RESTARTS):
            outcome = self.engine.execute(
                state, decoded.instruction, decoded.fields, decoded.length
            )
            final: Outcome = outcome
            _note(outcome, touched, written)
            if isinstance(outcome, Trapped):
                final = self.engine.deliver(state, outcome.cause, outcome.arguments, outcome.next)
                assert isinstance(final, Retired), f"{final.cause} while {outcome.cause} enters"
                _note(final, touched, written)
                lost = outcome.cause not in STORING and _lost(final)
            state = final.state if isinstance(final, Retired) else state
            if not isinstance(outcome, Trapped) or outcome.cause != "unmodified":
                break
        after = After(_registers(state), {a: state.cells[a] for a in sorted(written)})
        return Expectation(after, decoded, outcome, frozenset(touched), lost)


def _note(outcome: Outcome, touched: set[int], written: set[int]) -> None:
    for virtual in outcome.accesses.virtual:
        if virtual.physical is not None:
            cells = range(virtual.physical, virtual.physical + virtual.size)
            touched.update(cells)
            if virtual.access.name == "WRITE" and isinstance(outcome, Retired):
                written.update(cells)
    for physical in outcome.accesses.physical:
        cells = range(physical.address, physical.address + physical.size)
        touched.update(cells)
        if physical.write and isinstance(outcome, Retired):
            written.update(cells)


def _lost(delivery: Retired) -> bool:
    """Had the PC and PSL no place, or only one on the interrupt stack, as none was valid?"""
    pushed = [a for a in delivery.accesses.physical if a.write and a.address < SYSTEM_TABLE]
    return len(pushed) < 2 or delivery.state.scalars["PC"] == HANDLERS + 8 * 2


def _registers(state: MachineState) -> dict[str, int]:
    scalars = state.scalars
    found = {f"R{i}": value for i, value in enumerate(state.arrays["GPR"])}
    found["PC"] = scalars["PC"]
    found["PSL"] = sum(scalars[name] << bit for name, bit in _PSL_BITS.items())
    found |= {name: scalars[name] for name in (*STACKS, *CONTROL)}
    return found | {"SISR": scalars["SISR"] << 1, "TRAP": scalars["ARITHMETIC"]}


class Simh:
    """Runs many cases in one process; each clears the memory that it used."""

    def __init__(self, machine: Described) -> None:
        self.machine = machine

    def run(self, cases: Sequence[tuple[Case, Expectation]]) -> Iterator[After]:
        lines = ["reset all", *(f"d {a:x} {v:x}" for a, v in background().items())]
        for case, expected in cases:
            lines += self._script(case, expected)
        found = records(("vax780",), lines, len(cases))
        return map(_parse, found, (case for case, _ in cases))

    def _script(self, case: Case, expected: Expectation) -> list[str]:
        lines = ["reset tlb"]
        lines += [f"d r{i} {value:x}" for i, value in enumerate(case.general)]
        lines += [f"d {name if name != 'ISP' else 'is'} {v:x}" for name, v in case.stacks.items()]
        lines += [f"d sp {case.stacks[MODES[case.mode]]:x}", f"d psl {case.psl:x}"]
        lines += [f"d {CONTROL[name]} {value:x}" for name, value in case.control.items()]
        lines += [f"d sisr {case.software:x}", "d trpirq 0", f"d pc {CODE:x}"]
        code = case.code + bytes(-len(case.code) % 4)
        memory = dict(case.memory)
        memory |= {
            CODE + i: int.from_bytes(code[i : i + 4], "little") for i in range(0, len(code), 4)
        }
        lines += [f"d 0{address:x} {value:x}" for address, value in memory.items()]
        names = ["pc", "psl", *(f"r{i}" for i in range(14)), "sp", "ksp", "esp", "ssp", "usp", "is"]
        lines += ["step", "e " + ",".join([*names, *CONTROL.values(), "sisr", "trpirq"])]
        watched = {address for span in WINDOWS for address in span} | set(case.memory)
        watched |= {a & ~3 for a in expected.after.memory} | set(_stack_words(case))
        longs = sorted({a & ~3 for a in watched})
        lines += [f"e 0{first:x}-0{last:x}" for first, last in _spans(longs)]
        used = {a for a in longs if not SCB <= a < SCB + 512} | set(memory)
        return lines + [f"d 0{address:x} 0" for address in sorted(used)]


def _stack_words(case: Case) -> Iterator[int]:
    for top in STACKS.values():
        yield from range(top - 32, top + 8, 4)


def _spans(longs: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last addresses of runs of long words."""
    first = last = longs[0]
    for address in longs[1:]:
        if address != last + 4:
            yield first, last
            first = address
        last = address
    yield first, last


def _parse(record: str, case: Case) -> After:
    seen = {m[1]: int(m[2], 16) for m in re.finditer(r"^([A-Z0-9]+):\t([0-9A-F]+)$", record, re.M)}
    registers = {"PC": int(record.split("\n", 1)[0], 16), "PSL": seen["PSL"]}
    registers |= {f"R{i}": seen[f"R{i}"] for i in range(14)}
    pointers = {"KSP": "KSP", "ESP": "ESP", "SSP": "SSP", "USP": "USP", "ISP": "IS"}
    registers |= {name: seen[theirs] for name, theirs in pointers.items()}
    registers[MODES[seen["PSL"] >> 24 & 7]] = seen["SP"]
    registers |= {name: seen[theirs.upper()] for name, theirs in CONTROL.items()}
    registers |= {"SISR": seen["SISR"], "TRAP": seen["TRPIRQ"] >> 5}
    memory: dict[int, int] = {}
    for found in re.finditer(r"^([0-9A-F]+):\t([0-9A-F]{8})$", record, re.M):
        address = int(found[1], 16)
        memory |= {address + i: int(found[2], 16) >> 8 * i & 0xFF for i in range(4)}
    return After(registers, memory)


def differences(
    machine: Described, case: Case, expected: Expectation, seen: After, ignored: Mapping[str, int]
) -> dict[str, str]:
    """What SIMH says otherwise, in words, by name.

    `ignored` are bits of registers that do not count; with `MODIFIED` that of page table entries too.
    """
    found: dict[str, str] = {}
    for name, value in expected.after.registers.items():
        if (value ^ seen.registers[name]) & ~ignored.get(name, 0):
            found[name] = f"described {value:08x}, SIMH {seen.registers[name]:08x}"
    before = machine.state(case)
    for address, theirs in seen.memory.items():
        mine = expected.after.memory.get(address, before.cells[address])
        if MODIFIED in ignored and SYSTEM_TABLE <= address < PCB and address & 3 == 3:
            mine, theirs = mine | 4, theirs | 4
        if mine != theirs and not CODE <= address < CODE + len(case.code) + 4:
            found[f"[{address:x}]"] = f"described {mine:02x}, SIMH {theirs:02x}"
    missing = expected.after.memory.keys() - seen.memory.keys()
    assert not missing, f"memory at {sorted(missing)} was not asked for"
    return found
