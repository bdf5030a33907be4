"""The MC68000 and MC68010 of `isas/m68k` do what Musashi and QEMU do.

Random instructions (every one that the description has, all its forms) from states biased to edges,
in user and supervisor mode. Compared: data, address and control registers, both stack pointers, the
program counter, the status register, every byte written; of an exception its vector and frame.
What the manual leaves open is found by running the description twice, with all its choices 0 and
all 1. Neither oracle has address errors: of them only the description speaks.
"""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from spec.encoding import Decoded
from spec.ir import FieldType, Instruction, Isa, Operand, OperandRef, Parameter
from spec.load import load
from spec.machine import Machine
from tests.m68k_oracles import (
    HANDLERS,
    MEMORY_BYTES,
    SUPERVISOR_STACK,
    USER_STACK,
    After,
    Case,
    Described,
    Expectation,
    Musashi,
    Qemu,
    background,
    differences,
    simpler,
)

MODELS = ("m68000", "m68010")
ISAS = Path(__file__).parent.parent / "isas" / "m68k"
ILLEGAL = 4
SUPERVISOR = 0x2000
CARRY, OVERFLOW = 1, 2
MOVING_TAGS = (3, 4)  # of `ea`: post, pre
FIRST_ADDRESS = 8  # of a register's four bits
MOVE16 = 0xF620
LONG_DISPLACEMENT = 0xFF
LATER_REGISTERS = (*range(0x002, 0x009), *range(0x802, 0x808))
ALL = 0xFFFF_FFFF
LEAST = 0x8000_0000
QEMU_MEMORY_SHIFTS = ("ASL <ea>", "ASR <ea>", "LSL <ea>", "LSR <ea>")
QEMU_STACK_POINTERS = ("ADDX -(Ay),-(Ax)", "SUBX -(Ay),-(Ax)", "TAS", "JSR", "LINK", "UNLK")
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
POINTERS = (0x8400, 0x8C00, 0xA200, 0xA600, 0xFF_FF80, 0xFF_FFFE, 0xFF_8004)

Lacks = Callable[[Case, Expectation], "Mapping[str, int] | None"]
"""What an oracle is known to do otherwise, as `differences` takes it, or None: it has no say at all."""


# --------------------------------------------------------------------------- cases


@cache
def described(model: str) -> Described:
    loaded = load(str(ISAS / f"{model}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    return Described(loaded.isa)


def random_case(machine: Described, instruction: Instruction, source: random.Random) -> Case:
    """The instruction with random operands, and a random state."""
    fields: dict[str, int] = {}
    for _ in range(1000):
        fields = dict(_random_fields(machine.isa, instruction.parameters, "", source))
        try:
            code = bytes(machine.codec.encode(instruction, fields))
        except ValueError:  # the constraint excludes these operands
            continue
        return _random_state(instruction.name, code, source)
    raise AssertionError(f"no operands found for {instruction.name}")


def _random_fields(
    isa: Isa, parameters: tuple[Parameter, ...], prefix: str, source: random.Random
) -> Iterator[tuple[str, int]]:
    for parameter in parameters:
        path = prefix + parameter.name
        match parameter.type:
            case FieldType(_, values) if values:
                yield path, source.choice(values)[1]
            case FieldType(width):
                yield path, _random_bits(width, source)
            case OperandRef(operand, tags):
                tag = source.choice(tags)
                yield f"{path}.tag", tag
                (found,) = [o for o in isa.operands if o.name == operand]
                yield from _random_alternative(isa, found, tag, path, source)


def _random_alternative(
    isa: Isa, operand: Operand, tag: int, path: str, source: random.Random
) -> Iterator[tuple[str, int]]:
    (chosen,) = [a for a in operand.alternatives if a.tag == tag]
    yield from _random_fields(isa, chosen.parameters, f"{path}.{chosen.name}.", source)


def _random_bits(width: int, source: random.Random) -> int:
    if width == 32 and source.random() < 0.6:
        return source.choice(POINTERS) + 2 * source.randrange(8)
    if width >= 8 and source.random() < 0.5:
        return source.choice((*EDGES, 4, 6, 0xFFFE, 0xFFFC)) & ((1 << width) - 1)
    return source.getrandbits(width)


def _random_state(name: str, code: bytes, source: random.Random) -> Case:
    supervisor = source.random() < 0.5
    return Case(
        code,
        d=tuple(_random_data(source) for _ in range(8)),
        a=tuple(_random_pointer(source) for _ in range(7)),
        usp=USER_STACK + 2 * source.randrange(-64, 64),
        ssp=_frame(source) if name == "RTE" else SUPERVISOR_STACK + 2 * source.randrange(-64, 64),
        sr=supervisor << 13 | source.getrandbits(3) << 8 | source.getrandbits(5),
        vbr=source.choice((0, 0, 0x8000, 0xA100)),
        sfc=source.getrandbits(3),
        dfc=source.getrandbits(3),
    )


def _random_data(source: random.Random) -> int:
    return source.choice(EDGES) if source.random() < 0.6 else source.getrandbits(32)


def _random_pointer(source: random.Random) -> int:
    kind = source.random()
    pointer = source.choice(POINTERS) + 2 * source.randrange(-16, 16)
    if kind < 0.08:
        return pointer | 1
    if kind < 0.16:
        return (pointer | source.getrandbits(8) << 24) & 0xFFFF_FFFF
    return pointer if kind < 0.9 else source.getrandbits(32) & ~1


def _frame(source: random.Random) -> int:
    """A stack whose fourth word is, if there are formats, the format of a frame, mostly."""
    stacks = range(SUPERVISOR_STACK - 0x400, SUPERVISOR_STACK + 0x400, 2)
    good = [at for at in stacks if background(at + 6) >> 4 in (0, 8)]
    return source.choice(good if source.random() < 0.8 else stacks)


# --------------------------------------------------------------------------- what the oracles lack


def musashi_lacks(case: Case, expected: Expectation) -> Mapping[str, int] | None:
    """Musashi of machine68k 0.4.1, against the manuals.

    It has no address errors, and no memory that goes on at 0 after its end. A STOP may enter user
    mode. A division that has no result leaves C alone, and -2**31 / -1 has one, 0; a format error
    stacks the address of the instruction after RTE. MOVE16 and some control registers of later models are there on every one.
    """
    decoded, name = expected.decoded, _name(expected)
    word = int.from_bytes(case.code[:2], "big")
    if expected.cause == "address_error" or _runs_past_the_end(expected):
        return None
    if name == "STOP" and expected.cause == "privilege_violation" and case.sr & SUPERVISOR:
        return None
    if name == "Line F" and word & 0xFFF8 == MOVE16:
        return None
    if decoded and name == "MOVEC of no register" and _register(decoded) in LATER_REGISTERS:
        return None
    if decoded and name == "DIVS" and case.d[decoded.fields["d"]] == LEAST:
        return None
    if name in ("DIVU", "DIVS") and case.sr & CARRY:
        if expected.cause:
            return {"SR": CARRY, "memory": ALL}
        return {"SR": CARRY} if expected.after.registers["SR"] & OVERFLOW else {}
    return {"memory": ALL} if expected.cause == "format_error" else {}


def qemu_lacks(case: Case, expected: Expectation) -> Mapping[str, int] | None:
    """QEMU 7.2, against the manuals and Musashi.

    It has no address errors, 32 address lines, and takes what the MC68020 would for an error (bit 8
    of an extension word, displacement $FF, a bit number above 255). A STOP may enter user mode. A7 is
    a register like others to ADDX, SUBX and TAS of bytes, to JSR (which jumps relative to the lowered
    one), to LINK (which pushes the one before) and to UNLK (which loses the loaded one). ASR and
    LSR of memory are exchanged and ASL of memory has no V. CHK stacks the address of its second word,
    and its flags are not those of the MC68000; it and a division by zero do not move their operand's
    register; MOVES loads a register and moves it after. MOVEC of a control register that is not there may
    end the process. The MC68010 has the frames of the MC68000, for RTE too. BKPT stops the debugger.
    """
    name, fields = _name(expected), expected.decoded.fields if expected.decoded else {}
    if expected.cause == "address_error":
        return None
    if name == "STOP" and expected.cause == "privilege_violation" and case.sr & SUPERVISOR:
        return None
    if any(touch.address + touch.size >> 24 for touch in expected.outcome.accesses.virtual):
        return None
    if any(field.endswith(".z") and value for field, value in fields.items()):
        return None
    if fields.get("t.near.d") == LONG_DISPLACEMENT or name in QEMU_MEMORY_SHIFTS:
        return None
    if name in QEMU_STACK_POINTERS and 7 in fields.values():
        return None
    if expected.cause in ("zero_divide", "chk_exception") and fields["s.tag"] in MOVING_TAGS:
        return None
    if name == "MOVES <ea>,Rn" and fields["s.tag"] in MOVING_TAGS and fields["r"] >= FIRST_ADDRESS:
        return None
    if expected.cause == "format_error" or name == "BKPT":
        return None
    if name == "MOVEC of no register" and case.sr & SUPERVISOR:
        return None
    if name == "RTE" and not expected.cause and "VBR" in expected.after.registers:
        return {"SSP": ALL}
    if expected.cause and "VBR" in expected.after.registers:
        return {"memory": ALL, "SSP": ALL}
    return {"SR": ALL, "memory": ALL} if expected.cause == "chk_exception" else {}


def _register(decoded: Decoded) -> int:
    """The control register that MOVEC names."""
    return decoded.fields["high"] << 11 | decoded.fields["code"] << 1 | decoded.fields["low"]


def _runs_past_the_end(expected: Expectation) -> bool:
    return any(
        access.physical is not None and access.physical + access.size > MEMORY_BYTES
        for access in expected.outcome.accesses.virtual
    )


def _name(expected: Expectation) -> str:
    return expected.decoded.instruction.name if expected.decoded else ""


# --------------------------------------------------------------------------- comparison


def compare(
    machine: Described, run: Callable[[Case, Expectation], After], lacks: Lacks, case: Case
) -> dict[str, str] | None:
    """The differences of one case; None if the oracle has no say."""
    expected = machine.run(case)
    ignored = lacks(case, expected)
    if ignored is None:
        return None
    return differences(case, expected, run(case, expected), ignored)


def shrunk(
    machine: Described, run: Callable[[Case, Expectation], After], lacks: Lacks, case: Case
) -> Case:
    """A plainer state in which the same instruction still differs."""
    for _ in range(200):
        for candidate in simpler(case):
            if compare(machine, run, lacks, candidate):
                case = candidate
                break
        else:
            return case
    return case


def story(machine: Described, case: Case, found: dict[str, str]) -> str:
    decoded = machine.decode(case)
    name = decoded.instruction.name if decoded else "no instruction"
    before = [f"D{i}={value:08x}" for i, value in enumerate(case.d)]
    before += [f"A{i}={value:08x}" for i, value in enumerate(case.a)]
    before += [f"USP={case.usp:08x}", f"SSP={case.ssp:08x}", f"SR={case.sr:04x}"]
    fields = {} if decoded is None else {k: v for k, v in decoded.fields.items() if v}
    lines = [f"{name}: {case.code.hex()} {fields}", " ".join(before)]
    return "\n".join(lines + [f"  {name}: {text}" for name, text in found.items()])


def campaign(
    machine: Described,
    run: Callable[[Case, Expectation], After],
    lacks: Lacks,
    each: int,
    seed: int,
) -> Counter[str]:
    """Compare `each` cases of every instruction; how many were compared, by instruction."""
    source = random.Random(seed)
    compared: Counter[str] = Counter()
    failures: list[str] = []
    for instruction in machine.isa.instructions:
        for _ in range(each):
            case = random_case(machine, instruction, source)
            found = compare(machine, run, lacks, case)
            if found is None:
                continue
            compared[instruction.name] += 1
            if found:
                least = shrunk(machine, run, lacks, case)
                failures.append(story(machine, least, compare(machine, run, lacks, least) or {}))
                break
    if failures:
        pytest.fail(
            f"{len(failures)} instructions differ\n\n" + "\n\n".join(failures), pytrace=False
        )
    return compared


@pytest.fixture(params=MODELS)
def musashi(request: pytest.FixtureRequest) -> Iterator[tuple[Described, Musashi]]:
    oracle = Musashi(request.param)
    yield described(request.param), oracle
    oracle.close()


@pytest.fixture(params=MODELS)
def qemu(request: pytest.FixtureRequest) -> Iterator[tuple[Described, Qemu]]:
    if shutil.which("qemu-system-m68k") is None:
        pytest.skip("qemu-system-m68k is not here")
    oracle = Qemu(request.param)
    yield described(request.param), oracle
    oracle.close()


# --------------------------------------------------------------------------- tests


@pytest.mark.parametrize(
    "words", [range(3, 1 << 16, 7), pytest.param(range(1 << 16), marks=pytest.mark.deep)], ids=str
)
def test_a_first_word_is_an_instruction_exactly_where_musashi_has_one(
    musashi: tuple[Described, Musashi], words: range
) -> None:
    machine, oracle = musashi
    wrong: list[str] = []

    for word in words:
        case = Case(
            word.to_bytes(2, "big") + bytes(8),
            d=(1,) * 8,
            a=(0x8400,) * 7,
            usp=USER_STACK,
            ssp=SUPERVISOR_STACK,
            sr=0x2000,
        )
        decoded = machine.decode(case)
        trapping = decoded is None or decoded.instruction.name in ("ILLEGAL", "BKPT")
        if trapping != (oracle.run(case).registers["PC"] == HANDLERS + 4 * ILLEGAL):
            wrong.append(f"{word:04x} {decoded.instruction.name if decoded else 'nothing'}")

    assert not wrong


def test_random_steps_agree_with_musashi(musashi: tuple[Described, Musashi]) -> None:
    machine, oracle = musashi

    compared = campaign(machine, lambda case, _: oracle.run(case), musashi_lacks, 20, seed=1)

    assert all(compared[instruction.name] >= 5 for instruction in machine.isa.instructions)


def test_random_steps_agree_with_qemu(qemu: tuple[Described, Qemu]) -> None:
    machine, oracle = qemu

    compared = campaign(
        machine, lambda case, e: oracle.run(case, e.after.memory), qemu_lacks, 4, seed=2
    )

    assert compared.total() > 2 * len(machine.isa.instructions)


@pytest.mark.parametrize("model", MODELS)
def test_the_bare_machine_steps_as_the_description_says(model: str) -> None:
    machine, source = described(model), random.Random(3)
    for instruction in machine.isa.instructions:
        case = random_case(machine, instruction, source)
        bare = Machine(machine.isa, machine.state(case), machine.codec.decode)
        expected = machine.run(case).after

        bare.step()

        assert bare.pc == expected.registers["PC"], instruction.name
        assert [bare.state.cells[at] for at in expected.memory] == list(expected.memory.values())


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 104))
def test_many_random_steps_agree_with_musashi(
    musashi: tuple[Described, Musashi], seed: int
) -> None:
    machine, oracle = musashi

    compared = campaign(machine, lambda case, _: oracle.run(case), musashi_lacks, 300, seed)

    assert all(compared[instruction.name] >= 75 for instruction in machine.isa.instructions)


@pytest.mark.deep
def test_many_random_steps_agree_with_qemu(qemu: tuple[Described, Qemu]) -> None:
    machine, oracle = qemu

    compared = campaign(
        machine, lambda case, e: oracle.run(case, e.after.memory), qemu_lacks, 100, seed=200
    )

    assert compared.total() > 50 * len(machine.isa.instructions)
