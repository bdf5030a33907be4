"""The description of IA-32 against Bochs, QEMU and v86, which share no code with it or each other.

Random instructions on random states in all four rings, each followed to the first instruction of
the handler that its own trap, or the INT3 after it, leads to; registers, flags, selectors, system
registers, vector and all memory touched are compared. What the manual leaves open is left out.
"""

import os
import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import pytest

from spec.ir import Isa, TrapClass
from spec.load import load
from tests.ia32_emulators import (
    ARENA,
    ARENA_BYTES,
    REGISTER_BYTES,
    Emulator,
    bochs,
    missing_program,
    qemu,
    v86,
)
from tests.ia32_records import DATA_SEGMENTS, GDT_BYTES, LDT_BYTES, Model, Trial

ISAS = Path(__file__).parent.parent / "isas" / "x86"
SEED = int(os.environ.get("IA32_SEED", "1"))
OPEN_VALUES = {"RDTSC", "CPUID", "RDPMC", "IN AL", "IN EAX", "RDMSR"}
_RF_BYTE = 2  # of EFLAGS in the frame


@dataclass(frozen=True, slots=True)
class Erratum:
    """Where an emulator is known to differ from the manual; `reason` says how.

    `ignored` names values that are not compared, `arena` the memory, `vector` everything.
    """

    emulator: str
    instructions: tuple[str, ...]  # beginnings of names; empty: all
    reason: str
    ignored: tuple[str, ...]
    causes: tuple[str, ...] = ()  # only where the description says so ("": retires); empty: always
    trap_class: TrapClass | None = None

    def fits(self, emulator: str, test: Trial) -> bool:
        named = not self.instructions or test.instruction.name.startswith(self.instructions)
        caused = not self.causes or test.expected.cause in self.causes
        classed = self.trap_class in (None, test.expected.trap_class)
        return self.emulator == emulator and named and caused and classed


NOT_DESCRIBED = (0x1, 0x4, 0x5, 0x9)  # types of descriptors: TSS, 16-bit call gate, task gate

FAR = ("JMP", "CALL", "RETF", "IRETD")

ERRATA = (
    Erratum("QEMU", (), "knows no segment limits and types", ("all",), trap_class=TrapClass.MEMORY),
    Erratum("QEMU", (), "leaves RF 0 in the frame of a fault", ("RF",)),
    Erratum("QEMU", FAR, "does not set the accessed bit of a code segment", ("accessed",)),
    Erratum("QEMU", ("RET imm16", "RETF imm16"), "takes imm16 as signed", ("ESP", "arena")),
    Erratum("QEMU", ("IRETD",), "does not load VIF and VIP at level 0", ("EFLAGS", "arena")),
    Erratum("QEMU", ("CLI", "STI"), "does not know CR4.PVI here", ("all",), ("",)),
    Erratum("QEMU", ("MOV DRn, r32",), "lets bit 12 of DR6 and DR7 be set", ("DR6", "DR7")),
    Erratum(
        "QEMU",
        ("MOV DRn, r32", "MOV r32, DRn"),
        "finds the level wrong before it finds that CR4.DE takes DR4 and DR5 away",
        ("all",),
        ("ud",),
    ),
    Erratum(
        "QEMU",
        ("MOV CRn, r32",),
        "takes PG without PE, and reserved bits of CR4",
        ("all",),
        ("gp",),
    ),
    Erratum("QEMU", ("LTR",), "takes a null selector", ("all",), ("gp",)),
    Erratum("QEMU", ("RDPMC",), "has no performance counters (#UD)", ("all",)),
    Erratum(
        "Bochs",
        ("CALL",),
        "pushes before it finds the target beyond the limit",
        ("arena",),
        trap_class=TrapClass.MEMORY,
    ),
    Erratum(
        "Bochs", ("POP Sreg", "POP FS/GS"), "reads only a word of the stack", ("all",), ("ss",)
    ),
    Erratum(
        "Bochs", ("PUSHAD",), "pushes until it finds the end of the stack", ("arena",), ("ss",)
    ),
    Erratum("v86", (), "knows no segment limits and types", ("all",), trap_class=TrapClass.MEMORY),
    Erratum("v86", (), "leaves RF 0 in the frame of a fault", ("RF",)),
    Erratum("v86", FAR, "does not set the accessed bit of a code segment", ("accessed",)),
    Erratum("v86", FAR, "checks less", ("all",), ("gp", "np", "ss", "ts")),
    Erratum("v86", ("IRETD",), "does not load VIF and VIP at level 0", ("EFLAGS", "arena")),
    Erratum("v86", ("LLDT", "LTR", "INT n"), "panics", ("all",), ("gp", "np")),
    Erratum(
        "v86",
        ("MOV Sreg, r/m16",),
        "reads the operand before it finds that CS cannot be loaded",
        ("all",),
        ("ud",),
    ),
    Erratum("v86", ("INVLPG",), "refuses what a segment does not allow", ("all",)),
    Erratum("v86", ("BOUND",), "lets some indices pass", ("all",), ("br",)),
    Erratum("v86", ("INVD",), "has no INVD (#UD)", ("all",)),
    Erratum("v86", ("RDPMC",), "has no performance counters (#UD)", ("all",)),
    Erratum("v86", ("MOV DRn, r32",), "keeps no fixed bits of DR6 and DR7", ("DR6", "DR7")),
    Erratum(
        "v86",
        ("MOV DRn, r32", "MOV r32, DRn"),
        "finds the level wrong before it finds that CR4.DE takes DR4 and DR5 away",
        ("all",),
        ("ud",),
    ),
    Erratum("v86", ("MOV CRn, r32",), "knows fewer bits of CR4", ("all",)),
    Erratum("v86", ("CLI", "STI"), "has no CR4.PVI", ("all",)),
)


def ignored(emulator: str, test: Trial) -> set[str]:
    return {name for e in ERRATA if e.fits(emulator, test) for name in e.ignored}


def not_described(test: Trial) -> bool:
    """Whether a far transfer comes to what the description says it refuses, unlike the processor:

    the selector in the error code of its #GP is of a task gate, a 16-bit gate or a TSS at its level.
    """
    expected = test.expected
    if not test.instruction.name.startswith(("JMP", "CALL")) or expected.cause != "gp":
        return False
    (selector,) = struct.unpack_from("<H", expected.arena, expected.image_at - 12 - ARENA)
    if selector & ~7 >= (LDT_BYTES if selector & 4 else GDT_BYTES):
        return False
    found = test.setup.descriptor(selector)
    return found >> 40 & 0x1F in NOT_DESCRIBED and found >> 45 & 3 >= test.setup.ring


def found_values(result: bytes) -> dict[str, int]:
    """What a result holds, by the names `Expected` uses."""
    words = struct.unpack("<21I", result[:84])
    names = ("EAX", "vector", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI")
    values = dict(zip(names, words, strict=False))
    segments = dict(zip(("ES", "SS", "DS", "FS", "GS"), words[9:14], strict=True))
    values |= {f"{name}_selector": segments[name] & 0xFFFF for name in DATA_SEGMENTS}
    values |= {"SS_index": segments["SS"] >> 2 & 0x3FFF, "EFLAGS": words[14]}
    values |= {"LDTR.selector": words[15] & 0xFFFF, "TR.selector": words[16] & 0xFFFF}
    values |= dict(zip(("CR0", "CR2", "CR3", "CR4"), words[17:21], strict=True))
    for name, at in (("GDTR", 84), ("IDTR", 92)):
        values[f"{name}.limit"], values[f"{name}.base"] = struct.unpack_from("<HI", result, at)
    debug = ("DR0", "DR1", "DR2", "DR3", "DR6", "DR7")
    return values | dict(zip(debug, struct.unpack_from("<6I", result, 100), strict=True))


def differences(test: Trial, result: bytes | None, left_out: set[str]) -> list[str]:
    """Where the emulator and the description part; `left_out` is not looked at."""
    if "all" in left_out:
        return []
    if result is None:
        return ["the emulator stops"]
    expected, values = test.expected, found_values(result)
    if values["vector"] != expected.vector:
        return [f"vector {values['vector']}, not {expected.vector}"]
    if not expected.cause and test.instruction.name in OPEN_VALUES:
        left_out = left_out | {"EAX", "ECX", "EDX", "EBX"}
    report = [
        f"{name} is {values[name]:#x}, not {value:#x}"
        for name, (value, mask) in expected.values.items()
        if name not in left_out and (values[name] ^ value) & mask & 0xFFFFFFFF
    ]
    if "arena" in left_out:
        return report
    for at in range(ARENA_BYTES):
        mask = expected.arena_mask[at]
        if "RF" in left_out and ARENA + at == expected.image_at + _RF_BYTE:
            mask &= ~1
        if "accessed" in left_out and at < GDT_BYTES + LDT_BYTES and at % 8 == 5:
            mask &= ~1
        found = result[REGISTER_BYTES + at]
        if (found ^ expected.arena[at]) & mask:
            report.append(f"memory {ARENA + at:#x} is {found:#04x}, not {expected.arena[at]:#04x}")
    return report


def explain(emulator: str, test: Trial, found: Sequence[str]) -> str:
    """One instruction, one state, and what differs."""
    setup = test.setup
    registers = " ".join(f"{value:x}" for value in setup.registers)
    selectors = ", ".join(
        f"{name}={selector:x} ({setup.descriptor(selector):016x})"
        for name, selector in setup.selectors.items()
    )
    fields = {name: value for name, value in test.fields.items() if value}
    outcome = test.expected.cause or "retires"
    return "\n  ".join(
        [
            f"{emulator}: {test.instruction.name} [{test.code.hex()}] {fields} {outcome}",
            f"ring {setup.ring} eip {setup.eip:x} eflags {setup.eflags:x} "
            f"cr0 {setup.cr0:x} cr4 {setup.cr4:x}",
            f"eax..edi {registers}",
            selectors,
            *found[:8],
        ]
    )


def disagreements(emulator: Emulator, tests: Sequence[Trial]) -> list[str]:
    """Explanations, the simplest for each instruction first."""
    compared = [test for test in tests if not not_described(test)]
    asked = [test for test in compared if "all" not in ignored(emulator.name, test)]
    results = emulator.run([test.setup.record() for test in asked])
    first: dict[str, str] = {}
    for test, result in sorted(
        zip(asked, results, strict=True), key=lambda pair: (len(pair[0].code), pair[0].code)
    ):
        found = differences(test, result, ignored(emulator.name, test))
        if found:
            first.setdefault(test.instruction.name, explain(emulator.name, test, found))
    return list(first.values())


def draw(isa: Isa, per_instruction: int, seed: int, names: Sequence[str] = ()) -> Iterator[Trial]:
    """`per_instruction` tests of every instruction (of those named)."""
    model = Model(isa)
    seeds = random.Random(seed)
    for instruction in isa.instructions:
        if names and instruction.name not in names:
            continue
        found = 0
        for _ in range(per_instruction * 20):
            test = model.test(instruction, seeds.getrandbits(64))
            if test is not None:
                found += 1
                yield test
            if found == per_instruction:
                break
        assert found, f"no test of {instruction.name}"


def description(name: str) -> Isa:
    loaded = load(str(ISAS / name))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def emulator_or_skip(name: str, *, umip: bool = False) -> Emulator:
    if (program := missing_program()) is not None:
        pytest.skip(f"{program} (binutils) is not installed")
    emulator = {
        "Bochs": lambda: bochs("corei3_cnl" if umip else "p3_katmai"),
        "QEMU": lambda: qemu("max" if umip else "pentium3"),
        "v86": v86,
    }[name]()
    if emulator is None:
        pytest.skip(f"{name} is not installed")
    return emulator


@pytest.fixture(scope="module")
def ia32() -> Isa:
    return description("ia32.isa")


@pytest.fixture(scope="module")
def sample(ia32: Isa) -> tuple[Trial, ...]:
    return tuple(draw(ia32, 3, SEED))


@pytest.mark.parametrize("name", ["Bochs", "QEMU", "v86"])
def test_the_description_agrees_with_an_emulator_on_every_instruction(
    name: str, sample: tuple[Trial, ...]
) -> None:
    emulator = emulator_or_skip(name)

    found = disagreements(emulator, sample)

    assert not found, "\n".join(found)


def test_what_xadd_writes_first_is_no_part_of_the_address_of_the_rest(ia32: Isa) -> None:
    emulator = emulator_or_skip("Bochs")
    shared = [test for test in draw(ia32, 300, SEED, ("XADD",)) if _bases_on_its_source(test)]

    found = disagreements(emulator, shared)

    assert not found, "\n".join(found)
    assert {test.expected.cause for test in shared} >= {"", "gp"}


def _bases_on_its_source(test: Trial) -> bool:
    """Whether the address adds a displacement to the register that XADD exchanges."""
    bases = [test.fields[f"dst.mem.m.at.a.{form}.b"] for form in ("base", "base8", "base32")]
    form = test.fields["dst.mem.m.at.a.tag"]
    return test.fields["dst.tag"] == 1 and form < 3 and bases[form] == test.fields["src"]


@pytest.mark.parametrize("name", ["Bochs", "QEMU"])
def test_with_umip_the_description_agrees_with_an_emulator(name: str) -> None:
    emulator = emulator_or_skip(name, umip=True)
    five = ("SGDT", "SIDT", "SLDT", "STR", "SMSW")
    tests = list(draw(description("ia32_umip.isa"), 30, SEED, five))

    found = disagreements(emulator, tests)

    assert not found, "\n".join(found)
    refused = {t.instruction.name for t in tests if t.expected.trap_class is TrapClass.PRIVILEGE}
    assert refused == set(five)


def test_a_wrong_description_is_noticed(ia32: Isa) -> None:
    """Swap what two instructions of one shape do: each must be told from the other."""
    emulator = emulator_or_skip("Bochs")
    swapped = dict(_pairs(("ADD r32, r/m32", "SUB r32, r/m32"), ("VERR", "VERW"), ("LAR", "LSL")))
    swapped |= dict(_pairs(("PUSHFD", "NOP"), ("CLI", "STI"), ("SLDT", "STR"), ("RET", "RETF")))
    bodies = {i.name: i.body for i in ia32.instructions}
    wrong = replace(
        ia32,
        instructions=tuple(
            replace(i, body=bodies[swapped.get(i.name, i.name)]) for i in ia32.instructions
        ),
    )
    tests = list(draw(wrong, 40, SEED, tuple(swapped)))

    found = disagreements(emulator, tests)

    noticed = {name for name in swapped if any(f"Bochs: {name} [" in text for text in found)}
    assert noticed == set(swapped)


def _pairs(*names: tuple[str, str]) -> Iterator[tuple[str, str]]:
    for left, right in names:
        yield left, right
        yield right, left


def outcomes(tests: Sequence[Trial]) -> Mapping[str, set[str]]:
    """How often each instruction retired and trapped, by cause."""
    seen: dict[str, set[str]] = {}
    for test in tests:
        seen.setdefault(test.instruction.name, set()).add(test.expected.cause)
    return seen


def test_the_sample_reaches_every_way_an_instruction_ends(ia32: Isa) -> None:
    """What is sampled would otherwise say little: every far transfer succeeds and fails."""
    far = ("JMP ptr16:32", "CALL ptr16:32", "RETF", "IRETD", "MOV Sreg, r/m16", "LLDT", "LTR")

    seen = outcomes(list(draw(ia32, 80, SEED, far)))

    assert {name: causes >= {"", "gp"} for name, causes in seen.items()} == dict.fromkeys(far, True)


@lru_cache(maxsize=1)
def long_sample(seed: int) -> tuple[Trial, ...]:
    return tuple(draw(description("ia32.isa"), 40, seed))


@pytest.mark.deep
@pytest.mark.parametrize("name", ["Bochs", "QEMU", "v86"])
@pytest.mark.parametrize("seed", range(SEED, SEED + 8))
def test_the_description_agrees_with_an_emulator_at_length(name: str, seed: int) -> None:
    """`python -m pytest -m deep tests/test_oracle_ia32.py`: what a seed draws is drawn once."""
    emulator = emulator_or_skip(name)

    found = disagreements(emulator, long_sample(seed))

    assert not found, "\n".join(found)
