"""ARMv7-A twice: as described, and in QEMU's Cortex-A8 (without EL3) driven through its GDB stub.

The stub gives only what the current mode sees of the registers, so a program in a page of its own
loads banked registers and CP15 before the instruction under test, and stores them after it. That
page is mapped where it lies, in a domain without checks, by every translation table of the cases.
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

PROGRAM = "qemu-system-arm"
MODES = {"usr": 16, "fiq": 17, "irq": 18, "svc": 19, "abt": 23, "und": 27, "sys": 31}
USER = MODES["usr"]
CODE_PAGE = 0x0010_0000
DATA_PAGES = (0x0020_0000, 0x0020_1000)
TABLES = (0x0030_0000, 0x0030_4000)  # first level
SECOND_LEVEL = range(0x0030_8000, 0x0030_A000, 0x400)
HARNESS = 0x00F0_0000
PAGE_BYTES = 0x1000
_BLOCK = HARNESS + 0x2000
_ESCAPES = HARNESS + 0x1000  # where User mode is left: an SVC, a UDF
_SVC_0, _UDF_0 = 0xEF00_0000, 0xE7F0_00F0
_SCTLR_ONES = 0x00C5_0078
SCTLR_BITS = {"M": 0, "A": 1, "C": 2, "SW": 10, "Z": 11, "I": 12, "V": 13}
CP15 = (
    "TTBR0", "TTBR1", "TTBCR.N", "DACR", "DFSR", "IFSR", "DFAR", "IFAR", "PAR", "VBAR",
    "CONTEXTIDR", "TPIDRURW", "TPIDRURO", "TPIDRPRW", "CSSELR",
)  # fmt: skip
_BANKED = ("fiq", "irq", "abt", "und", "svc")
_OWN = [f"R{n}_fiq" for n in range(8, 13)]
_COMMON = [f"R{n}_usr" for n in range(8, 13)]
FLAGS = {"N": 31, "Z": 30, "C": 29, "V": 28, "Q": 27, "E": 9, "A": 8, "I": 7, "F": 6}
_R8_TO_R12 = "0x1f00"


def background(address: int) -> int:
    """The byte that lies in a data page unless a case says otherwise."""
    return (address * 167 + (address >> 8) * 59) & 0xFF


@dataclass(frozen=True, slots=True)
class Case:
    """Instructions at the program counter and the state before them, elements by their names.

    `memory` holds words by physical address. Of the data pages the rest is `background`.
    """

    words: tuple[int, ...]
    code: int  # the physical address of the first of `words`
    state: Mapping[str, int]
    memory: Mapping[int, int] = field(default_factory=dict)

    @property
    def user(self) -> bool:
        return self.state["M"] == USER

    def contents(self) -> dict[int, int]:
        return {**self.memory, **{self.code + 4 * i: w for i, w in enumerate(self.words)}}


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the description says: the state, the words written, what there was to choose."""

    state: Mapping[str, int]
    memory: Mapping[int, int]
    decoded: Decoded | None
    outcome: Outcome
    chosen: bool
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
    banked = [f"{r}_{m}" for m in ("usr", *_BANKED) for r in ("SP", "LR")]
    status = [f"SPSR_{m}" for m in _BANKED]
    sctlr = [f"SCTLR.{name}" for name in SCTLR_BITS]
    return [
        *(f"R[{n}]" for n in range(8)), *_OWN, *_COMMON, *banked, *status, *FLAGS, "GE", "M", "PC",
        *sctlr, *CP15,
    ]  # fmt: skip


class Described:
    """The description's own machine."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.codec = Codec(isa)
        self.engine = ConcreteEngine(isa)
        self._base = MachineState(isa)
        for page in DATA_PAGES:
            self._base.load_cells(page, bytes(background(page + i) for i in range(PAGE_BYTES)))

    def run(self, case: Case, choice: int = 0) -> Expectation:
        """Each open choice falls out as `choice` (all its bits)."""
        state = self._base.copy()
        for address, word in case.contents().items():
            state.load_cells(address, word.to_bytes(4, "little"))
        state.update(dict(case.state))
        before = state
        chosen, within, steps = False, True, 0
        decoded, outcome = None, Retired(state, False, self.engine.run(state, (), {}).accesses)
        last: Outcome = outcome
        for _ in case.words:
            decoded, last, state = self._step(state, choice)
            chosen = chosen or bool(last.accesses.choices)
            within = within and _within(last)
            steps += 1
            if isinstance(last, Trapped):
                break
        return Expectation(
            {name: _value(state, name) for name in element_names()},
            _written(before, state),
            decoded,
            last,
            chosen,
            within,
            steps,
        )

    def _step(
        self, state: MachineState, choice: int
    ) -> tuple[Decoded | None, Outcome, MachineState]:
        pc = state.scalars["PC"]
        fetch = Load("unit", Literal(pc, 32), 32, Access.FETCH)
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
                outcome = self.engine.execute(
                    state, decoded.instruction, decoded.fields, 4, (choice,) * 8
                )
        if isinstance(outcome, Retired):
            return decoded, outcome, outcome.state
        assert isinstance(outcome, Trapped)
        done = self.engine.deliver(state, outcome.cause, outcome.arguments, outcome.next)
        assert isinstance(done, Retired)
        return decoded, outcome, done.state


class Qemu:
    """One emulator; `run` says what became of a case."""

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        self._gdb = QemuGdb(PROGRAM, ["-M", "none", "-m", "16M", "-cpu", "cortex-a8,has_el3=off"])
        self._names = element_names()
        self._dirty: set[int] = set()
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
        """The elements after it, and the `watched` words and those of data pages that changed."""
        gdb = self._gdb
        places = [(a, word.to_bytes(4, "little")) for a, word in case.contents().items()]
        block = b"".join(w.to_bytes(4, "little") for w in _loaded(case.state))
        gdb.write_places([*places, (_BLOCK, block)])
        self._call(self._load, self._loaded)
        gdb.write("cpsr", _cpsr(case.state))
        own = {f"r{n}": case.state[f"R[{n}]"] for n in range(8)}
        gdb.write_many({**own, "pc": case.state["PC"]})
        for _ in range(steps):
            assert gdb.step(5.0), "QEMU sleeps"
        after = self._registers()
        memory = self._memory(case, watched)
        return after, memory

    def _begin(self) -> None:
        self._gdb.use_physical_memory(True)
        self._gdb.mask_interrupts_while_stepping()
        program = assemble(self._isa, _harness_text(), origin=HARNESS)
        assert isinstance(program, Program), program
        for segment in program.segments:
            self._gdb.write_memory(segment.address, bytes(segment.cells))
        ways = _SVC_0.to_bytes(4, "little") + _UDF_0.to_bytes(4, "little")
        self._gdb.write_memory(_ESCAPES, ways)
        for page in DATA_PAGES:
            self._gdb.write_memory(page, _data_page(page))
        symbols = program.symbols
        self._load, self._loaded = symbols["load"], symbols["loaded"]
        self._dump, self._dumped = symbols["dump"], symbols["dumped"]
        self._gdb.set_breakpoints([self._loaded, self._dumped])

    def _call(self, start: int, end: int) -> None:
        """Run a part of the harness in Supervisor mode."""
        gdb = self._gdb
        gdb.write_many({"cpsr": 0x1C0 | MODES["svc"], "r0": _BLOCK, "pc": start})
        gdb.proceed(5.0)
        assert gdb.read("pc") == end

    def _registers(self) -> dict[str, int]:
        gdb = self._gdb
        wanted = [*(f"r{n}" for n in range(8)), "pc", "cpsr"]
        seen = gdb.read_many(wanted)
        found = {f"R[{n}]": seen[f"r{n}"] for n in range(8)} | {"PC": seen["pc"]}
        status = seen["cpsr"]
        found |= {name: status >> bit & 1 for name, bit in FLAGS.items()}
        found |= {"GE": status >> 16 & 15, "M": status & 31, "T": status >> 5 & 1}
        spoilt: set[str] = set()
        if found["M"] == USER:
            way, spoilt = self._way_out(seen["pc"])
            gdb.write_many({"cpsr": status & ~0x20, "pc": way})
            assert gdb.step(5.0)
        self._call(self._dump, self._dumped)
        image = gdb.read_memory(_BLOCK, 4 * len(_dumped_names()))
        for i, name in enumerate(_dumped_names()):
            found[name] = int.from_bytes(image[4 * i : 4 * i + 4], "little")
        sctlr = found.pop("SCTLR")
        assert sctlr & _SCTLR_ONES == _SCTLR_ONES
        found |= {f"SCTLR.{name}": sctlr >> bit & 1 for name, bit in SCTLR_BITS.items()}
        return {name: value for name, value in found.items() if name not in spoilt}

    def _way_out(self, pc: int) -> tuple[int, set[str]]:
        """An exception out of User mode, and what it spoils: either of two modes' registers."""
        if pc >> 2 & 1:
            return _ESCAPES, {"LR_svc", "SPSR_svc"}
        return _ESCAPES + 4, {"LR_und", "SPSR_und"}

    def _memory(self, case: Case, watched: frozenset[int]) -> dict[int, int]:
        gdb = self._gdb
        changed: dict[int, int] = {}
        pages = gdb.read_places(range(page, page + PAGE_BYTES) for page in DATA_PAGES)
        for page, image in zip(DATA_PAGES, pages, strict=True):
            plain = _data_page(page)
            if image == plain:
                continue
            for at in range(0, PAGE_BYTES, 4):
                if image[at : at + 4] != plain[at : at + 4]:
                    changed[page + at] = int.from_bytes(image[at : at + 4], "little")
            gdb.write_memory(page, plain)
        used = watched | case.contents().keys()
        others = [a for a in used if a not in changed and not _in_data(a)]
        words = gdb.read_places(range(address, address + 4) for address in others)
        for address, word in zip(others, words, strict=True):
            changed[address] = int.from_bytes(word, "little")
        gdb.write_places((address, bytes(4)) for address in others)
        before = case.contents()
        rest = {a: before.get(a, _background_word(a)) for a in changed.keys() | before.keys()}
        now = {a: changed.get(a, _background_word(a)) for a in rest}
        return {a: w for a, w in now.items() if w != rest[a]}


def differences(
    expected: Expectation, seen: tuple[dict[str, int], dict[int, int]]
) -> dict[str, str]:
    """What QEMU says otherwise, in words, by name."""
    found: dict[str, str] = {}
    registers, memory = seen
    for name, value in expected.state.items():
        if name in registers and registers[name] != value:
            found[name] = f"described {value:#x}, QEMU {registers[name]:#x}"
    for address in expected.memory.keys() | memory.keys():
        mine, theirs = expected.memory.get(address), memory.get(address)
        if mine != theirs:
            found[f"[{address:#x}]"] = f"described {_hex(mine)}, QEMU {_hex(theirs)}"
    return found


def with_state(case: Case, **values: int) -> Case:
    return replace(case, state={**case.state, **values})


def _hex(word: int | None) -> str:
    return "as before" if word is None else hex(word)


def _harness_text() -> str:
    load = ["load: ldr r1, [r0], #4", "mcr sctlr, r1"]
    for name in CP15:
        load += ["ldr r1, [r0], #4", f"mcr {name.partition('.')[0].lower()}, r1"]
    load += ["mcr tlbiall, r1"]
    dump = ["dump: mrc r1, sctlr", "str r1, [r0], #4"]
    for name in CP15:
        dump += [f"mrc r1, {name.partition('.')[0].lower()}", "str r1, [r0], #4"]
    for mode in _BANKED:
        load += [f"cps #{MODES[mode]}", "ldr sp, [r0], #4", "ldr lr, [r0], #4"]
        load += ["ldr r1, [r0], #4", "msr spsr_fsxc, r1"]
        dump += [f"cps #{MODES[mode]}", "str sp, [r0], #4", "str lr, [r0], #4"]
        dump += ["mrs r1, spsr", "str r1, [r0], #4"]
        if mode == "fiq":
            load += [f"ldmia r0!, {_R8_TO_R12}"]
            dump += [f"stmia r0!, {_R8_TO_R12}"]
    load += [f"cps #{MODES['sys']}", "ldr sp, [r0], #4", "ldr lr, [r0], #4"]
    dump += [f"cps #{MODES['sys']}", "str sp, [r0], #4", "str lr, [r0], #4"]
    load += [f"ldmia r0!, {_R8_TO_R12}", f"cps #{MODES['svc']}", "clrex"]
    dump += [f"stmia r0!, {_R8_TO_R12}", f"cps #{MODES['svc']}"]
    load += ["ldr r1, [r0], #4", "mcr sctlr, r1", "isb #15", "loaded: b loaded"]
    return "\n".join([*load, *dump, "dumped: b dumped"]) + "\n"


def _banked_names() -> list[str]:
    names: list[str] = []
    for mode in _BANKED:
        names += [f"SP_{mode}", f"LR_{mode}", f"SPSR_{mode}"]
        names += _OWN if mode == "fiq" else []
    return [*names, "SP_usr", "LR_usr", *_COMMON]


def _dumped_names() -> list[str]:
    return ["SCTLR", *CP15, *_banked_names()]


def _loaded(state: Mapping[str, int]) -> list[int]:
    sctlr = _SCTLR_ONES | sum(state[f"SCTLR.{n}"] << bit for n, bit in SCTLR_BITS.items())
    return [_SCTLR_ONES, *(state[n] for n in [*CP15, *_banked_names()]), sctlr]


def _cpsr(state: Mapping[str, int]) -> int:
    return sum(state[n] << bit for n, bit in FLAGS.items()) | state["GE"] << 16 | state["M"]


def _value(state: MachineState, name: str) -> int:
    array, _, index = name.partition("[")
    return state.arrays[array][int(index[:-1])] if index else state.scalars[name]


@cache
def _data_page(page: int) -> bytes:
    return bytes(background(page + i) for i in range(PAGE_BYTES))


def _in_data(address: int) -> bool:
    return any(page <= address < page + PAGE_BYTES for page in DATA_PAGES)


def _background_word(address: int) -> int:
    if not _in_data(address):
        return 0
    return int.from_bytes(bytes(background(address + i) for i in range(4)), "little")


def _written(before: MachineState, after: MachineState) -> dict[int, int]:
    changed: dict[int, int] = {}
    for number, page in after.cells.pages.items():
        old = before.cells.pages.get(number)
        if page is old or page == old:
            continue
        start = number << after.cells.page_shift
        for at in range(0, len(page), 4):
            mine = bytes(page[at : at + 4])
            if mine != (bytes(old[at : at + 4]) if old else bytes(4)):
                changed[start + at] = int.from_bytes(mine, "little")
    return changed


def _within(outcome: Outcome) -> bool:
    """Whether the instruction kept to data pages, and its walks to tables."""
    assert isinstance(outcome, Retired | Trapped)
    touched = [
        (a.physical, a.size)
        for a in outcome.accesses.virtual
        if a.physical is not None and a.touch in (Touch.LOAD, Touch.STORE)
    ]
    data = all(_in_data(at) and _in_data(at + size - 1) for at, size in touched)
    walks = [a.address for a in outcome.accesses.physical]
    return data and all(TABLES[0] <= at < SECOND_LEVEL.stop for at in walks)
