"""The KS10 and KA10 twice: as described, and in a SIMH driven by scripts.

Each runs the instruction of a `Case` and says what came of it as an `After`. Memory holds the same
background everywhere; the words that an instruction may touch lie in a window from 0 on, as the
program sees it, and what is written elsewhere is looked up where the description writes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from spec.concrete import ConcreteEngine
from spec.encoding import Codec, Decoded
from spec.ir import Isa
from spec.outcome import Outcome, Retired, Trapped
from spec.state import MachineState
from tests.simh import records

WORD = (1 << 36) - 1
HALF = (1 << 18) - 1
CODE = 0o140
WINDOW = range(0o20, 0o200)
UUO, UNASSIGNED = 0o41, 0o61  # the words that unused operations execute
USER_FLAG, USER_IO_FLAG = 0o010000, 0o004000
_MOST_STEPS = 300  # of one BLT
_FLAG_BITS = {"OV": 17, "CRY0": 16, "CRY1": 15, "FOV": 14, "BIS": 13, "USER": 12, "USERIO": 11}
_FLAG_BITS |= {"AFI": 9, "TRAP2": 8, "TRAP1": 7, "FXU": 6, "NODIV": 5}


def octal(value: int, width: int = 36) -> str:
    return f"{value:0{width // 3}o}"


@dataclass(frozen=True, slots=True)
class Case:
    """One instruction at `CODE`, and the state before it; `flags` is the left half of a PC word."""

    code: int
    ac: tuple[int, ...]
    flags: int
    memory: Mapping[int, int] = field(default_factory=dict)  # of the window; the rest is zero
    registers: Mapping[str, int] = field(default_factory=dict)  # of the model, by its own names

    @property
    def user(self) -> bool:
        return bool(self.flags & USER_FLAG)


@dataclass(frozen=True, slots=True)
class After:
    """What came of it: PC, flags and registers by name, memory by physical address."""

    registers: Mapping[str, int]
    memory: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Expectation:
    after: After
    decoded: Decoded | None
    outcome: Outcome

    @property
    def cause(self) -> str:
        """The trap's cause, or nothing."""
        return self.outcome.cause if isinstance(self.outcome, Trapped) else ""

    @property
    def name(self) -> str:
        return self.decoded.instruction.name if self.decoded else ""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A SIMH: how to run it, and what it calls things."""

    command: tuple[str, ...]
    accumulator: str
    flags_shift: int  # of its FLAGS, to the left half of a PC word
    fixed: tuple[str, ...]  # commands before the first case
    registers: Mapping[str, str]  # compared: the description's name, SIMH's
    watched: tuple[range, ...]  # physical memory compared besides the window
    relocated: bool  # by Rl of the case's registers, in user mode
    whole_blocks: bool  # a step moves all words of a BLT, not one
    reset: str  # before each case


KS10 = Model(
    command=("pdp10",),
    accumulator="ac",
    flags_shift=0,
    fixed=("d ubr 0", "d ebr 0", "d 430 000000000100", "d 434 000000000110"),
    registers={"PI_HELD": "piact"},
    watched=(range(0o424, 0o427),),
    relocated=False,
    whole_blocks=False,
    reset="",
)
KA10 = Model(
    command=("pdp10-ka",),
    accumulator="fm",
    flags_shift=5,
    fixed=("d 41 264000000100", "d 61 265140000120"),
    registers={
        "PI_HELD": "pih",
        "PI_ENABLED": "pie",
        "PI_ON": "pienb",
        "PI_ASKED": "pir",
        "PIA": "aprirq",
        "PDL_OV": "pushover",
        "MPV": "memprot",
        "NXM": "nxm",
        "OV_ON": "ov",
        "FOV_ON": "fov",
    },
    watched=(range(0o40, 0o42), range(0o60, 0o62)),
    relocated=True,
    whole_blocks=True,
    reset="reset cpu",
)


class Described:
    """The description's own machine."""

    def __init__(self, isa: Isa, model: Model) -> None:
        self.isa, self.model = isa, model
        self.codec = Codec(isa)
        self.engine = ConcreteEngine(isa)
        self._base = MachineState(isa)
        for command in model.fixed:
            if found := re.fullmatch(r"d ([0-7]+) ([0-7]+)", command):
                self._base.load_cells(int(found[1], 8), [int(found[2], 8)])

    def place(self, case: Case) -> int:
        """The physical address of the program's 0."""
        relocated = self.model.relocated and case.user
        return case.registers.get("R.Rl", 0) << 10 if relocated else 0

    def state(self, case: Case) -> MachineState:
        state, place = self._base.copy(), self.place(case)
        for address, value in case.memory.items():
            state.load_cells(place + address, [value])
        state.load_cells(place + CODE, [case.code])
        state.own_array("AC")[:] = case.ac
        known = {e.name for e in self.isa.elements}
        flags = {n: case.flags >> bit & 1 for n, bit in _FLAG_BITS.items() if n in known}
        state.update(flags | {"PC": CODE} | dict(case.registers))
        return state

    def run(self, case: Case) -> Expectation:
        """One step; of a BLT as many as SIMH takes at once."""
        state = self.state(case)
        decoded = self.codec.decode_cells([case.code])
        assert decoded is not None, f"{case.code:012o} is an instruction"
        written: set[int] = set()
        for _ in range(_MOST_STEPS):
            outcome = self.engine.execute(state, decoded.instruction, decoded.fields, 1)
            final: Outcome = outcome
            if isinstance(outcome, Trapped):
                final = self.engine.deliver(state, outcome.cause, outcome.arguments, outcome.next)
            if isinstance(final, Trapped):
                return Expectation(self._after(state, written), decoded, final)
            state = final.state
            written |= _written(final)
            if decoded.instruction.name != "BLT" or not self.model.whole_blocks:
                break
            if state.scalars["PC"] != CODE:
                break
        return Expectation(self._after(state, written), decoded, outcome)

    def _after(self, state: MachineState, written: Iterable[int]) -> After:
        registers = {f"AC{i}": value for i, value in enumerate(state.arrays["AC"])}
        flags = (state.scalars.get(name, 0) << bit for name, bit in _FLAG_BITS.items())
        registers |= {"PC": state.scalars["PC"], "flags": sum(flags)}
        registers |= {name: state.scalars[name] for name in self.model.registers}
        return After(registers, {address: state.cells[address] for address in sorted(written)})


def _written(final: Retired) -> set[int]:
    found: set[int] = set()
    for access in final.accesses.virtual:
        if access.access.name == "WRITE" and access.physical is not None:
            found.add(access.physical)
    found.update(a.address for a in final.accesses.physical if a.write)
    return found


class Simh:
    """Runs many cases in one process; each leaves memory as it found it, if it does as described."""

    def __init__(self, machine: Described) -> None:
        self.machine, self.model = machine, machine.model

    def run(self, cases: Sequence[tuple[Case, Expectation]]) -> Iterator[After]:
        lines = ["reset all", *self.model.fixed]
        for case, expected in cases:
            lines += self._script(case, expected)
        found = records(self.model.command, lines, len(cases))
        return map(self._parse, found, (case for case, _ in cases))

    def _script(self, case: Case, expected: Expectation) -> list[str]:
        model, place = self.model, self.machine.place(case)
        lines = [model.reset] if model.reset else []
        lines += [f"d {model.accumulator}{i:o} {value:o}" for i, value in enumerate(case.ac)]
        lines += [f"d {place + address:o} {value:o}" for address, value in case.memory.items()]
        lines += [f"d {place + CODE:o} {case.code:o}"]
        lines += [f"d flags {case.flags >> model.flags_shift:o}", f"d pc {CODE:o}"]
        for name, value in case.registers.items():
            lines += _deposit(name, value, model)
        lines += ["step"]
        names = ["pc", "flags", *(f"{model.accumulator}{i:o}" for i in range(16))]
        lines += ["e " + ",".join([*names, *model.registers.values()])]
        window = range(place + WINDOW.start, place + WINDOW.stop)
        spans = [window, *model.watched]
        lines += [f"e {span.start:o}-{span.stop - 1:o}" for span in spans]
        apart = [a for a in expected.after.memory if not any(a in span for span in spans)]
        lines += [f"e {address:o}" for address in apart]
        lines += [f"d {address:o} 0" for address in {*window, *expected.after.memory}]
        return lines + [line for line in model.fixed if re.match("d [0-7]", line)]

    def _parse(self, record: str, case: Case) -> After:
        model = self.model
        seen = {m[1]: int(m[2], 8) for m in re.finditer(r"^([A-Z0-9]+):\t([0-7]+)$", record, re.M)}
        registers = {"PC": int(record.split("\n", 1)[0], 8)}
        registers["flags"] = seen["FLAGS"] << model.flags_shift
        for i in range(16):
            registers[f"AC{i}"] = seen[f"{model.accumulator.upper()}{i:o}"]
        registers |= {name: seen[called.upper()] for name, called in model.registers.items()}
        memory = {int(k, 8): v for k, v in seen.items() if k.isdigit() and int(k, 8) >= 0o20}
        return After(registers, memory)


def _deposit(name: str, value: int, model: Model) -> list[str]:
    if name == "R.Rl":
        return [f"d rl {value << 10:o}"]
    if name == "R.Pl":
        return [f"d pl {value << 10 | 0o1777:o}"]
    return [f"d {model.registers[name]} {value:o}"]


def differences(
    machine: Described, case: Case, expected: Expectation, seen: After, ignored: Mapping[str, int]
) -> dict[str, str]:
    """What SIMH says otherwise, in words, by name; `ignored` are bits of registers that do not count."""
    found: dict[str, str] = {}
    for name, value in expected.after.registers.items():
        if (value ^ seen.registers[name]) & ~ignored.get(name, 0):
            found[name] = f"described {octal(value)}, SIMH {octal(seen.registers[name])}"
    place, state = machine.place(case), machine.state(case)
    for address, theirs in seen.memory.items():
        mine = expected.after.memory.get(address, state.cells[address])
        if mine != theirs and "memory" not in ignored:
            found[f"[{address:o}]"] = f"described {octal(mine)}, SIMH {octal(theirs)}"
    missing = expected.after.memory.keys() - seen.memory.keys() - {place + a for a in range(16)}
    assert not missing, f"memory at {missing} was not asked for"
    return found
