"""The KS10 of `isas/pdp10` does what SIMH does, and with it what the KA10 shares.

Random instructions (every one that the description has, all its forms) from states biased to edges,
in user and executive mode. Compared: accumulators, PC, the flags, the interrupts in progress, memory.
SIMH's KA10 is not packaged; where `pdp10-ka` is on the path, the long campaign runs it too.
What is known to differ, and why, is said in `ks10_lacks` and `ka10_lacks`. Another difference is
shrunk to one instruction and one plain state.
"""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from spec.ir import FieldType, Instruction, Isa, Operand, OperandRef, Parameter
from spec.load import load
from spec.outcome import Retired
from tests.pdp10_oracles import (
    HALF,
    KA10,
    KS10,
    UNASSIGNED,
    USER_FLAG,
    USER_IO_FLAG,
    UUO,
    WINDOW,
    WORD,
    After,
    Case,
    Described,
    Expectation,
    Model,
    Simh,
    differences,
    octal,
)
from tests.simh import Bench

ISAS = Path(__file__).parent.parent / "isas" / "pdp10"
Lacks = Callable[[Described, Case, Expectation], Mapping[str, int] | None]
LEAST = 1 << 35
EDGES = (0, 1, 2, WORD, WORD - 1, LEAST, LEAST - 1, LEAST + 1, HALF, HALF + 1, 0o400000, 0o777776)
OVERFLOW, PUBLIC, BIS = 1 << 17, 1 << 10, 1 << 13
IO = ("BLKI", "DATAI", "BLKO", "DATAO", "CONO", "CONI", "CONSZ", "CONSO")
SHARED_IO = (
    "DATAO APR",
    "BLKO APR",
    "CONO PI",
    "CONI PI",
    "CONSZ PI",
    "CONSO PI",
    "CONO APR",
    "CONI APR",
    "CONSZ APR",
    "CONSO APR",
)
LONG = 8  # words that BLT moves before SIMH looks for interrupts
BATCH = 250

# --------------------------------------------------------------------------- cases


@cache
def described(name: str, model: Model) -> Described:
    loaded = load(str(ISAS / f"{name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return Described(loaded.isa, model)


def random_case(machine: Described, instruction: Instruction, source: random.Random) -> Case:
    """The instruction with random operands, and a random state."""
    for _ in range(1000):
        fields = dict(_random_fields(machine.isa, instruction.parameters, "", source))
        try:
            (code,) = machine.codec.encode(instruction, fields)
        except ValueError:  # the constraint excludes these operands
            continue
        case = _random_state(machine, code, source)
        return _short_transfer(case, fields, source) if instruction.name == "BLT" else case
    raise AssertionError(f"no operands found for {instruction.name}")


def _random_fields(
    isa: Isa, parameters: tuple[Parameter, ...], prefix: str, source: random.Random
) -> Iterator[tuple[str, int]]:
    for parameter in parameters:
        path = prefix + parameter.name
        match parameter.type:
            case FieldType(18):
                yield path, _random_address(source)
            case FieldType(width):
                yield path, source.getrandbits(width)
            case OperandRef(operand, tags):
                tag = source.choice((tags[0], *tags))
                yield f"{path}.tag", tag
                (found,) = [o for o in isa.operands if o.name == operand]
                yield from _random_alternative(isa, found, tag, path, source)


def _random_alternative(
    isa: Isa, operand: Operand, tag: int, path: str, source: random.Random
) -> Iterator[tuple[str, int]]:
    (chosen,) = [a for a in operand.alternatives if a.tag == tag]
    yield from _random_fields(isa, chosen.parameters, f"{path}.{chosen.name}.", source)


def _random_address(source: random.Random) -> int:
    kind = source.random()
    if kind < 0.2:
        return source.randrange(0o20)
    if kind < 0.85:
        return source.choice(WINDOW)
    if kind < 0.95:
        return source.choice((1, -1)) * source.randrange(80) & HALF  # of shifts
    return source.getrandbits(18)


def _random_word(source: random.Random) -> int:
    kind, address = source.random(), _random_address(source)
    if kind < 0.25:
        return source.choice(EDGES)
    if kind < 0.5:
        return source.getrandbits(36)
    if kind < 0.6:  # a pointer of BLT or of a stack
        return source.choice((_random_address(source), 0, HALF, HALF - 1)) << 18 | address
    if kind < 0.75:  # of bytes
        position, size = (
            source.randrange(64),
            source.choice((1, 6, 7, 8, 18, source.getrandbits(6))),
        )
        return position << 30 | size << 24 | _random_index(source) | address
    return source.getrandbits(13) << 23 | _random_index(source) | address


def _random_index(source: random.Random) -> int:
    """I and X of an address word: an index register at times, indirection seldom."""
    indirect = source.random() < 0.1
    return indirect << 22 | (source.getrandbits(4) if source.random() < 0.3 else 0) << 18


def _random_state(machine: Described, code: int, source: random.Random) -> Case:
    memory = {address: _random_word(source) for address in WINDOW}
    called = source.choice((0o264, 0o264, 0o265, 0o260, 0o254)) << 27
    called |= source.randrange(16) << 23 if called >> 27 in (0o265, 0o260) else 0
    memory[UUO] = memory[UNASSIGNED] = called | source.choice(WINDOW)
    flags = source.getrandbits(13) << 5
    flags &= ~sum(1 << bit for bit in (10, 8, 7, 9))  # what one of the two machines has not
    if source.random() < 0.8:
        flags &= ~USER_IO_FLAG
    registers = {"PI_HELD": source.getrandbits(7)}
    if machine.model.relocated:
        registers |= {"R.Rl": source.randrange(1, 100), "R.Pl": source.randrange(3), "PDL_OV": 0}
        registers |= dict.fromkeys(("PI_ASKED", "MPV", "NXM", "PIA", "PI_ENABLED"), 0)
        registers |= {name: source.getrandbits(1) for name in ("PI_ON", "OV_ON", "FOV_ON")}
    ac = tuple(_random_word(source) for _ in range(16))
    return Case(code, ac, flags, memory, registers)


def _short_transfer(case: Case, fields: Mapping[str, int], source: random.Random) -> Case:
    """Of some words from the window on, up to the address if it is given directly."""
    to = fields.get("e.direct.a", 0o100) - source.randrange(-1, 5) & HALF
    ac = [*case.ac]
    ac[fields["ac"]] = source.choice(WINDOW) << 18 | to
    return replace(case, ac=tuple(ac))


# --------------------------------------------------------------------------- known differences


def ks10_lacks(machine: Described, case: Case, expected: Expectation) -> Mapping[str, int] | None:
    """What the description leaves out, and what it says otherwise than SIMH's KS10.

    An accumulator that is written as memory while the instruction counts with it is read again or
    not: the stack pointer that is pushed over itself or popped into, BLT's within its blocks, JSA's.
    """
    if expected.cause in ("endless_chain", "left_out") or _names_its_own_pointer(expected, case):
        return None
    return {"flags": PUBLIC}


def ka10_lacks(machine: Described, case: Case, expected: Expectation) -> Mapping[str, int] | None:
    """What the description leaves out, and what it says otherwise than SIMH's KA10.

    SIMH has floating point and XCT; the I/O bus and what PI answers to data are other devices' there,
    and interrupts, once asked for, come in the same step. BLT does not look at its address and its
    accumulator again when it has changed them, and leaves the accumulator as it was. IBP with BIS
    set goes on as a DPB. Against appendix E of the manual, 247 is an MUUO, and a violation of the
    protection goes on with the next instruction. Against SIMH's own KS10, IMUL misses overflows of
    negative products, MUL of -2**35 in the accumulator by n gives 2**35 * n, an arithmetic shift to
    the left by more than 28 loses bits before the test for overflow, and shifts by -256 do nothing.
    A code without an instruction returns one word further than an unused operation.
    """
    if expected.cause in ("endless_chain", "protection", "nonexistent"):
        return None
    decoded = expected.decoded
    assert decoded is not None
    direct = decoded.fields["e.tag"] == 0
    match expected.name:
        case "unassigned" | "247":
            return None
        case "IMUL" if expected.after.registers["flags"] & OVERFLOW:
            return None
        case "MUL" if case.ac[decoded.fields["ac"]] == LEAST:
            return None
        case "IBP" if case.flags & BIS:
            return None
        case "ASH" | "ASHC" | "LSH" | "LSHC" | "ROT" | "ROTC":
            shift = _effective(machine, case)
            if shift is None or shift & 0o400377 == 0o400000:
                return None
            far = expected.name.startswith("ASH") and shift < 0o400000 and shift & 0o377 > 28
            return None if far else {}
        case "BLT":
            if not direct or _names_its_own_pointer(expected, case):
                return None
            return {f"AC{decoded.fields['ac']}": WORD}
    if expected.name.split()[0] in IO and not expected.cause:
        if isinstance(expected.outcome, Retired) and expected.outcome.state.scalars["PI_ASKED"]:
            return None
        if expected.name not in SHARED_IO:
            return None
    return {}


def _effective(machine: Described, case: Case) -> int | None:
    """The effective address, found by a MOVEI of it."""
    code = case.code & ~(0o777740 << 18) | 0o201000 << 18
    moved = machine.run(replace(case, code=code))
    return None if moved.cause else moved.after.registers["AC0"] & HALF


def _names_its_own_pointer(expected: Expectation, case: Case) -> bool:
    """Does the instruction write or read the accumulator that it counts with, as memory?"""
    if expected.decoded is None or "ac" not in expected.decoded.fields:
        return False
    ac = expected.decoded.fields["ac"]
    pointer = case.ac[ac]
    match expected.name:
        case "JSA":
            return expected.after.registers["PC"] == ac + 1
        case "LUUO" if case.memory[UUO] >> 27 == 0o260:
            pushing = case.memory[UUO] >> 23 & 0o17
            return expected.after.registers[f"AC{pushing}"] & HALF == pushing
        case "PUSH" | "PUSHJ":
            return pointer + 1 & HALF == ac
        case "POP":
            return case.ac[ac] != expected.after.registers[f"AC{ac}"] + HALF + 2 & WORD
        case "BLT":
            moved = len(expected.after.memory)
            return moved > LONG or any(
                ac - (start & HALF) & HALF <= moved for start in (pointer, pointer >> 18)
            )
        case _:
            return False


# --------------------------------------------------------------------------- comparison


def bench(machine: Described, lacks: Lacks) -> Bench[Case, Expectation, After]:
    return Bench(
        machine.run,
        lambda case, expected: lacks(machine, case, expected),
        Simh(machine).run,
        lambda case, expected, seen, free: differences(machine, case, expected, seen, free),
        _simpler,
        story,
    )


def _simpler(case: Case) -> list[Case]:
    kept = [a for a, v in case.memory.items() if v]
    plain = [replace(case, memory={}), replace(case, ac=(0,) * 16)]
    plain += [replace(case, flags=case.flags & USER_FLAG), replace(case, ac=case.ac[:8] + (0,) * 8)]
    for size in (len(kept) // 2, len(kept) // 4, len(kept) // 8, 1):
        for start in range(0, len(kept), max(size, 1)):
            gone = kept[start : start + size]
            plain.append(replace(case, memory={a: case.memory[a] for a in kept if a not in gone}))
    for i, value in enumerate(case.ac):
        for lesser in (0, 1, value & HALF, value & -value):
            if lesser < value:
                plain.append(replace(case, ac=(*case.ac[:i], lesser, *case.ac[i + 1 :])))
    plain += [
        replace(case, flags=case.flags & ~(1 << bit)) for bit in range(18) if case.flags >> bit & 1
    ]
    plain += [
        replace(case, registers=dict(case.registers) | {name: 0})
        for name, value in case.registers.items()
        if value and name.startswith("P")
    ]
    return [candidate for candidate in plain if candidate != case]


def story(case: Case, expected: Expectation, found: dict[str, str]) -> str:
    before = [f"AC{i}={octal(value)}" for i, value in enumerate(case.ac) if value]
    before += [f"[{a:o}]={octal(v)}" for a, v in case.memory.items() if v]
    before += [f"flags={octal(case.flags, 18)}", f"{dict(case.registers)}"]
    fields = {k: v for k, v in expected.decoded.fields.items() if v} if expected.decoded else {}
    lines = [f"{expected.name}: {octal(case.code)} {fields}", " ".join(before)]
    return "\n".join(lines + [f"  {name}: {text}" for name, text in found.items()])


def campaign(machine: Described, lacks: Lacks, each: int, seed: int) -> Counter[tuple[str, bool]]:
    """Compare `each` cases of every instruction; how many were, by instruction and user mode."""
    source = random.Random(seed)
    cases = [random_case(machine, i, source) for i in machine.isa.instructions for _ in range(each)]
    return bench(machine, lacks).campaign(cases, BATCH, lambda c, e: (e.name, c.user))


# --------------------------------------------------------------------------- tests


@pytest.fixture
def ks10() -> Described:
    if shutil.which(KS10.command[0]) is None:
        pytest.skip("SIMH's pdp10 is not here")
    return described("ks10", KS10)


@pytest.fixture
def ka10() -> Described:
    if shutil.which(KA10.command[0]) is None:
        pytest.skip("SIMH's pdp10-ka is not here")
    return described("ka10", KA10)


def test_random_steps_agree_with_the_ks10_of_simh(ks10: Described) -> None:
    compared = campaign(ks10, ks10_lacks, 12, seed=1)

    assert {name for name, _ in compared} == {i.name for i in ks10.isa.instructions}
    assert sum(n for (_, user), n in compared.items() if not user) > compared.total() / 3


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 104))
def test_many_random_steps_agree_with_the_ks10_of_simh(ks10: Described, seed: int) -> None:
    compared = campaign(ks10, ks10_lacks, 120, seed)

    assert compared.total() > 100 * len(ks10.isa.instructions)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(200, 204))
def test_many_random_steps_agree_with_the_ka10_of_simh(ka10: Described, seed: int) -> None:
    compared = campaign(ka10, ka10_lacks, 120, seed)

    assert compared.total() > 75 * len(ka10.isa.instructions)
