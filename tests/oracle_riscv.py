"""What the RISC-V oracle tests exchange: cases, snapshots of the state, our machine's answer.

A snapshot names registers as the manual does: `pc`, `priv`, `x1` to `x31` and CSRs by their names;
with the hypervisor extension `virt` too, which is V.
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
from tests.oracle_riscv_target import Target, entry

Snapshot: TypeAlias = dict[str, int]

RAM = 0x8000_0000
RAM_BYTES = 0x20_0000
HARNESS_PAGE = RAM  # for what an oracle has to execute besides the cases
CODE_PAGE = RAM + 0x1_0000
DATA_PAGES = (RAM + 0x2_0000, RAM + 0x2_1000)
ROOT_TABLE = RAM + 0x3_0000
MIDDLE_TABLES = (RAM + 0x3_3000, RAM + 0x3_4000)
LEAF_TABLES = (RAM + 0x3_1000, RAM + 0x3_2000)
VIRTUAL_ROOT = RAM + 0x3_8000  # the first stage's tables
VIRTUAL_MIDDLES = (RAM + 0x3_9000, RAM + 0x3_A000)
VIRTUAL_LEAVES = (RAM + 0x3_B000, RAM + 0x3_C000)
GUEST_ROOT = RAM + 0x4_0000  # the second stage's, four pages
GUEST_MIDDLE, GUEST_LEAF = RAM + 0x4_4000, RAM + 0x4_5000
PAGE_BYTES = 0x1000
STIP, STCE = 1 << 5, 1 << 63
NOW = 1 << 20  # what the timer of our machine reads


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

    def __init__(self, isa: Isa, target: Target) -> None:
        self.isa = isa
        self.target = target
        self.codec = Codec(isa)
        self._engine = ConcreteEngine(isa)
        self._template = MachineState(isa)
        self._template.update({"mtime": NOW})
        for page in DATA_PAGES:
            self._template.load_cells(page, bytes(background(page + i) for i in range(PAGE_BYTES)))
        (csr,) = [f for i in isa.instructions if i.name == "CSRRW" for f in i.fields if f.values]
        self.csr_names = {number: name for name, number in csr.values}

    def run(self, case: Case) -> list[Step]:
        """What the steps did, up to the first one that touches anything but RAM."""
        state = self._template.copy()
        for address, word in case.memory.items():
            state.load_cells(address, word.to_bytes(4, "little"))
        state.update(self._elements(case.before))
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
            self._snapshot(machine.state),
            {a: w for a, w in changed.items() if a in memory or _watched(a)},
        )

    def _fetch(self, machine: Machine) -> Accesses:
        load = Load("unit", Literal(machine.pc, self.target.xlen), 32, Access.FETCH)
        outcome = self._engine.run(machine.state, (load,), {"next": 0})
        assert isinstance(outcome, Retired | Trapped)
        return outcome.accesses

    def _elements(self, before: Mapping[str, int]) -> dict[str, int]:
        mode = before["priv"] | (not before["virt"]) << 2 if "virt" in before else before["priv"]
        elements: dict[str, int] = {"PC": before["pc"], "priv": mode}
        for index in range(1, 32):
            elements[f"x[{index}]"] = before[f"x{index}"]
        for csr, fields in self.target.layout.items():
            for element, low, width in fields:
                elements[element] = before[csr] >> low & ((1 << width) - 1)
        return elements

    def _snapshot(self, state: MachineState) -> Snapshot:
        mode = state.scalars["priv"]
        snapshot = {"pc": state.scalars["PC"], "priv": mode & 3}
        if self.target.has_hypervisor:
            snapshot["virt"] = 1 - (mode >> 2)
        for index in range(1, 32):
            snapshot[f"x{index}"] = state.arrays["x"][index]
        for csr, fields in self.target.layout.items():
            snapshot[csr] = sum(_value(state, element) << low for element, low, _ in fields)
        for csr in self.target.layout:
            number = csr.removeprefix("pmpaddr")
            configuration = entry(snapshot, int(number)) if number.isdecimal() else 0
            snapshot[csr] = self.target.reads(csr, snapshot[csr], configuration)
        if snapshot["menvcfg"] & STCE and "stimecmp" in snapshot:
            snapshot["mip"] &= ~STIP
            snapshot["mip"] |= STIP if snapshot["stimecmp"] <= NOW else 0
        if self.target.has_hypervisor:
            snapshot["henvcfg"] &= ~STCE | snapshot["menvcfg"]
        return snapshot


def _value(state: MachineState, element: str) -> int:
    name, _, index = element.partition("[")
    return state.arrays[name][int(index.rstrip("]"))] if index else state.scalars[element]


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


_READABLE_PAGES = (
    *WATCHED_PAGES, ROOT_TABLE, *MIDDLE_TABLES, *LEAF_TABLES, VIRTUAL_ROOT, *VIRTUAL_MIDDLES,
    *VIRTUAL_LEAVES, *range(GUEST_ROOT, GUEST_ROOT + 4 * PAGE_BYTES, PAGE_BYTES), GUEST_MIDDLE,
    GUEST_LEAF,
)  # fmt: skip


def _inside(accesses: list[tuple[int, int]], pages: tuple[int, ...]) -> bool:
    return all(
        any(_in_page(address, page) and _in_page(address + size - 1, page) for page in pages)
        for address, size in accesses
    )


def _watched(address: int) -> bool:
    return any(_in_page(address, page) for page in WATCHED_PAGES)


def _in_page(address: int, page: int) -> bool:
    return page <= address < page + PAGE_BYTES
