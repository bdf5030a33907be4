"""The MIPS32 of `isas/mips` does what QEMU's 24Kc does.

Random instructions (every one that the description has) in states biased to edges: user, supervisor and kernel mode, with
and without EXL and ERL, from all segments, with a random TLB. Compared: all registers, coprocessor 0, the TLB, memory. A
branch is run together with its delay slot. What is known to differ, and why, is said in `lacks`. Another
difference is shrunk to a plain state.
"""

import random
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from spec.ir import Instruction, TrapClass
from spec.load import load
from spec.outcome import Trapped
from tests.mips_oracles import (
    CODE_PAGE,
    DATA_PAGES,
    ENTRIES,
    NUMBERS,
    PROGRAM,
    SUPERVISOR,
    TABLE,
    USER,
    After,
    Case,
    Described,
    Expectation,
    Qemu,
    never_taken,
)

MIPS32 = Path(__file__).parent.parent / "isas" / "mips" / "mips32.isa"
ALL = 0xFFFF_FFFF
EDGES = (0, 1, 2, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, ALL, ALL - 1, 0xFFFF, 0x8000, 0xFFFF_8000)
NEAR = (0, 0, 0, 1, 2, 3, 4, 8, 0x7FC, 0xFFC, 0xFFE, 0xFFF)
MASKS = (0, 0, 0, 0, 3, 15)
SEGMENTS = {0: (0, 4, 5, 6, 7), SUPERVISOR: (0, 0, 6, 6, 4, 7), USER: (0, 0, 0, 0, 4, 5, 6)}
CAUSE, STATUS, PAGE_MASK, INDEX = 0x68, 0x60, 0x28, 0
CONTEXT_VPN, ENTRY_VPN = 0x007F_FFF0, 0xFFFF_E000
RELEASE_2 = 1 << 30 | 1 << 27 | 1 << 26 | 1 << 22  # bits of Cause: TI, DC, PCI; and WP
STATUS_MORE = 1 << 25 | 7 << 19  # RE, TS, SR, NMI
LO_MORE = 0xFC00_0000
FORMATS = (0, 2, 4, 6, 8, 16, 17, 20)  # of COP1 that every release has
VARIOUS = ("BEQ", "BNEL", "J", "JR", "JALR", "BGEZAL", "BLTZALL")

# --------------------------------------------------------------------------- cases


@cache
def described() -> Described:
    loaded = load(str(MIPS32))
    assert loaded.isa is not None, loaded.diagnostics
    return Described(loaded.isa)


class Draw:
    """One random case."""

    def __init__(self, machine: Described, instruction: Instruction, source: random.Random) -> None:
        self.machine, self.instruction, self.random = machine, instruction, source
        self.mode = source.choice((USER, USER, SUPERVISOR, 0, 0, 0))
        self.status = source.getrandbits(1) << 28 if source.random() < 0.3 else 0
        self.status |= source.getrandbits(1) << 22 | source.getrandbits(8) << 8 | self.mode << 3
        self.status |= source.getrandbits(1)
        if self.mode == 0 and source.random() < 0.4:
            self.status |= source.choice((2, 2, 4, 6)) | source.choice((0, USER, SUPERVISOR)) << 3
        self.pages: list[int] = []  # virtual addresses of pages of data
        self.registers: dict[str, int] = {}

    def case(self) -> Case:
        source, code = self.random, self._page()
        self._table(code)
        self._control()
        offset = source.choice((0, 4, 0x100, 0xFF0, 0xFF8, source.randrange(0x3FC) * 4))
        self.registers["PC"] = code | offset
        if source.random() < 0.01:
            self.registers["PC"] |= 2
        self.registers |= {f"r{n}": self._word() for n in range(1, 32)}
        self.registers |= {name: self._word() for name in ("HI", "LO")}
        slot = source.choice(self.machine.isa.instructions)
        while _branches(slot) or slot.name in ("ERET", "WAIT"):
            slot = source.choice(self.machine.isa.instructions)
        words = [self._encoded(self.instruction), self._encoded(slot)]
        place, steps = CODE_PAGE | offset, 1
        if self.instruction.name == "SC" and source.random() < 0.7:  # after the LL
            words, steps = [words[0] & ~(0x3F << 26 | 0x1F << 16) | 0x30 << 26, words[0]], 2
        elif _branches(self.instruction) or self.instruction.name in ("ERET", "WAIT"):
            pass
        elif source.random() < 0.15:  # in a delay slot
            by_name = {i.name: i for i in self.machine.isa.instructions}
            words = [self._encoded(by_name[source.choice(VARIOUS)]), words[0]]
        return Case(tuple(words), place, self.registers, steps)

    def _page(self) -> int:
        """A page of the mode's, in any segment that it may use, seldom in another."""
        segment = self.random.choice(SEGMENTS[self.mode])
        if segment in (4, 5):
            return segment << 29 | CODE_PAGE
        if segment == 0 and self.status & 4:
            return CODE_PAGE
        return segment << 29 | self.random.choice((0, 0x40_0000, 0x1FFF_F000, 0x2000))

    def _table(self, code: int) -> None:
        source = self.random
        asid = source.randrange(4)
        self.registers["EntryHi"] = source.choice((code, source.getrandbits(32))) & ENTRY_VPN | asid
        for _ in range(3):
            segment = source.choice(SEGMENTS[self.mode])
            inside = segment in (4, 5) or (segment == 0 and self.status & 4)
            pages = DATA_PAGES if inside else (0x3000, 0x40_2000, 0x1234_5000, 0x1FFF_E000)
            self.pages.append(segment << 29 | source.choice(pages))
        for n in range(ENTRIES):
            hi = source.choice((code, *self.pages, source.getrandbits(32))) & ENTRY_VPN
            mask = source.choice(MASKS) << 13
            here = asid if source.random() < 0.8 else source.randrange(4)
            self.registers |= {f"hi.{n}": hi | here, f"mask.{n}": mask}
            everyone = int(source.random() < 0.3)
            for half in ("lo0", "lo1"):
                own = (
                    code & 0xE000_0000 not in (0x8000_0000, 0xA000_0000) and hi == code & ENTRY_VPN
                )
                frame = CODE_PAGE if own else source.choice(DATA_PAGES)
                bits = source.choice((6, 6, 6, 2, 4, 0)) | source.getrandbits(3) << 3 | everyone
                self.registers[f"{half}.{n}"] = (frame & ~(mask >> 1)) >> 6 | bits

        for n, page in enumerate((code, *self.pages)):  # what is meant to be reached mostly is
            if source.random() < 0.8:
                frame = (CODE_PAGE if page == code else source.choice(DATA_PAGES)) >> 6
                self.registers |= {f"hi.{n}": page & ENTRY_VPN | asid, f"mask.{n}": 0}
                self.registers |= {f"lo0.{n}": frame | 6, f"lo1.{n}": frame | 6}

    def _control(self) -> None:
        source = self.random
        frames = [self.registers[f"lo0.{n}"] for n in range(ENTRIES)]
        values = {name: self._word() for name in ("Context", "Count", "Compare", "EPC", "ErrorEPC")}
        values |= {"Wired": source.randrange(ENTRIES), "Index": source.getrandbits(4)}
        values |= {"EntryLo0": source.choice(frames), "EntryLo1": source.choice(frames)}
        values |= {"PageMask": source.choice(MASKS) << 13, "Config": source.getrandbits(3)}
        values |= {"BadVAddr": self._word(), "Status": self.status}
        values["Cause"] = source.getrandbits(1) << 23
        if source.random() < 0.1:
            values["Cause"] |= source.getrandbits(2) << 8
        values["Context"] &= 0xFF80_0000
        self.registers |= values
        for name in ("EPC", "ErrorEPC"):
            self.registers[name] &= ~1  # or it would be MIPS16 code

    def _word(self) -> int:
        source = self.random
        kind = source.random()
        if kind < 0.55:
            return source.choice(self.pages) | source.choice(NEAR)
        if kind < 0.8:
            return source.choice(EDGES)
        return source.getrandbits(32)

    def _encoded(self, instruction: Instruction) -> int:
        fields: dict[str, int] = {}
        for field in instruction.fields:
            value = self.random.getrandbits(field.width)
            if field.values:
                value = self.random.choice(field.values)[1]
            elif field.name == "offset" and self.random.random() < 0.8:
                value = self.random.choice((0, 0, 1, 2, 3, 4, -4 & 0xFFFF, -1 & 0xFFFF))
            elif field.name == "to":
                value &= ~3
            fields[field.name] = value
        return int.from_bytes(bytes(self.machine.codec.encode(instruction, fields)), "little")


def _branches(instruction: Instruction) -> bool:
    return instruction.name.startswith("J") or (
        instruction.name.startswith("B") and instruction.name != "BREAK"
    )


# --------------------------------------------------------------------------- known differences


def lacks(case: Case, expected: Expectation) -> Mapping[str, int] | None:
    """Bits that may differ, by register; None where the description or QEMU has no say.

    The 24Kc has Release 2 and MIPS16: an odd address is one of MIPS16 code, Cause has bits for the counters, and
    EntryLo and PageMask are wider. QEMU keeps TS, SR, NMI and RE of Status as they are written, and KSU = 3, which is
    reserved; it gives VPN2 of Context and EntryHi for an address error, too, where the manual leaves them open; its
    CACHE does nothing at all, and its SC without an LL fails without a look at the address, where the manual has both
    translate; a misaligned program counter may miss the TLB first. COP2 and
    some of COP1 are reserved instructions to it. A branch that is never taken, by its operands alone, has no delay slot. It stores an invalid PageMask as 0, and ignores an Index
    past the last entry. COP3 is COP1X to it, and what
    else is an instruction there, and none here, is not compared. Division by zero is UNPREDICTABLE.
    """
    free = {"Cause": RELEASE_2, "Config": ALL & ~7}
    first, last = expected.steps[0], expected.steps[-1]
    cause = expected.causes[-1]
    if expected.waits or expected.outside or len(expected.steps) > 2:
        return None  # three steps: data that are branches in each other's delay slots
    if cause and first is not last and never_taken(first.decoded):
        return None
    for step in expected.steps:
        if step.pc & 3 and step.pc >> 30 != 2:
            return None
        if step.decoded is None:
            if not isinstance(step.outcome, Trapped) or step.outcome.trap_class is TrapClass.FAULT:
                return None
            continue
        name, fields = step.decoded.instruction.name, step.decoded.fields
        csr = fields.get("reg", -1)
        if name == "SC" and cause and case.words[0] >> 26 != 0x30:
            return None
        if name == "CACHE" and cause not in ("", "coprocessor_unusable"):
            return None
        if name == "WAIT" and not cause:
            return None
        if name == "MTC0" and not cause:
            value = case.registers.get(f"r{fields['rt']}", 0)
            if csr == STATUS:
                if value >> 3 & 3 == 3:
                    return None
                free["Status"] = STATUS_MORE
            if csr == INDEX and value & 0x7FFF_FFFF >= ENTRIES:
                free["Index"] = ENTRIES - 1
            if csr == CAUSE:
                free["Count"] = ALL
                free["Cause"] |= 1 << 15  # the counter may reach Compare
            free["EntryLo0"] = free["EntryLo1"] = LO_MORE
            free["PageMask"] = ALL if csr == PAGE_MASK else 0
        if name == "MFC0" and not cause and csr in (CAUSE, 0x81, 0x88):
            free[f"r{fields['rt']}"] = ALL if csr != CAUSE else RELEASE_2
        if name in ("DIV", "DIVU") and not _value(case, fields["rt"]):
            free |= {"HI": ALL, "LO": ALL}
        if name == "COP2" or (name == "COP1" and fields["operation"] >> 21 not in FORMATS):
            return None
        if name == "COP3":
            free["Cause"] |= 3 << 28
    if any(cause.startswith("address_error") for cause in expected.causes):
        free |= {"Context": CONTEXT_VPN, "EntryHi": ENTRY_VPN}
    after = expected.after.registers
    if after["PC"] & 1 or (last.pc & 1):
        return None
    return free


def _value(case: Case, register: int) -> int:
    return case.registers[f"r{register}"] if register else 0


def differences(expected: Expectation, seen: After, free: Mapping[str, int]) -> dict[str, str]:
    """What QEMU says otherwise, in words, by name."""
    found = {}
    for name, value in expected.after.registers.items():
        if (value ^ seen.registers[name]) & ~free.get(name, 0):
            found[name] = f"{value:#x} here, {seen.registers[name]:#x} there"
    for address in expected.after.memory.keys() | seen.memory.keys():
        ours, theirs = expected.after.memory.get(address), seen.memory.get(address)
        if ours != theirs:
            found[f"[{address:#x}]"] = f"{ours} here, {theirs} there"
    return found


def compare(
    machine: Described, qemu: Qemu, drawn: Case
) -> tuple[Case, Expectation, dict[str, str]] | None:
    """A case, what the description says, and the differences; None where there is nothing to say.

    Where Random has got to is QEMU's choice: with any that explains what it did, they agree.
    """
    case = qemu.started(drawn)
    expected = machine.run(case)
    free = lacks(case, expected)
    if free is None:
        return None
    seen = qemu.run(case, expected.there, expected.after.memory)
    found = differences(expected, seen, free)
    if found and any(_draws(step.decoded and step.decoded.instruction) for step in expected.steps):
        for draw in range(case.registers["Wired"], ENTRIES):
            found = min(found, differences(machine.run(case, draw), seen, free), key=len)
    return case, expected, found


def _draws(instruction: Instruction | None) -> bool:
    return instruction is not None and instruction.name in ("TLBWR", "MFC0")


def shrunk(machine: Described, qemu: Qemu, case: Case) -> Case:
    """A plainer state in which the same instruction still differs."""
    for candidate in _simpler(case):
        compared = compare(machine, qemu, candidate)
        if compared is not None and compared[2]:
            return shrunk(machine, qemu, candidate)
    return case


def _simpler(case: Case) -> Iterator[Case]:
    registers = case.registers
    groups = [[f"r{n}" for n in range(1, 32)], [f"r{n}" for n in range(8, 32)], [*NUMBERS]]
    groups += [[f"{part}.{n}" for part in TABLE] for n in range(ENTRIES)]
    groups += [[name] for name in registers if name != "PC"]
    for group in groups:
        if any(registers[name] for name in group):
            yield replace(case, registers={**registers, **dict.fromkeys(group, 0)})
    if len(case.words) > 1 and case.words[1]:
        yield replace(case, words=(case.words[0], 0))


def story(case: Case, expected: Expectation, found: Mapping[str, str]) -> str:
    decoded = expected.decoded
    fields = decoded.fields if decoded else {}
    before = " ".join(f"{name}={value:#x}" for name, value in case.registers.items() if value)
    words = " ".join(f"{word:08x}" for word in case.words)
    lines = [f"{expected.name} {fields} {expected.causes}: {words}", before]
    return "\n".join(lines + [f"  {name}: {text}" for name, text in found.items()])


def campaign(machine: Described, qemu: Qemu, each: int, seed: int) -> Counter[tuple[str, int]]:
    """Compare `each` cases of every instruction; how many were, by instruction and mode."""
    source = random.Random(seed)
    compared: Counter[tuple[str, int]] = Counter()
    failures: dict[str, str] = {}
    for instruction in machine.isa.instructions:
        enumerated = any(field.values for field in instruction.fields)
        for _ in range(each * (4 if enumerated else 1)):
            drawn = Draw(machine, instruction, source).case()
            result = compare(machine, qemu, drawn)
            if result is None:
                continue
            case, _, found = result
            compared[instruction.name, case.mode] += 1
            if found and instruction.name not in failures:
                least = shrunk(machine, qemu, drawn)
                again = compare(machine, qemu, least)
                assert again is not None
                failures[instruction.name] = story(*again)
    if failures:
        text = "\n\n".join(failures.values())
        pytest.fail(f"{len(failures)} instructions differ\n\n{text}", pytrace=False)
    return compared


# --------------------------------------------------------------------------- tests


@pytest.fixture(scope="module")
def qemu() -> Iterator[Qemu]:
    if shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not here")
    emulator = Qemu()
    yield emulator
    emulator.close()


def test_random_steps_agree_with_qemu(qemu: Qemu) -> None:
    machine = described()

    compared = campaign(machine, qemu, 10, seed=1)

    names = {name for name, _ in compared}
    assert {i.name for i in machine.isa.instructions} - names <= {"COP2"}
    assert sum(n for (_, mode), n in compared.items() if mode == 0) > compared.total() / 3


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 104))
def test_many_random_steps_agree_with_qemu(qemu: Qemu, seed: int) -> None:
    """`pytest -m deep tests/test_oracle_mips.py`"""
    machine = described()

    compared = campaign(machine, qemu, 60, seed)

    assert compared.total() > 50 * len(machine.isa.instructions)
    assert sum(n for (_, mode), n in compared.items() if mode == 0) > compared.total() / 3
