"""The PDP-11/45 twice: as described, and in SIMH's `pdp11`, driven by scripts.

Each runs the instruction of a `Case` and says what came of it as an `After`. Memory holds the same
background of 64 KB everywhere. SIMH takes a trap at the next step, so it makes two where the
description traps, and the first instruction of every handler is a NOP.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from spec.concrete import ConcreteEngine
from spec.encoding import Codec, Decoded
from spec.ir import Isa
from spec.outcome import Outcome, Retired, Trapped
from spec.state import MachineState
from tests.simh import records

WORD = 0xFFFF
MEMORY = 1 << 16
PC = 0o1000
HANDLERS = 0o4000
VECTORS = (0o4, 0o10, 0o14, 0o20, 0o30, 0o34, 0o240, 0o250)
NOP = 0o240
KERNEL, SUPERVISOR, USER = 0, 1, 3
MODES = {KERNEL: "K", SUPERVISOR: "S", USER: "U"}
MAPPINGS = {KERNEL: "KAPR", SUPERVISOR: "SAPR", USER: "UAPR"}
STACKS = {KERNEL: "KSP", SUPERVISOR: "SSP", USER: "USP"}
_MASKS = {"PSW": 0o174377, "MMR0": 0o177577}  # all that the description has
PENDING = ("yellow_zone", "page_attention")
_COMMAND = "pdp11"


@dataclass(frozen=True, slots=True)
class Case:
    """The words of one instruction at `PC`, and the state before it."""

    words: tuple[int, ...]
    psw: int
    sets: tuple[tuple[int, ...], tuple[int, ...]]
    stacks: Mapping[int, int]  # by mode
    registers: Mapping[str, int]  # MMR0, MMR3, PIRQ, STKLIM
    vector_psw: int
    mappings: Mapping[int, tuple[int, ...]] = field(default_factory=dict)  # 16 pages of each mode
    memory: Mapping[int, int] = field(default_factory=dict)  # words, by physical address

    @property
    def mode(self) -> int:
        return self.psw >> 14

    @property
    def managed(self) -> bool:
        return bool(self.registers["MMR0"] & 1)


@dataclass(frozen=True, slots=True)
class After:
    """What came of it: registers by SIMH's names, words of memory by physical address."""

    registers: Mapping[str, int]
    memory: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Expectation:
    after: After
    decoded: Decoded | None
    outcome: Outcome
    trapped: bool  # the instruction, or when it was done
    refused: bool  # while the trap was delivered, a stack could not be written

    @property
    def cause(self) -> str:
        return self.outcome.cause if isinstance(self.outcome, Trapped) else ""

    @property
    def name(self) -> str:
        return self.decoded.instruction.name if self.decoded else "nothing"


def background(seed: int) -> list[int]:
    """The words of memory: small numbers, addresses of words and bytes, anything."""
    source = Random(seed)
    words = []
    for _ in range(MEMORY // 2):
        kind = source.random()
        if kind < 0.2:
            words.append(source.choice((0, 1, 2, WORD, WORD - 1, 1 << 15, (1 << 15) - 1, 0o377)))
        elif kind < 0.6:
            words.append(source.getrandbits(15) << 1)
        else:
            words.append(source.getrandbits(16))
    for vector in VECTORS:
        words[vector // 2] = HANDLERS + 4 * vector
    return words


class Described:
    """The description's own machine."""

    def __init__(self, isa: Isa, seed: int = 45) -> None:
        self.isa = isa
        self.codec = Codec(isa)
        self.engine = ConcreteEngine(isa)
        self.words = background(seed)
        self._base = MachineState(isa)
        assert isa.memory.size is not None
        self._base.scalars[isa.memory.size] = MEMORY
        self._base.load_cells(0, [b for w in self.words for b in (w & 0xFF, w >> 8)])

    def patches(self, case: Case) -> dict[int, int]:
        """Words of memory that are not the background's: the instruction, vectors, handlers."""
        found = dict(case.memory)
        found |= {vector + 2: case.vector_psw for vector in VECTORS}
        start = case.mappings[case.mode][0] >> 10 & 0o777700 if case.managed else 0
        code = [*case.words, NOP, NOP]
        found |= {(start + PC + 2 * i) % (1 << 18): word for i, word in enumerate(code)}
        start = 0
        if case.managed:
            start = case.mappings[case.vector_psw >> 14][0] >> 10 & 0o777700
        found |= {start + HANDLERS + 4 * v: NOP for v in VECTORS}
        return {address: word for address, word in found.items() if address < MEMORY}

    def state(self, case: Case) -> MachineState:
        state = self._base.copy()
        for address, word in self.patches(case).items():
            state.load_cells(address, [word & 0xFF, word >> 8])
        psw = case.psw
        bits = {"CM": 14, "PM": 12, "IPL": 5, "RS": 11, "T": 4, "N": 3, "Z": 2, "V": 1, "C": 0}
        widths = {"CM": 3, "PM": 3, "IPL": 7}
        state.update({name: psw >> bit & widths.get(name, 1) for name, bit in bits.items()})
        chosen = psw >> 11 & 1
        state.own_array("R")[:] = case.sets[chosen]
        state.own_array("other")[:] = case.sets[1 - chosen]
        state.update({STACKS[mode]: value for mode, value in case.stacks.items()})
        state.update({"PC": PC, "MMR0": case.registers["MMR0"], "MMR3": case.registers["MMR3"]})
        state.update({"PIR": case.registers["PIRQ"] >> 9, "SLR": case.registers["STKLIM"] >> 8})
        for mode, entries in case.mappings.items():
            state.own_array(MAPPINGS[mode])[:] = entries
        return state

    def run(self, case: Case) -> Expectation:
        state = self.state(case)
        decoded = self.codec.decode_cells([b for w in case.words for b in (w & 0xFF, w >> 8)])
        assert decoded is not None, [f"{word:o}" for word in case.words]
        length = len(case.words) * 2
        outcome = self.engine.execute(state, decoded.instruction, decoded.fields, length)
        final: Outcome = outcome
        if isinstance(outcome, Trapped):
            final = self.engine.deliver(state, outcome.cause, outcome.arguments, outcome.next)
        assert isinstance(final, Retired)
        touched: set[int] = set()
        state, taken = self._pending(final.state)
        for ended in (outcome, final, *taken):
            for access in ended.accesses.virtual:
                if access.physical is not None:
                    touched.add(access.physical & ~1)
        trapped = bool(taken) or isinstance(outcome, Trapped)
        delivered = [*taken, *(() if final is outcome else (final,))]
        refused = any(a.physical is None for d in delivered for a in d.accesses.virtual)
        return Expectation(_after(state, touched), decoded, outcome, trapped, refused)

    def _pending(self, state: MachineState) -> tuple[MachineState, list[Retired]]:
        """After the traps that the instruction asked for: those of the yellow zone and of pages."""
        taken: list[Retired] = []
        asking = [i for i in self.isa.interrupts if i.name in PENDING]
        while any(self.engine.value(state, i.condition) for i in asking):
            first = next(i for i in asking if self.engine.value(state, i.condition))
            final = self.engine.run(state, first.delivery, {})
            assert isinstance(final, Retired)
            state = final.state
            taken.append(final)
        return state, taken


def _after(state: MachineState, touched: set[int]) -> After:
    scalars, arrays = state.scalars, state.arrays
    psw = sum(
        scalars[name] << bit
        for name, bit in (("CM", 14), ("PM", 12), ("RS", 11), ("IPL", 5), ("T", 4))
    )
    psw |= scalars["N"] << 3 | scalars["Z"] << 2 | scalars["V"] << 1 | scalars["C"]
    chosen = (arrays["R"], arrays["other"])
    sets = chosen if scalars["RS"] == 0 else chosen[::-1]
    registers = {"PC": scalars["PC"], "PSW": psw}
    registers |= {f"R{s}{i}": sets[s][i] for s in (0, 1) for i in range(6)}
    registers |= {name: scalars[name] for name in STACKS.values()}
    registers |= {name: scalars[name] for name in ("MMR0", "MMR3")}
    registers |= {"PIRQ": scalars["PIR"] << 9, "STKLIM": scalars["SLR"] << 8}
    if scalars["MMR0"] >> 13:
        registers["MMR2"] = scalars["MMR2"]
    for mode, name in MAPPINGS.items():
        for page, entry in enumerate(arrays[name]):
            place = f"{'ID'[page >> 3]}P{{}}R{page & 7}"
            registers[MODES[mode] + place.format("A")] = entry >> 16
            registers[MODES[mode] + place.format("D")] = entry & WORD
    cells = state.cells
    return After(registers, {a: cells[a] | cells[a + 1] << 8 for a in sorted(touched)})


class Simh:
    """Runs many cases in one process; each leaves memory as it found it, if it does as described."""

    def __init__(self, machine: Described) -> None:
        self.machine = machine

    def run(self, cases: Sequence[tuple[Case, Expectation]]) -> Iterator[After]:
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "background"
            image.write_bytes(_absolute(self.machine.words))
            lines = ["set cpu 11/45", "set cpu nofpp", "set cpu 64k", f"load {image}"]
            lines += ["d stop_veca 0", "d stop_spa 0", "d stop_traps 0"]
            for case, expected in cases:
                lines += self._script(case, expected)
            found = records((_COMMAND,), lines, len(cases))
        return map(_parse, found)

    def _script(self, case: Case, expected: Expectation) -> list[str]:
        lines = ["reset cpu"]
        for address, word in self.machine.patches(case).items():
            lines.append(f"d {address:o} {word:o}")
        for number, values in enumerate(case.sets):
            lines += [f"d r{number}{i} {value:o}" for i, value in enumerate(values)]
        lines += [f"d {STACKS[mode]} {value:o}" for mode, value in case.stacks.items()]
        lines += [f"d {name} {value:o}" for name, value in case.registers.items()]
        for mode, entries in case.mappings.items():
            for page, entry in enumerate(entries):
                name = f"{MODES[mode]}{'ID'[page >> 3]}"
                lines.append(f"d {name}PAR{page & 7} {entry >> 16:o}")
                lines.append(f"d {name}PDR{page & 7} {entry & WORD:o}")
        lines += [f"d psw {case.psw:o}", f"d pc {PC:o}"]
        lines.append(f"step {1 + expected.trapped}")
        shown = list(expected.after.registers)
        if not case.managed:
            shown = [n for n in shown if not re.fullmatch("[KSU][ID]P[AD]R[0-7]", n)]
            shown += _changed(case, expected)
        lines.append("e " + ",".join(shown))
        memory = [a for a in expected.after.memory if a < MEMORY]
        lines += [f"e {address:o}" for address in memory]
        if case.managed:
            names = [f"{m}{s}P{k}R{i}" for m in "KSU" for s in "ID" for k in "AD" for i in range(8)]
            lines += [f"d {name} 0" for name in names]
        gone = {*self.machine.patches(case), *memory}
        lines += [f"d {a:o} {self.machine.words[a // 2]:o}" for a in gone]
        return lines


def _changed(case: Case, expected: Expectation) -> list[str]:
    """The page registers that are not zero."""
    return [
        name
        for name, value in expected.after.registers.items()
        if value and re.fullmatch("[KSU][ID]P[AD]R[0-7]", name)
    ]


def _absolute(words: Sequence[int]) -> bytes:
    """An absolute binary tape of all memory."""
    made = bytearray()
    for start in range(0, len(words), 1024):
        body = b"".join(w.to_bytes(2, "little") for w in words[start : start + 1024])
        block = bytes((1, 0)) + (len(body) + 6).to_bytes(2, "little")
        block += (2 * start).to_bytes(2, "little") + body
        made += block + bytes((-sum(block) & 0xFF,))
    end = bytes((1, 0, 6, 0, 1, 0))
    return bytes(made + end + bytes((-sum(end) & 0xFF,)))


def _parse(record: str) -> After:
    seen = {m[1]: int(m[2], 8) for m in re.finditer(r"^([A-Z0-9]+):\t([0-7]+)$", record, re.M)}
    registers = {name: value for name, value in seen.items() if not name.isdigit()}
    registers["PC"] = int(record.split("\n", 1)[0], 8)
    return After(registers, {int(k, 8): v for k, v in seen.items() if k.isdigit()})


def differences(
    case: Case, expected: Expectation, seen: After, ignored: Mapping[str, int]
) -> dict[str, str]:
    """What SIMH says otherwise, by name; `ignored` are bits of registers that do not count."""
    found: dict[str, str] = {}
    for name, value in expected.after.registers.items():
        theirs = seen.registers.get(name, 0)
        if name == "PC" and expected.trapped:
            theirs -= 2
        mask = _MASKS.get(name, WORD) & ~ignored.get(name, 0)
        if name == "PIRQ":
            mask &= 0o177000
        if (value ^ theirs) & mask:
            found[name] = f"described {value:06o}, SIMH {theirs:06o}"
    if "memory" in ignored:
        return found
    for address, theirs in seen.memory.items():
        mine = expected.after.memory[address]
        if (mine ^ theirs) & ~ignored.get(f"[{address:o}]", 0):
            found[f"[{address:o}]"] = f"described {mine:06o}, SIMH {theirs:06o}"
    return found
