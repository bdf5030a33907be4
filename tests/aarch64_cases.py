"""Random instructions and states for the AArch64 oracle test, biased to edges."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

from spec.ir import FieldType, Instruction, Isa, OperandRef, Parameter
from tests.aarch64_oracles import (
    CODE_PAGE,
    DATA_PAGES,
    EL0,
    EL1H,
    EL1T,
    EL2H,
    EL2T,
    FIELDS,
    HARNESS,
    LOWER_TABLES,
    PSTATE,
    TABLES,
    Case,
    Described,
    element_names,
    pstate,
    register,
)

EDGES = (
    0,
    1,
    2,
    8,
    63,
    64,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**32,
    2**63 - 1,
    2**63,
    2**64 - 2,
    2**64 - 1,
)
MODES = (EL0, EL0, EL0, EL0, EL1H, EL1H, EL1T, EL2H, EL2H, EL2T)
UPPER = 2**64 - 2**30
# Where code and data may lie for a program: these blocks of 2 MiB, below and above.
CODE_BLOCKS, DATA_BLOCKS, HARNESS_BLOCK = (0, 0x1F9), (1, 0x1FA), HARNESS >> 21
RARE = {"HCR_EL2": 0.08, "SCTLR_EL1.WXN": 0.15, "SCTLR_EL2.WXN": 0.15, "TCR_EL1": 0.05}


def random_case(machine: Described, instruction: Instruction, source: random.Random) -> Case:
    """The instruction with random operands, and a random state."""
    for _ in range(2000):
        fields = dict(_random_fields(machine.isa, instruction.parameters, "", source))
        try:
            word = _word(machine.codec.encode(instruction, fields))
        except ValueError:  # the constraint excludes these operands
            continue
        words = (*_reserving(machine, instruction, fields, source), word)
        return _random_state(machine, instruction, fields, words, source)
    raise AssertionError(f"no operands found for {instruction.name}")


def _word(cells: tuple[int, ...]) -> int:
    return int.from_bytes(bytes(cells), "little")


def _reserving(
    machine: Described, instruction: Instruction, fields: Mapping[str, int], source: random.Random
) -> tuple[int, ...]:
    """Before a STXR, as a rule, the LDXR that makes it succeed."""
    if not instruction.name.startswith("STXR") or source.random() < 0.3:
        return ()
    (reserve,) = [i for i in machine.isa.instructions if i.name == f"LD{instruction.name[2:]}"]
    free = next(t for t in range(4) if t not in (fields["s"], fields["t"], fields["n"]))
    return (_word(machine.codec.encode(reserve, {"t": free, "n": fields["n"], "acquire": 0})),)


def _random_fields(
    isa: Isa, parameters: tuple[Parameter, ...], prefix: str, source: random.Random
) -> Iterator[tuple[str, int]]:
    for parameter in parameters:
        path = prefix + parameter.name
        match parameter.type:
            case FieldType(width, values):
                if values:
                    yield path, source.choice(values)[1]
                elif parameter.name == "v" and width == 12 and source.random() < 0.7:
                    yield path, source.getrandbits(5)
                elif parameter.name == "o" and width == 21 and source.random() < 0.7:
                    yield path, 4 * source.randrange(-128, 128) & (1 << 21) - 1
                else:
                    yield path, source.getrandbits(width)
            case OperandRef(operand, tags):
                tag = source.choice(tags)
                yield f"{path}.tag", tag
                (found,) = [o for o in isa.operands if o.name == operand]
                (chosen,) = [a for a in found.alternatives if a.tag == tag]
                yield from _random_fields(isa, chosen.parameters, f"{path}.{chosen.name}.", source)


def _random_state(
    machine: Described,
    instruction: Instruction,
    fields: Mapping[str, int],
    words: tuple[int, ...],
    source: random.Random,
) -> Case:
    state = {name: _random_word(source) for name in element_names()}
    state |= {name: source.getrandbits(1) for name in PSTATE} | {"EL": source.choice(MODES)}
    for name, parts in FIELDS.items():
        for each in parts:
            chance = RARE.get(f"{name}.{each}", RARE.get(name, 0.5))
            state[f"{name}.{each}"] = int(source.random() < chance)
    state["TTBR0_EL1"], state["TTBR1_EL1"], state["TTBR0_EL2"] = (
        table | (source.getrandbits(16) << 48 if table != TABLES[2] else 0) for table in TABLES
    )
    if source.random() < 0.02:
        state["TTBR0_EL1"] |= 1 << 33
    for name in ("SPSR_EL1", "SPSR_EL2"):
        state[name] = random_status(source)
    for name in ("VBAR_EL1", "VBAR_EL2"):
        state[name] &= ~0x7FF
    for name in ("ESR_EL1", "ESR_EL2", "CONTEXTIDR_EL1", "VPIDR_EL2"):
        state[name] &= 0xFFFF_FFFF
    state["CSSELR_EL1"] = 2 * source.randrange(2)
    offset = 4 * source.randrange(16, 1000)
    level = state["EL"] >> 2
    if level == 1:
        state["HCR_EL2.TGE"] = 0
    if state["HCR_EL2.TGE"] == 1:  # QEMU translates below EL2 all the same
        state["SCTLR_EL1.M"] = 0
    mapped = _translated(state)
    blocks = source.choice(CODE_BLOCKS) if mapped else 0
    upper = UPPER if mapped and level < 2 and source.random() < 0.4 else 0
    state["PC"] = upper | blocks << 21 | CODE_PAGE | offset
    case = Case(words, CODE_PAGE | offset, state, _random_tables(source))
    case = _sane(machine.isa, instruction, fields, _data_in_reach(machine, case, source), source)
    if level == 2:
        return case
    return replace(
        case, state={**case.state, "SPSR_EL2": pstate(case.state), "ELR_EL2": case.state["PC"]}
    )


def _translated(state: Mapping[str, int]) -> bool:
    if state["EL"] >> 2 == 2:
        return state["SCTLR_EL2.M"] == 1
    return state["SCTLR_EL1.M"] == 1 and state["HCR_EL2.TGE"] == 0


def _random_word(source: random.Random) -> int:
    kind = source.random()
    if kind < 0.15:
        return source.choice(EDGES)
    if kind < 0.35:
        return source.getrandbits(64)
    offset = source.choice((source.randrange(0x100, 0x1F00), 0xFF0 + source.randrange(16)))
    aligned = offset & -source.choice((1, 4, 8, 8, 16, 16, 16))
    block = source.choice((DATA_BLOCKS[0], *DATA_BLOCKS))
    return (UPPER if source.random() < 0.3 else 0) | block << 21 | aligned


def random_status(source: random.Random) -> int:
    """As a rule of a state that exists; never one of AArch32, which QEMU's processor has too."""
    mode = source.choice((*MODES, *MODES, source.getrandbits(4)))
    return source.getrandbits(32) & 0xF000_03C0 | mode | int(source.random() < 0.1) << 20


def _random_tables(source: random.Random) -> dict[int, int]:
    memory: dict[int, int] = {}
    lower = iter(LOWER_TABLES)
    for table in TABLES:
        memory[table + 8 * HARNESS_BLOCK] = HARNESS | 1 << 10 | 3 << 6 | 1
        for blocks, pages in ((CODE_BLOCKS, (0x100,)), (DATA_BLOCKS, (0, 1))):
            target, below = pages[0] << 12 & 0x20_0000, next(lower)
            if blocks is DATA_BLOCKS:
                target = DATA_PAGES[0]
            for block in blocks:
                shape = source.random()
                if shape < 0.45:
                    entry = target | _random_rights(source) | 1
                elif shape < 0.97:
                    entry = below | _random_limits(source) | 3
                else:
                    entry = source.choice((0, 2))
                memory[table + 8 * block] = entry
            for page in pages:
                frame = CODE_PAGE if page == 0x100 else DATA_PAGES[page]
                good = source.random() < 0.96
                kind = 3 if good else source.choice((0, 1, 2))
                memory[below + 8 * page] = frame | _random_rights(source) | kind
    return memory


def _random_rights(source: random.Random) -> int:
    """AP, UXN, PXN, AF; mostly all rights, and rarely an address that is too large."""
    ap = source.choice((1, 1, 1, 3, source.randrange(4)))
    never = sum(1 << bit for bit in (53, 54) if source.random() < 0.12)
    flag = int(source.random() < 0.96) << 10
    return never | flag | ap << 6 | int(source.random() < 0.02) << 34


def _random_limits(source: random.Random) -> int:
    """APTable, UXNTable, PXNTable."""
    return sum(1 << bit for bit in (59, 60, 61, 62) if source.random() < 0.06)


def _data_in_reach(machine: Described, case: Case, source: random.Random) -> Case:
    """Try some states until the instruction stays within data pages."""
    for _ in range(6):
        if machine.run(case).within:
            break
        fresh = {n: _random_word(source) for n in case.state if n.startswith(("X[", "SP_"))}
        case = replace(case, state={**case.state, **fresh})
    return case


def _sane(
    isa: Isa,
    instruction: Instruction,
    fields: Mapping[str, int],
    case: Case,
    source: random.Random,
) -> Case:
    """What MSR writes leaves QEMU in AArch64, with tables as they are described."""
    if instruction.name != "MSR" or fields["t"] == 31:
        return case
    (parameter,) = [p for p in instruction.parameters if p.name == "r"]
    assert isinstance(parameter.type, FieldType)
    name = {value: name for name, value in parameter.type.values}[fields["r"]]
    value = None
    if name in FIELDS:
        random_state = {f"{name}.{e}": source.getrandbits(1) for e in FIELDS[name]}
        value = register(random_state, name)
    elif name == "TCR_EL2":
        value = 0x8080_0022
    elif name in ("SPSR_EL1", "SPSR_EL2"):
        value = random_status(source)
    if value is None:
        return case
    return replace(case, state={**case.state, f"X[{fields['t']}]": value})
