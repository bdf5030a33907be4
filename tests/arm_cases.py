"""Random instructions and states for the ARM oracle test, biased to edges."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace

from spec.ir import FieldType, Instruction, Isa, OperandRef, Parameter
from tests.arm_oracles import (
    CODE_PAGE,
    DATA_PAGES,
    FLAGS,
    HARNESS,
    MODES,
    SCTLR_BITS,
    SECOND_LEVEL,
    TABLES,
    USER,
    Case,
    Described,
    element_names,
)

EDGES = (0, 1, 2, 3, 4, 31, 32, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFE, 0xFFFF_FFFF)
OWN_DOMAIN = 15  # of the harness's section: no checks
# Where code and data may lie for a program: these megabytes, in supersections too.
CODE_SECTIONS = (0x001, 0x7F1, 0x801, 0xFF1)
DATA_SECTIONS = (0x002, 0x7F2, 0x802, 0xFF2)

_STATUS_FIELDS = (2, 3, 16, 17, 18, 19, 23, 27, 31)


def random_case(machine: Described, instruction: Instruction, source: random.Random) -> Case:
    """The instruction with random operands, and a random state."""
    for _ in range(2000):
        fields = dict(_random_fields(machine.isa, instruction.parameters, "", source))
        if "k" in fields and source.random() < 0.8:
            fields["k"] = 14
        try:
            (word,) = _words(machine.codec.encode(instruction, fields))
        except ValueError:  # the constraint excludes these operands
            continue
        words = (*_reserving(machine, instruction, fields, source), word)
        return _random_state(machine, instruction, fields, words, source)
    raise AssertionError(f"no operands found for {instruction.name}")


def _reserving(
    machine: Described, instruction: Instruction, fields: Mapping[str, int], source: random.Random
) -> tuple[int, ...]:
    """Before a STREX, as a rule, the LDREX that makes it succeed."""
    if not instruction.name.startswith("STREX") or source.random() < 0.3:
        return ()
    (reserve,) = [i for i in machine.isa.instructions if i.name == f"LD{instruction.name[2:]}"]
    used = {fields[name] for name in "dtn"}
    free = [t for t in range(0, 13, 2) if not used & {t, t + 1}]
    return _words(machine.codec.encode(reserve, {"k": 14, "t": free[0], "n": fields["n"]}))


def _words(cells: tuple[int, ...]) -> tuple[int, ...]:
    image = bytes(cells)
    return tuple(int.from_bytes(image[i : i + 4], "little") for i in range(0, len(image), 4))


def _random_fields(
    isa: Isa, parameters: tuple[Parameter, ...], prefix: str, source: random.Random
) -> Iterator[tuple[str, int]]:
    for parameter in parameters:
        path = prefix + parameter.name
        match parameter.type:
            case FieldType(width, values):
                if values:
                    yield path, source.choice(values)[1]
                elif parameter.name == "mode":
                    yield path, source.choice((*MODES.values(), source.getrandbits(5)))
                elif parameter.name in ("v", "l") and width >= 8 and source.random() < 0.6:
                    yield path, source.getrandbits(width) & source.getrandbits(width) & 0x1F
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
    mode = USER if source.random() < 0.35 else source.choice(sorted(MODES.values()))
    mapped = source.random() < 0.6
    state = {name: _random_word(mapped, source) for name in element_names()}
    state |= dict.fromkeys(FLAGS, 0) | {name: source.getrandbits(1) for name in FLAGS}
    state |= {f"SCTLR.{name}": source.getrandbits(1) for name in SCTLR_BITS}
    state |= {f"SPSR_{m}": _random_status(source) for m in MODES if m not in ("usr", "sys")}
    state |= {"GE": source.getrandbits(4), "M": mode, "SCTLR.M": int(mapped)}
    state |= {"TTBR0": source.choice(TABLES) | source.getrandbits(7), "TTBR1": TABLES[1]}
    state |= {"TTBCR.N": source.choice((0, 0, 1, 2, 7)), "DACR": _random_domains(source)}
    state |= {"VBAR": state["VBAR"] & ~0x1F, "CSSELR": state["CSSELR"] & 0xF}
    state["PAR"] &= ~0x900  # QEMU keeps what PAR says of attributes
    offset = 4 * source.randrange(16, 1000)
    section = source.choice(CODE_SECTIONS) if mapped else CODE_PAGE >> 20
    state["PC"] = section << 20 | offset
    memory = _random_tables(source)
    case = Case(words, CODE_PAGE | offset, state, memory)
    case = _data_in_reach(machine, case, source)
    return _sane(instruction, fields, case, source)


def _random_word(mapped: bool, source: random.Random) -> int:
    kind = source.random()
    if kind < 0.15:
        return source.choice(EDGES)
    if kind < 0.35:
        return source.getrandbits(32)
    section = source.choice(DATA_SECTIONS) if mapped else DATA_PAGES[0] >> 20
    offset = source.choice((source.randrange(0x40, 0x1FC0), 0xFF0 + source.randrange(16)))
    return section << 20 | (offset & ~3 if source.random() < 0.8 else offset)


def _random_status(source: random.Random) -> int:
    """Of a mode that exists, in ARM state, as a rule."""
    mode = source.choice((*MODES.values(), *_STATUS_FIELDS, source.getrandbits(5)))
    high = source.getrandbits(32) & 0xF80F_03C0
    return high | mode | (source.random() < 0.05) << 5


def _random_domains(source: random.Random) -> int:
    """Of the domains that tables name: mostly with checks."""
    rights = [source.choice((1, 1, 1, 3, 0)) for _ in range(OWN_DOMAIN)]
    return sum(r << 2 * i for i, r in enumerate(rights)) | 3 << 2 * OWN_DOMAIN


def _random_tables(source: random.Random) -> dict[int, int]:
    memory: dict[int, int] = {}
    second = iter(SECOND_LEVEL)
    for table in TABLES:
        memory[table + 4 * (HARNESS >> 20)] = HARNESS | 3 << 10 | OWN_DOMAIN << 5 | 2
        for sections in (CODE_SECTIONS, DATA_SECTIONS):
            shape = source.random()
            coarse = next(second)
            for section in sections:
                target = (section & 0xF) << 20
                domain, rights = source.randrange(4) << 5, _random_rights(source)
                if shape < 0.45:
                    entry = target | domain | rights[0] | 2
                elif shape < 0.55:
                    entry = 1 << 18 | rights[0] | 2
                elif shape < 0.95:
                    entry = coarse | domain | 1
                else:
                    entry = source.choice((0, 3)) | domain
                memory[table + 4 * section] = entry
            memory |= _random_pages(coarse, sections[0] << 20, source)
    return memory


def _random_rights(source: random.Random) -> tuple[int, int, int]:
    """AP and XN where a section, a small and a large page have them; mostly all rights."""
    ap = source.choice((3, 3, 3, 3, source.randrange(8)))
    xn = source.random() < 0.15
    high, low = ap >> 2, ap & 3
    section = high << 15 | low << 10 | xn << 4
    return section, high << 9 | low << 4 | xn, high << 9 | low << 4 | xn << 15


def _random_pages(coarse: int, target: int, source: random.Random) -> dict[int, int]:
    """Two small pages or a large one that begin where the section does."""
    if source.random() < 0.3:
        entry = target | _random_rights(source)[2] | 1
        return {coarse + 4 * i: entry for i in range(16)}
    return {
        coarse + 4 * i: (target + 0x1000 * i) | _random_rights(source)[1] | 2
        if source.random() < 0.95
        else 0
        for i in range(2)
    }


def _data_in_reach(machine: Described, case: Case, source: random.Random) -> Case:
    """Try some states until the instruction stays within data pages."""
    for _ in range(4):
        if machine.run(case).within:
            break
        mapped = bool(case.state["SCTLR.M"])
        fresh = {
            name: _random_word(mapped, source)
            for name in case.state
            if name.startswith(("R", "SP_", "LR_"))
        }
        case = replace(case, state={**case.state, **fresh})
    return case


def _sane(
    instruction: Instruction, fields: Mapping[str, int], case: Case, source: random.Random
) -> Case:
    """What MCR writes leaves the harness mapped; indices of general registers stay small."""
    if instruction.name != "MCR":
        return case
    (register,) = [p for p in instruction.parameters if p.name == "r"]
    assert isinstance(register.type, FieldType)
    name = {value: name for name, value in register.type.values}[fields["r"]]
    value: int | None = None
    if name == "SCTLR":
        value = 0x00C5_0078 | sum(source.getrandbits(1) << bit for bit in SCTLR_BITS.values())
    elif name in ("TTBR0", "TTBR1"):
        value = source.choice(TABLES) | source.getrandbits(7)
    elif name == "TTBCR":
        value = source.randrange(8)
    elif name == "DACR":
        value = _random_domains(source)
    elif name in ("CPACR", "ACTLR"):
        value = 0
    return (
        case
        if value is None
        else replace(case, state={**case.state, **_seen(case, fields["t"], value)})
    )


def _seen(case: Case, number: int, value: int) -> dict[str, int]:
    """The elements of register `number` in the case's mode."""
    mode = {v: k for k, v in MODES.items()}[case.state["M"]]
    if number < 8:
        return {f"R[{number}]": value}
    if number < 13:
        return {f"R{number}_{'fiq' if mode == 'fiq' else 'usr'}": value}
    own = "usr" if mode == "sys" else mode
    return {f"{'SP' if number == 13 else 'LR'}_{own}": value}
