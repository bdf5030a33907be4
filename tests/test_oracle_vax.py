"""The VAX of `isas/vax` does what SIMH's VAX-11/780 does.

Random instructions (every one that the description has, all its addressing modes) from states biased
to edges, in all modes, on every stack, with memory mapped and not. Compared: general registers, PSL,
stack pointers, the registers of memory management, memory. What is known to differ, and why, is said
in `lacks`. Another difference is shrunk to one instruction and one plain state.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from spec.ir import FieldType, Instruction, Isa, Operand, OperandRef, Parameter
from spec.load import load
from spec.outcome import Retired
from tests.simh import Bench
from tests.vax_oracles import (
    DATA,
    LONG,
    MEMORY,
    MODIFIED,
    P0_TABLE,
    P1_TABLE,
    PCB,
    SCB,
    STACKS,
    SYSTEM_TABLE,
    WINDOWS,
    After,
    Case,
    Described,
    Expectation,
    Simh,
    differences,
)

ISA = Path(__file__).parent.parent / "isas" / "vax" / "vax.isa"
EDGES = (0, 1, 2, 31, 32, 127, 128, 255, 0x7FFF, 0x8000, 0xFFFF, 1 << 31, (1 << 31) - 1, LONG)
IMMEDIATE = ("imm8", "imm16", "imm32", "imm64", "indexed_immediate")
PLAIN = ("literal", "reg", "imm8", "imm16", "imm32", "imm64")
MEMORY_FAULTS = ("access_violation", "translation_not_valid")
PROCESSOR = (0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 56, 57, 58)
SYSTEM, P1 = 0x8000_0000, 0x4000_0000
TABLE = 128  # entries of the table of P0, and of that of P1
ALL = 4  # the protection code that lets every mode write
BATCH = 250

# --------------------------------------------------------------------------- cases


@cache
def described() -> Described:
    loaded = load(str(ISA))
    assert loaded.isa is not None, loaded.diagnostics
    return Described(loaded.isa)


def random_case(machine: Described, instruction: Instruction, source: random.Random) -> Case:
    """The instruction with random operands, in a random state that reaches only what there is."""
    for _ in range(1000):
        fields = dict(_random_fields(machine.isa, instruction.parameters, "", source))
        try:
            cells = machine.codec.encode(instruction, fields)
        except ValueError:  # a constraint excludes these operands
            continue
        case = _random_state(bytes(cells), source, instruction.name == "REI")
        if instruction.name.endswith("computed"):
            case = replace(case, general=tuple(source.choice(PROCESSOR) for _ in range(14)))
        touched = machine.run(case).touched
        if all(address < MEMORY for address in touched):
            return case
    raise AssertionError(f"no operands found for {instruction.name}")


def asked_case(machine: Described, instruction: Instruction, source: random.Random) -> Case:
    """A random case; of the first few, one in which the simulator has a say."""
    for _ in range(4):
        case = random_case(machine, instruction, source)
        if lacks(machine, case, machine.run(case)) is not None:
            break
    return case


def _random_fields(
    isa: Isa, parameters: tuple[Parameter, ...], prefix: str, source: random.Random
) -> Iterator[tuple[str, int]]:
    for parameter in parameters:
        path = prefix + parameter.name
        match parameter.type:
            case FieldType(32):
                yield path, _random_long(source) if source.random() < 0.3 else _address(source)
            case FieldType(width, values) if values:
                yield path, source.choice([value for _, value in values])
            case FieldType(width):
                small = width >= 8 and source.random() < 0.5
                yield (
                    path,
                    (source.randrange(-16, 17) if small else source.getrandbits(width))
                    % (1 << width),
                )
            case OperandRef(operand, tags):
                (found,) = [o for o in isa.operands if o.name == operand]
                names = {a.tag: a.name for a in found.alternatives}
                usual = [tag for tag in tags if names[tag] in ("reg", "at", "none")]
                tag = source.choice(usual if usual and source.random() < 0.7 else tags)
                yield f"{path}.tag", tag
                yield from _random_alternative(isa, found, tag, path, source)


def _random_alternative(
    isa: Isa, operand: Operand, tag: int, path: str, source: random.Random
) -> Iterator[tuple[str, int]]:
    (chosen,) = [a for a in operand.alternatives if a.tag == tag]
    yield from _random_fields(isa, chosen.parameters, f"{path}.{chosen.name}.", source)


def _address(source: random.Random) -> int:
    """A virtual address of an operand, as P0, system space and P1 map it."""
    offset = source.choice((0, 0x200)) + source.randrange(0x10, 0x30)
    return source.choice((DATA, DATA, DATA, SYSTEM + 0x400, P1)) + offset


def _random_long(source: random.Random) -> int:
    kind = source.random()
    if kind < 0.3:
        return source.choice(EDGES)
    if kind < 0.7:
        return _address(source)
    if kind < 0.8:
        return source.randrange(64)
    return source.getrandbits(32)


def _random_psl(source: random.Random) -> int:
    mode = source.choice((0, 0, 1, 2, 3, 4))
    psl = mode << 24 | source.randrange(mode & 3, 4) << 22 | source.getrandbits(8) & ~0x10
    if mode in (0, 4):
        psl |= source.choice((0, 1, 4, 15, 24, 31)) << 16
    return psl | 0x1_0000 if mode == 4 and not psl >> 16 & 31 else psl


def _random_entry(source: random.Random, frame: int) -> int:
    """An entry of a page table: mostly valid, and open to all."""
    protection = ALL if source.random() < 0.6 else source.randrange(16)
    valid, modified = source.random() < 0.9, source.random() < 0.6
    return valid << 31 | protection << 27 | modified << 26 | frame


def _tables(source: random.Random) -> dict[int, int]:
    """P0 as in physical memory; P1 and system space from page 2 on are the pages of operands."""
    memory = {P0_TABLE + 4 * page: 0x9400_0000 | ALL << 27 | page for page in range(48)}
    for page in (*range(DATA >> 9, (DATA >> 9) + 2), *range(40, 45)):
        memory[P0_TABLE + 4 * page] = _random_entry(source, page)
    for page in range(2):
        memory[P1_TABLE + 4 * page] = _random_entry(source, (DATA >> 9) + page)
        memory[SYSTEM_TABLE + 8 + 4 * page] = _random_entry(source, (DATA >> 9) + page)
    memory[SYSTEM_TABLE] = 0x8000_0000 | ALL << 27 | P0_TABLE >> 9
    memory[SYSTEM_TABLE + 4] = _random_entry(source, P1_TABLE >> 9)
    return memory


def _random_state(code: bytes, source: random.Random, returning: bool) -> Case:
    memory = {a: _random_long(source) for span in WINDOWS for a in range(span.start, span.stop, 4)}
    psl = _random_psl(source)
    ipl = psl >> 16 & 31
    stacks = {name: top - 4 * source.randrange(3) for name, top in STACKS.items()}
    for top in stacks.values():
        memory |= {top + 4 * i: _random_long(source) for i in range(-2, 2)}
        if returning or source.random() < 0.3:
            memory[top + 4] = _random_psl(source) ^ (source.random() < 0.2) << source.randrange(31)
    mapped = source.random() < 0.6
    control = {"SCBB": SCB, "PCBB": PCB, "ASTLVL": source.randrange(5), "MAPEN": int(mapped)}
    control |= {"SBR": SYSTEM_TABLE, "SLR": source.choice((4, 4, 4, 3))}
    control |= {"P0BR": SYSTEM, "P0LR": TABLE}
    control |= {"P1BR": SYSTEM + 0x200, "P1LR": source.choice((0, 0, 0, 1))}
    memory |= _tables(source) if mapped else {}
    software = source.getrandbits(16) & ~1 & ((2 << min(ipl, 15)) - 1)
    general = tuple(_random_long(source) for _ in range(14))
    return Case(code, general, psl, stacks, memory, control, software)


# --------------------------------------------------------------------------- known differences


def lacks(machine: Described, case: Case, expected: Expectation) -> Mapping[str, int] | None:
    """What the description leaves out, and what the manual leaves open.

    The simulator stops where the description waits, and where CHM is executed on the interrupt stack. It
    has more processor registers, references that cross pages, compatibility mode (on the 780), and
    indexed immediate and written immediate operands, which the architecture leaves open. A kernel
    stack that is not valid shows the PSL of the exception that did not succeed. The interval clock and the time of day are its own. A privileged instruction
    looks at its operands first, so those may trap. Instructions on queues check all that they will
    write before they read, and EDIV whether it can write the remainder before the quotient; CASE
    sets the condition codes before it looks into its table.
    The address of a stack that CHM finds out of reach is that of its last byte there, as is that of
    a quadword. SIMH 3.8 keeps the two high bits of physical addresses, takes ASTLVL with all its bits
    and SIRR as a signed number, and looks only at the 22 low bits of what is written to P1LR. Its PROBEW marks a valid page as modified, which the architecture
    allows and the description does not do.
    """
    fields = expected.decoded.fields
    name = expected.name
    if isinstance(expected.outcome, Retired) and expected.outcome.waiting:
        return None
    if expected.cause == "split" or expected.lost:
        return None
    if expected.cause == "reserved_addressing_mode" and _has(machine, expected, IMMEDIATE):
        return None
    plain = ("reg",) if name.startswith("MFPR") else PLAIN
    if expected.cause == "reserved_instruction" and not _has(machine, expected, plain, every=True):
        return None
    match name:
        case "MTPR" | "MFPR" if fields["r"] in (19, 20, 24, 27):
            return None
        case "MTPR" if fields["r"] == 11 and expected.cause == "reserved_operand":
            return None
        case "MTPR to no register" | "MFPR from no register":
            return None if case.mode in (0, 4) else {}
        case "MTPR computed" | "MFPR computed" if case.mode in (0, 4):
            if expected.cause == "reserved_operand":
                return None
            if name.startswith("MTPR") and _register_number(case, expected) in (19, 20, 24, 27):
                return None
            return dict.fromkeys(("PCBB", "SCBB", "SBR"), 3 << 30)
        case "PROBEW":
            return {MODIFIED: 1}
        case "CHMK" | "CHME" | "CHMS" | "CHMU" if expected.cause in MEMORY_FAULTS:
            return None
        case "MOVQ" | "CLRQ" | "ASHQ" | "EMUL" | "EDIV" if expected.cause in MEMORY_FAULTS:
            return None
        case "INSQUE" | "REMQUE" | "CASEB" | "CASEW" | "CASEL" if expected.cause in MEMORY_FAULTS:
            return None
        case "REI" if _popped_psl(machine, case) >> 31:
            return None
    return dict.fromkeys(("PCBB", "SCBB", "SBR"), 3 << 30)


def _has(
    machine: Described, expected: Expectation, wanted: tuple[str, ...], every: bool = False
) -> bool:
    """Are some, or all, of the operands in one of these forms?"""
    names = {o.name: {a.tag: a.name for a in o.alternatives} for o in machine.isa.operands}
    found = [
        names[parameter.type.operand][expected.decoded.fields[f"{parameter.name}.tag"]] in wanted
        for parameter in expected.decoded.instruction.parameters
        if isinstance(parameter.type, OperandRef)
    ]
    return all(found) if every else any(found)


def _register_number(case: Case, expected: Expectation) -> int | None:
    """The number of the processor register that an instruction finds in a general one."""
    number = expected.decoded.fields.get("r.reg.n")
    return None if number is None or number > 13 else case.general[number]


def _popped_psl(machine: Described, case: Case) -> int:
    state = machine.state(case)
    top = case.stacks[("KSP", "ESP", "SSP", "USP", "ISP")[case.mode]]
    return sum(state.cells[top + 4 + i & 0x3FFF_FFFF] << 8 * i for i in range(4))


# --------------------------------------------------------------------------- comparison


def bench(machine: Described) -> Bench[Case, Expectation, After]:
    return Bench(
        machine.run,
        lambda case, expected: lacks(machine, case, expected),
        Simh(machine).run,
        lambda case, expected, seen, free: differences(machine, case, expected, seen, free),
        _simpler,
        story,
    )


def _simpler(case: Case) -> list[Case]:
    kept = [a for a in case.memory if not SYSTEM_TABLE <= a < PCB]  # the tables stay
    plain = [replace(case, general=(0,) * 14), replace(case, software=0)]
    plain += [replace(case, psl=case.psl & ~(1 << bit)) for bit in range(8) if case.psl >> bit & 1]
    for size in (len(kept) // 2, len(kept) // 4, len(kept) // 8, 1):
        for start in range(0, len(kept), max(size, 1)):
            gone = set(kept[start : start + size])
            left = {a: v for a, v in case.memory.items() if a not in gone}
            plain.append(replace(case, memory=left))
    for i, value in enumerate(case.general):
        for lesser in (0, 1, value & -value):
            if lesser < value:
                general = (*case.general[:i], lesser, *case.general[i + 1 :])
                plain.append(replace(case, general=general))
    return [candidate for candidate in plain if candidate != case]


def story(case: Case, expected: Expectation, found: dict[str, str]) -> str:
    before = [f"R{i}={value:x}" for i, value in enumerate(case.general) if value]
    before += [f"[{a:x}]={v:x}" for a, v in case.memory.items() if v]
    before += [f"PSL={case.psl:08x}", f"{dict(case.stacks)} {dict(case.control)}"]
    fields = {k: v for k, v in expected.decoded.fields.items() if v}
    lines = [f"{expected.name}: {case.code.hex()} {expected.cause} {fields}", " ".join(before)]
    return "\n".join(lines + [f"  {name}: {text}" for name, text in found.items()])


def campaign(machine: Described, each: int, seed: int) -> Counter[tuple[str, bool]]:
    """Compare `each` cases of every instruction; how many were, by instruction and in kernel mode."""
    source = random.Random(seed)
    cases = [asked_case(machine, i, source) for i in machine.isa.instructions for _ in range(each)]
    return bench(machine).campaign(cases, BATCH, lambda c, e: (e.name, c.mode in (0, 4)))


needs_simh = pytest.mark.skipif(shutil.which("vax780") is None, reason="SIMH is not installed")


@needs_simh
def test_every_instruction_does_in_every_mode_what_simh_does() -> None:
    machine = described()

    count = campaign(machine, 7, 2)

    compared = {name for name, _ in count}
    silent = {i.name for i in machine.isa.instructions} - compared
    assert silent <= {"MTPR to no register", "MFPR from no register", "HALT"}
    assert sum(count.values()) > 600


@needs_simh
@pytest.mark.deep
def test_twenty_thousand_instructions_do_what_simh_does() -> None:
    """`pytest -m deep tests/test_oracle_vax.py`: half of the steps are in kernel mode."""
    machine = described()

    count = campaign(machine, 140, 2)

    privileged = sum(n for (_, kernel), n in count.items() if kernel)
    assert sum(count.values()) >= 20_000
    assert privileged >= 10_000
