"""What the RV32 oracle tests exchange: cases, snapshots of the state, and our machine's answer.

A snapshot names registers as the manual does: `pc`, `priv`, `x1` to `x31` and CSRs by their names.
Where the bits of a CSR lie is said here once more, apart from the description under test.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.ir import Access, Isa, Literal, Load
from spec.machine import Machine
from spec.outcome import Accesses, Retired, Touch, Trapped
from spec.state import MachineState

Snapshot: TypeAlias = dict[str, int]

RAM = 0x8000_0000
RAM_BYTES = 0x20_0000
HARNESS_PAGE = RAM  # for what an oracle has to execute besides the cases
CODE_PAGE = RAM + 0x1_0000
DATA_PAGES = (RAM + 0x2_0000, RAM + 0x2_1000)
ROOT_TABLE = RAM + 0x3_0000
LEAF_TABLES = (RAM + 0x3_1000, RAM + 0x3_2000)
PAGE_BYTES = 0x1000

CSR_NUMBERS = {
    "stvec": 0x105, "scounteren": 0x106, "senvcfg": 0x10A, "sscratch": 0x140,
    "sepc": 0x141, "scause": 0x142, "stval": 0x143, "satp": 0x180, "mstatus": 0x300,
    "medeleg": 0x302, "mideleg": 0x303, "mie": 0x304, "mtvec": 0x305, "mcounteren": 0x306,
    "menvcfg": 0x30A, "mcountinhibit": 0x320, "mscratch": 0x340, "mepc": 0x341, "mcause": 0x342,
    "mtval": 0x343, "mip": 0x344,
}  # fmt: skip

_INTERRUPTS = (("SSI", 1), ("MSI", 3), ("STI", 5), ("MTI", 7), ("SEI", 9), ("MEI", 11))
_STATUS = (
    ("SIE", 1, 1), ("MIE", 3, 1), ("SPIE", 5, 1), ("MPIE", 7, 1), ("SPP", 8, 1), ("MPP", 11, 2),
    ("MPRV", 17, 1), ("SUM", 18, 1), ("MXR", 19, 1), ("TVM", 20, 1), ("TW", 21, 1), ("TSR", 22, 1),
)  # fmt: skip
_COUNTERS = (("CY", 0, 1), ("TM", 1, 1), ("IR", 2, 1))
_WHOLE = ("medeleg", "mepc", "sepc", "mcause", "scause", "mtval", "stval", "mscratch", "sscratch")

LAYOUT: dict[str, tuple[tuple[str, int, int], ...]] = {
    "mstatus": tuple((f"mstatus.{name}", low, width) for name, low, width in _STATUS),
    "mie": tuple((f"mie.{name}E", low, 1) for name, low in _INTERRUPTS),
    "mip": (
        ("mip.SSIP", 1, 1), ("msip", 3, 1), ("mip.STIP", 5, 1), ("mtip", 7, 1), ("mip.SEIP", 9, 1),
    ),
    "mideleg": (("mideleg.SSI", 1, 1), ("mideleg.STI", 5, 1), ("mideleg.SEI", 9, 1)),
    "mtvec": (("mtvec.MODE", 0, 1), ("mtvec.BASE", 2, 30)),
    "stvec": (("stvec.MODE", 0, 1), ("stvec.BASE", 2, 30)),
    "mcounteren": tuple((f"mcounteren.{name}", low, width) for name, low, width in _COUNTERS),
    "scounteren": tuple((f"scounteren.{name}", low, width) for name, low, width in _COUNTERS),
    "mcountinhibit": (("mcountinhibit.CY", 0, 1), ("mcountinhibit.IR", 2, 1)),
    "menvcfg": (("menvcfg.FIOM", 0, 1),),
    "senvcfg": (("senvcfg.FIOM", 0, 1),),
    "satp": (("satp.PPN", 0, 22), ("satp.ASID", 22, 9), ("satp.MODE", 31, 1)),
    **{name: ((name, 0, 32),) for name in _WHOLE},
}  # fmt: skip
"""Where the description's elements lie in each CSR: name, lowest bit, width."""


@dataclass(frozen=True, slots=True)
class Case:
    """A state and what to execute in it: `steps` steps from `before`.

    `memory` holds words by physical address (a multiple of 4); other bytes of the memory that
    cases use are `background`. `mip` in `before` says which signals are up (only MTIP and MSIP).
    """

    before: Mapping[str, int]
    memory: Mapping[int, int]
    steps: int = 1


def background(address: int) -> int:
    """The byte that lies at a physical address unless a case says otherwise."""
    in_data = any(page <= address < page + PAGE_BYTES for page in DATA_PAGES)
    return (address * 167 + (address >> 8) * 59) & 0xFF if in_data else 0


def background_word(address: int) -> int:
    return int.from_bytes(bytes(background(address + i) for i in range(4)), "little")


WATCHED_PAGES = (CODE_PAGE, *DATA_PAGES)
"""What is compared after a case, with the other words that the case sets."""


@dataclass(frozen=True, slots=True)
class Step:
    """What our machine did: the instruction (None: no instruction, or an interrupt), the trap."""

    instruction: str | None
    operands: Mapping[str, int]
    cause: str | None
    interrupt: bool
    waiting: bool
    within: bool  # it read only pages that cases use, and wrote only watched ones
    after: Snapshot
    memory: Mapping[int, int]  # watched words that differ from those before the case


class Ours:
    """The bare machine of the description."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.codec = Codec(isa)
        self._engine = ConcreteEngine(isa)
        self._template = MachineState(isa)
        for page in DATA_PAGES:
            self._template.load_cells(page, bytes(background(page + i) for i in range(PAGE_BYTES)))
        (csr,) = [f for i in isa.instructions if i.name == "CSRRW" for f in i.fields if f.values]
        self.csr_names = {number: name for name, number in csr.values}

    def run(self, case: Case) -> list[Step]:
        """What the steps did, up to the first one that touches anything but RAM."""
        state = self._template.copy()
        for address, word in case.memory.items():
            state.load_cells(address, word.to_bytes(4, "little"))
        state.update(_elements(case.before))
        initial = state.copy()
        machine = Machine(self.isa, state, self.codec.decode)
        steps: list[Step] = []
        while len(steps) < case.steps and (not steps or (steps[-1].within and not machine.waiting)):
            steps.append(self._step(machine, initial, case.memory))
        return steps

    def describe(self, word: int) -> str:
        """The instruction as its name and fields."""
        decoded = self.codec.decode(lambda _: word)
        if decoded is None:
            return f"{word:#010x} (no instruction)"
        fields: dict[str, int | str] = {**decoded.fields}
        if "csr" in decoded.fields:
            fields["csr"] = self.csr_names[decoded.fields["csr"]]
        return f"{word:#010x} {decoded.instruction.name} {fields}"

    def _step(self, machine: Machine, initial: MachineState, memory: Mapping[int, int]) -> Step:
        fetched = self._fetch(machine)
        done = machine.step()
        within = _within(fetched) and (done.outcome is None or _within(done.outcome.accesses))
        trapped = isinstance(done.outcome, Trapped)
        changed = _changed_words(initial, machine.state)
        return Step(
            done.decoded.instruction.name if done.decoded else None,
            done.decoded.fields if done.decoded else {},
            done.outcome.cause if isinstance(done.outcome, Trapped) else None,
            done.interrupt is not None,
            machine.waiting and not trapped,
            within,
            _snapshot(machine.state),
            {a: w for a, w in changed.items() if a in memory or _watched(a)},
        )

    def _fetch(self, machine: Machine) -> Accesses:
        load = Load("unit", Literal(machine.pc, 32), 32, Access.FETCH)
        outcome = self._engine.run(machine.state, (load,), {"next": 0})
        assert isinstance(outcome, Retired | Trapped)
        return outcome.accesses


def smaller(case: Case, fails: Callable[[Case], bool]) -> Case:
    """A case that still fails, with as many registers and words at 0 as can be."""
    changed = True
    while changed:
        changed = False
        for name in [n for n, v in case.before.items() if v and n != "pc"]:
            simpler = replace(case, before={**case.before, name: 0})
            if fails(simpler):
                case, changed = simpler, True
        for address in list(case.memory):
            words = {a: w for a, w in case.memory.items() if a != address}
            simpler = replace(case, memory=words)
            if fails(simpler):
                case, changed = simpler, True
    return case


def show(case: Case, ours: Ours) -> str:
    """The case in words: what is executed, the registers that are not 0, memory."""
    registers = ", ".join(f"{n}={v:#x}" for n, v in case.before.items() if v or n == "priv")
    memory = ", ".join(
        f"[{a:#x}]={ours.describe(w) if _in_page(a, CODE_PAGE) else hex(w)}"
        for a, w in case.memory.items()
    )
    return f"{case.steps} step(s) from {registers}; {memory}"


def _elements(before: Mapping[str, int]) -> dict[str, int]:
    elements: dict[str, int] = {"PC": before["pc"], "priv": before["priv"]}
    for index in range(1, 32):
        elements[f"x[{index}]"] = before[f"x{index}"]
    for csr, fields in LAYOUT.items():
        for element, low, width in fields:
            elements[element] = before[csr] >> low & ((1 << width) - 1)
    return elements


def _snapshot(state: MachineState) -> Snapshot:
    snapshot = {"pc": state.scalars["PC"], "priv": state.scalars["priv"]}
    for index in range(1, 32):
        snapshot[f"x{index}"] = state.arrays["x"][index]
    for csr, fields in LAYOUT.items():
        snapshot[csr] = sum(state.scalars[element] << low for element, low, _ in fields)
    return snapshot


def _changed_words(initial: MachineState, state: MachineState) -> dict[int, int]:
    changed: dict[int, int] = {}
    for number in state.cells.pages:
        before, after = initial.cells.pages.get(number), state.cells.pages[number]
        if before is after or before == after:
            continue
        start = number << state.cells.page_shift
        for offset in range(0, PAGE_BYTES, 4):
            mine = bytes(after[offset : offset + 4])
            if mine != (bytes(before[offset : offset + 4]) if before else bytes(4)):
                changed[start + offset] = int.from_bytes(mine, "little")
    return changed


def _within(accesses: Accesses) -> bool:
    reads = [(p.address, p.size) for p in accesses.physical if not p.write]
    writes = [(p.address, p.size) for p in accesses.physical if p.write]
    for access in accesses.virtual:
        if access.physical is not None:
            into = writes if access.touch is Touch.STORE else reads
            into.append((access.physical, access.size))
    return _inside(reads, _READABLE_PAGES) and _inside(writes, WATCHED_PAGES)


_READABLE_PAGES = (*WATCHED_PAGES, ROOT_TABLE, *LEAF_TABLES)


def _inside(accesses: list[tuple[int, int]], pages: tuple[int, ...]) -> bool:
    return all(
        any(_in_page(address, page) and _in_page(address + size - 1, page) for page in pages)
        for address, size in accesses
    )


def _watched(address: int) -> bool:
    return any(_in_page(address, page) for page in WATCHED_PAGES)


def _in_page(address: int, page: int) -> bool:
    return page <= address < page + PAGE_BYTES
