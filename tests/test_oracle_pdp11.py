"""The PDP-11/45 of `isas/pdp11` does what SIMH does.

Random instructions (every one that the description has, all addressing modes) from states biased to
edges, in kernel, supervisor and user mode, with and without memory management, stack limit and page
tracking. Compared: both register sets, stack pointers, PC, PSW, the registers of memory management,
memory. What is known to differ, and why, is said in `lacks`. Another difference is shrunk to one
instruction and one plain state.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from spec.ir import FieldType, Instruction, Isa, OperandRef, Parameter
from spec.load import load
from spec.outcome import Trapped
from tests.pdp11_oracles import (
    KERNEL,
    MODES,
    SUPERVISOR,
    USER,
    WORD,
    After,
    Case,
    Described,
    Expectation,
    Simh,
    differences,
)
from tests.simh import Bench

FULL = Path(__file__).parent / "pdp11_full.isa"
BATCH = 250
ABORTS = ("odd_address", "bus_error", "memory_management", "red_zone")
PUSHING = ("JSR", "MFPI/MFPD", "MTPI/MTPD")
REGISTERS = (
    0o177776, 0o177774, 0o177772, 0o177570, 0o177572, 0o177574, 0o177576, 0o172516,
    0o172200, 0o172216, 0o172240, 0o172262, 0o172300, 0o172342, 0o172376, 0o177600, 0o177642, 0o177676,
)  # fmt: skip
MOVING = ("inc", "incd", "dec", "decd")

# --------------------------------------------------------------------------- cases


@cache
def described() -> Described:
    loaded = load(str(FULL))
    assert loaded.isa is not None, loaded.diagnostics
    return Described(loaded.isa)


def random_case(machine: Described, instruction: Instruction, source: random.Random) -> Case:
    """The instruction with random operands, and a random state."""
    for _ in range(1000):
        fields = dict(_random_fields(machine.isa, instruction.parameters, "", source))
        try:
            cells = machine.codec.encode(instruction, fields)
        except ValueError:  # the constraint excludes these operands
            continue
        words = tuple(cells[i] | cells[i + 1] << 8 for i in range(0, len(cells), 2))
        return _random_state(words, source)
    raise AssertionError(f"no operands found for {instruction.name}")


def _random_fields(
    isa: Isa, parameters: tuple[Parameter, ...], prefix: str, source: random.Random
) -> Iterator[tuple[str, int]]:
    for parameter in parameters:
        path = prefix + parameter.name
        match parameter.type:
            case FieldType(16) if path == "a" and source.random() < 0.7:
                yield path, source.choice(REGISTERS)
            case FieldType(16):
                yield path, _random_word(source)
            case FieldType(9):
                yield path, source.getrandbits(8) << 1
            case FieldType(width):
                yield path, source.getrandbits(width)
            case OperandRef(operand, tags):
                tag = source.choice(tags)
                yield f"{path}.tag", tag
                (found,) = [o for o in isa.operands if o.name == operand]
                (chosen,) = [a for a in found.alternatives if a.tag == tag]
                yield from _random_fields(isa, chosen.parameters, f"{path}.{chosen.name}.", source)


def _random_word(source: random.Random) -> int:
    kind = source.random()
    if kind < 0.15:
        return source.choice((0, 1, 2, WORD, WORD - 1, 1 << 15, (1 << 15) - 1, 0o17777, 0o37776))
    if kind < 0.75:
        return source.getrandbits(15) << 1 & (WORD if kind < 0.3 else 0o157776)
    return source.getrandbits(16)


def _random_stack(source: random.Random) -> int:
    if source.random() < 0.15:
        return source.choice(
            (0o340, 0o342, 0o344, 0o376, 0o400, 0o402, 0o404, 0o440, 0o1000, 4, 2, 0)
        )
    return source.randrange(0o600, 0o157770) & ~(source.random() < 0.95)


def _random_state(words: tuple[int, ...], source: random.Random) -> Case:
    mode = source.choice((KERNEL, KERNEL, SUPERVISOR, USER, USER))
    psw = mode << 14 | source.choice(list(MODES)) << 12 | source.getrandbits(1) << 11
    psw |= 7 << 5 | source.getrandbits(4)
    managed = source.random() < 0.5
    flags = source.choice((0, 0, 0, 0, 0, 1, 2, 4)) << 13
    vector_mode = source.choice((KERNEL, KERNEL, KERNEL, SUPERVISOR, USER))
    enabled = managed and vector_mode != mode and source.random() < 0.3
    flags |= 1 << 9 if enabled else source.getrandbits(1) << 12
    registers = {
        "MMR0": (flags | 1) if managed else 0,
        "MMR3": source.getrandbits(3) if managed else 0,
        "PIRQ": source.getrandbits(7) << 9 if source.random() < 0.1 else 0,
        "STKLIM": source.randrange(8) << 8 if source.random() < 0.2 else 0,
    }
    return Case(
        words=words,
        psw=psw,
        sets=(_random_set(source), _random_set(source)),
        stacks={m: _random_stack(source) for m in MODES},
        registers=registers,
        vector_psw=vector_mode << 14 | source.getrandbits(1) << 11 | 7 << 5 | source.getrandbits(4),
        mappings={m: _random_pages(m, source, not (enabled and m == vector_mode)) for m in MODES}
        if managed
        else {},
    )


def _random_set(source: random.Random) -> tuple[int, ...]:
    return tuple(_random_word(source) for _ in range(6))


def _random_pages(mode: int, source: random.Random, trapping: bool) -> tuple[int, ...]:
    """Code and handlers are in page 0, which is always there; so are the vectors.

    Where SIMH 3.8.1 would trap for the stack of the trap, no page is `trapping`.
    """
    pages = [_random_page(source) for _ in range(16)]
    pages = [p if trapping or p & 7 not in (1, 4, 5) else p & ~7 | 6 for p in pages]
    pages[0] = {KERNEL: 0, SUPERVISOR: 0o300, USER: 0o600}[mode] << 16 | 0o77406
    if mode == KERNEL:
        pages[8] = 0o77406
    return tuple(pages)


def _random_page(source: random.Random) -> int:
    frame = source.randrange(0o100, 0o1600)
    if source.random() < 0.06:
        frame = source.choice((0o1700, 0o2000, 0o7600, 0o7777, 0o7700))
    length = 0o177 if source.random() < 0.7 else source.getrandbits(7)
    access = source.choice((6, 6, 6, 6, 6, 2, 2, 5, 4, 1, source.getrandbits(3)))
    down = source.random() < 0.15
    return frame << 16 | length << 8 | down << 3 | access | (source.getrandbits(2) << 6)


# --------------------------------------------------------------------------- known differences


def lacks(machine: Described, case: Case, expected: Expectation) -> Mapping[str, int] | None:
    """Bits of registers in which SIMH has no say, or None where it has none at all.

    Where the description takes no notice of what hangs on the bus: an address in the I/O page that
    is none of its registers, or is reached otherwise than by the two forms of MOV; MMR1; bit 7 of
    MMR0, and MMR2 when the program itself freezes it. -(PC) before another word of the
    instruction. After an abort SIMH leaves registers moved, flags changed, and
    the PC behind the words that it had fetched (so does the machine; see the notes of the
    description), and what it pushes is lower by as much.

    SIMH 3.8.1 was mended later (SIMH's own notes on its PDP-11, August to November 2022) where it
    has these otherwise: flags in MMR0 keep others from being set; bit 12 is set also if no trap is
    enabled, and keeps another trap from being asked for; A is set where an access asks for a trap,
    and not by aborts, nor W by references to where nothing answers; a trap whose stack the kernel cannot write comes once.
    """
    assert expected.decoded is not None
    fields = expected.decoded.fields
    if expected.cause == "bus_error" and _in_io_page(machine, case, expected):
        return None
    if expected.refused:
        return None  # SIMH takes traps for ever, of the kernel's stack too
    handler = expected.after.registers["PC"] & 0o17777
    if expected.trapped and any(place & 0o17777 == handler for place in expected.after.memory):
        return None  # what it pushes lies on the handler, of which SIMH does the first instruction
    ignored: dict[str, int] = {"MMR0": 0o10200}
    if case.registers["MMR0"] >> 13:
        ignored["MMR0"] = 0o170200
    if expected.name == "MOV from @#" and fields["a"] & ~1 == 0o177574:
        return None
    if expected.name == "MOV to @#" and fields["a"] & ~1 == 0o177572:
        ignored["MMR2"] = WORD
    if expected.name == "MOV from @#" and fields["a"] & ~1 == 0o177572:
        ignored |= dict.fromkeys(expected.after.registers, 0o200) | {"PSW": 4, "MMR0": 0o170200}
    if case.managed:
        bits = 0o300 if expected.cause == "bus_error" else 0o200
        ignored |= {n: bits for n in expected.after.registers if n[1:4] in ("IPD", "DPD")}
    moved = _moved(machine.isa, expected)
    if _stepped_back_by_pc(machine.isa, expected) and len(case.words) > 1:
        return None
    if expected.cause in ABORTS:
        if case.registers["MMR0"] & 1 << 9:
            return None  # an access before it may have asked for a trap
        chosen = case.psw >> 11 & 1
        ignored |= {f"R{chosen}{r}": WORD for r in moved if r < 6}
        if 6 in moved or expected.name in PUSHING:
            if case.mode == case.vector_psw >> 14 or expected.cause == "red_zone":
                return None
            ignored[{KERNEL: "KSP", SUPERVISOR: "SSP", USER: "USP"}[case.mode]] = WORD
        ignored["memory"] = 0
    return ignored


def _operands(isa: Isa, expected: Expectation) -> Iterator[tuple[str, int]]:
    """The forms of the operands, with their registers."""
    assert expected.decoded is not None
    fields = expected.decoded.fields
    for parameter in expected.decoded.instruction.parameters:
        if isinstance(parameter.type, OperandRef):
            (found,) = [o for o in isa.operands if o.name == parameter.type.operand]
            tag = fields[f"{parameter.name}.tag"]
            (chosen,) = [a for a in found.alternatives if a.tag == tag]
            yield chosen.name, fields.get(f"{parameter.name}.{chosen.name}.r", 7)


def _moved(isa: Isa, expected: Expectation) -> set[int]:
    return {register for form, register in _operands(isa, expected) if form in MOVING}


def _stepped_back_by_pc(isa: Isa, expected: Expectation) -> bool:
    return any(form in ("dec", "decd") and r == 7 for form, r in _operands(isa, expected))


def _in_io_page(machine: Described, case: Case, expected: Expectation) -> bool:
    assert isinstance(expected.outcome, Trapped)
    access = expected.outcome.accesses.virtual[-1]
    if not case.managed:
        return access.address & WORD >= 0o160000
    mode = case.mode if access.mode is None else access.mode
    data = (
        access.address >> 16 & case.registers["MMR3"] >> {KERNEL: 2, SUPERVISOR: 1, USER: 0}[mode]
    )
    page = case.mappings[mode][(data & 1) << 3 | access.address >> 13 & 7]
    return ((page >> 16 << 6) + (access.address & 0o17777)) % (1 << 18) >= 0o760000


# --------------------------------------------------------------------------- comparison


def bench(machine: Described) -> Bench[Case, Expectation, After]:
    return Bench(
        machine.run,
        lambda case, expected: lacks(machine, case, expected),
        Simh(machine).run,
        differences,
        _simpler,
        story,
    )


def _simpler(case: Case) -> list[Case]:
    plain = [replace(case, mappings={}, registers=case.registers | {"MMR0": 0, "MMR3": 0})]
    plain += [replace(case, registers=dict(case.registers) | {n: 0}) for n in ("PIRQ", "STKLIM")]
    plain += [replace(case, psw=case.psw & ~bits) for bits in (0o4000, 0o30000, 0o17)]
    for number, values in enumerate(case.sets):
        for i in range(6):
            lesser = (*values[:i], 0, *values[i + 1 :])
            sets = (lesser, case.sets[1]) if number == 0 else (case.sets[0], lesser)
            plain.append(replace(case, sets=sets))
    for mode, pages in case.mappings.items():
        for i, page in enumerate(pages):
            for other in (page & ~0xFFFF | 0o77406, 0o77406):
                mended = (*pages[:i], other, *pages[i + 1 :])
                if other != page and i not in (0, 8):
                    plain.append(replace(case, mappings=dict(case.mappings) | {mode: mended}))
    plain += [replace(case, stacks=dict(case.stacks) | {mode: 0o1400}) for mode in case.stacks]
    return [candidate for candidate in plain if candidate != case]


def story(case: Case, expected: Expectation, found: dict[str, str]) -> str:
    fields = {k: v for k, v in expected.decoded.fields.items() if v} if expected.decoded else {}
    words = " ".join(f"{word:06o}" for word in case.words)
    before = [f"psw={case.psw:06o}", f"vectors={case.vector_psw:06o}"]
    before += [f"R{s}{i}={v:o}" for s in (0, 1) for i, v in enumerate(case.sets[s]) if v]
    before += [f"{MODES[m]}SP={v:o}" for m, v in case.stacks.items()]
    before += [f"{name}={value:o}" for name, value in case.registers.items() if value]
    for mode, pages in case.mappings.items():
        shown = " ".join(f"{p >> 16:o}/{p & WORD:o}" for p in pages)
        before.append(f"\n{MODES[mode]} {shown}")
    lines = [f"{expected.name}: {words} {fields} {expected.cause}", " ".join(before)]
    return "\n".join(lines + [f"  {name}: {text}" for name, text in found.items()])


def campaign(machine: Described, each: int, seed: int) -> Counter[tuple[str, int]]:
    """Compare `each` cases of every instruction; how many were, by instruction and mode."""
    source = random.Random(seed)
    cases = [random_case(machine, i, source) for i in machine.isa.instructions for _ in range(each)]
    return bench(machine).campaign(cases, BATCH, lambda c, e: (e.name, c.mode))


# --------------------------------------------------------------------------- tests


@pytest.fixture
def machine() -> Described:
    if shutil.which("pdp11") is None:
        pytest.skip("SIMH's pdp11 is not here")
    return described()


def test_random_steps_agree_with_simh(machine: Described) -> None:
    compared = campaign(machine, 12, seed=1)

    assert {name for name, _ in compared} == {i.name for i in machine.isa.instructions}
    assert sum(n for (_, mode), n in compared.items() if mode != USER) > compared.total() / 3


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 104))
def test_many_random_steps_agree_with_simh(machine: Described, seed: int) -> None:
    compared = campaign(machine, 120, seed)

    assert compared.total() > 80 * len(machine.isa.instructions)
