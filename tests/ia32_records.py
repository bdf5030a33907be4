"""Random IA-32 instructions on edge-biased states, and what the description says they do.

A `Setup` is a state in which a test starts: it becomes a record for `ia32_bios.s` and a
`MachineState`. `Model.predict` runs the instruction under test and then the trap that ends it: its
own, or that of the INT3 which lies wherever the code goes on. Bits that the manual leaves open are
found by running twice, with every choice 0 and every choice 1.
"""

import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from spec.concrete import ConcreteEngine
from spec.encoding import Codec
from spec.ir import Access, FieldType, Instruction, Isa, OperandRef, Parameter, TrapClass
from spec.outcome import Accesses, Outcome, PhysicalAccess, Retired, Trapped
from spec.state import BYTE_PAGE_CELLS, MachineState
from tests.ia32_emulators import (
    ARENA,
    ARENA_BYTES,
    HANDLER_BYTES,
    HANDLERS,
    IDT,
    IDT_BYTES,
    REGISTER_BYTES,
    interrupt_table,
)

GDT_BYTES, LDT, LDT_BYTES = 0x100, 0x1100, 0x40
TSS, CODE, DATA, END = 0x1180, 0x1200, 0x1600, 0x1A00
REGISTERS = ("EAX", "ECX", "EDX", "EBX", "ESP", "EBP", "ESI", "EDI")
DATA_SEGMENTS = ("ES", "DS", "FS", "GS")
FLAT_CODE, FLAT_DATA, TASK, LOCAL = 1 << 3, 2 << 3, 3 << 3, 4 << 3
_EDGES = (0, 1, 2, 31, 32, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000)
_EDGES += (0xFFFFFFFF, 0xFFFFFFFE, 0x55555555)
_TABLE = interrupt_table()
_DEFINED_FLAGS = 0x3F7FD5
_RF = 1 << 16


@dataclass(frozen=True, slots=True)
class Setup:
    """The state a test starts in. `selectors` has CS, SS, ES, DS, FS, GS."""

    registers: tuple[int, ...]
    eip: int
    eflags: int
    selectors: Mapping[str, int]
    cr0: int
    cr4: int
    ring: int
    arena: bytes

    def record(self) -> bytes:
        eax, ecx, edx, ebx, esp, ebp, esi, edi = self.registers
        registers = struct.pack("<8I", edi, esi, ebp, 0, ebx, edx, ecx, eax)
        frame = struct.pack(
            "<5I", self.eip, self.selectors["CS"], self.eflags, esp, self.selectors["SS"]
        )
        segments = struct.pack("<4H", *(self.selectors[name] for name in DATA_SEGMENTS))
        rest = struct.pack("<HHIIQI", LOCAL, 0, self.cr0, self.cr4, 0, self.ring)
        return (registers + frame + segments + rest).ljust(REGISTER_BYTES, b"\0") + self.arena

    def descriptor(self, selector: int) -> int:
        table = LDT if selector & 4 else ARENA
        at = table - ARENA + (selector & ~7)
        return int.from_bytes(self.arena[at : at + 8], "little")

    def state(self, blank: MachineState) -> MachineState:
        """The same as a state of the description; `blank` is its reset state."""
        state = blank.copy()
        scalars = state.scalars
        state.own_array("GPR")[:] = self.registers
        scalars["EIP"], scalars["CPL"] = self.eip, self.ring
        for name, bit in _FLAG_BITS.items():
            scalars[name] = self.eflags >> bit & 1
        scalars["IOPL"] = self.eflags >> 12 & 3
        for name, selector in self.selectors.items():
            if name in ("CS", "SS"):
                scalars[f"{name}_index"] = selector >> 2
            else:
                scalars[f"{name}_selector"] = selector
            _load_cache(scalars, name, self.descriptor(selector) if selector >> 2 else None)
        scalars["GDTR.base"], scalars["GDTR.limit"] = ARENA, GDT_BYTES - 1
        scalars["IDTR.base"], scalars["IDTR.limit"] = IDT, IDT_BYTES - 1
        for name, selector in (("LDTR", LOCAL), ("TR", TASK)):
            descriptor = self.descriptor(selector)
            scalars[f"{name}.selector"], scalars[f"{name}.valid"] = selector, 1
            scalars[f"{name}.base"], scalars[f"{name}.limit"] = (
                _base(descriptor),
                _limit(descriptor),
            )
        for field_, bit in _CR0_BITS.items():
            scalars[f"CR0.{field_}"] = self.cr0 >> bit & 1
        for field_, bit in _CR4_BITS.items():
            if f"CR4.{field_}" in scalars:
                scalars[f"CR4.{field_}"] = self.cr4 >> bit & 1
        for start, content in ((ARENA, self.arena), (IDT, _TABLE)):
            page, at = divmod(start, BYTE_PAGE_CELLS)
            state.cells.writable(page)[at : at + len(content)] = content
        return state


_FLAG_BITS = {
    "CF": 0,
    "PF": 2,
    "AF": 4,
    "ZF": 6,
    "SF": 7,
    "TF": 8,
    "IF": 9,
    "DF": 10,
    "OF": 11,
    "NT": 14,
    "AC": 18,
}
_FLAG_BITS |= {"VIF": 19, "VIP": 20, "ID": 21}
_CR0_BITS = {"MP": 1, "EM": 2, "TS": 3, "NE": 5, "WP": 16, "AM": 18, "NW": 29, "CD": 30}
_CR4_BITS = {
    "VME": 0,
    "PVI": 1,
    "TSD": 2,
    "DE": 3,
    "PSE": 4,
    "PAE": 5,
    "MCE": 6,
    "PGE": 7,
    "PCE": 8,
    "UMIP": 11,
}


def _base(descriptor: int) -> int:
    return descriptor >> 16 & 0xFFFFFF | descriptor >> 56 << 24


def _limit(descriptor: int) -> int:
    limit = descriptor & 0xFFFF | (descriptor >> 48 & 0xF) << 16
    return limit << 12 | 0xFFF if descriptor >> 55 & 1 else limit


def _load_cache(scalars: dict[str, int], name: str, descriptor: int | None) -> None:
    scalars[f"{name}.valid"] = int(descriptor is not None)
    scalars[f"{name}.base"] = _base(descriptor) if descriptor is not None else 0
    scalars[f"{name}.limit"] = _limit(descriptor) if descriptor is not None else 0
    scalars[f"{name}.dpl"] = (descriptor or 0) >> 45 & 3
    scalars[f"{name}.kind"] = (descriptor or 0) >> 40 & 0xF


# ------------------------------------------------------------------------------------ states


def descriptor(base: int, limit: int, level: int, kind: int, *, present: int = 1) -> int:
    """Of a 32-bit code or data segment."""
    granular = limit > 0xFFFFF
    scaled = limit >> 12 if granular else limit
    access = present << 7 | level << 5 | 0x10 | kind
    return (
        base >> 24 << 56
        | (granular << 3 | 4 | 0) << 52
        | (scaled >> 16) << 48
        | access << 40
        | (base & 0xFFFFFF) << 16
        | scaled & 0xFFFF
    )


def system_descriptor(base: int, limit: int, level: int, kind: int, *, present: int = 1) -> int:
    access = present << 7 | level << 5 | kind
    return base >> 24 << 56 | access << 40 | (base & 0xFFFFFF) << 16 | limit


def call_gate(selector: int, offset: int, level: int, *, present: int = 1) -> int:
    access = present << 7 | level << 5 | 0xC
    return offset >> 16 << 48 | access << 40 | selector << 16 | offset & 0xFFFF


def code_selector(ring: int) -> int:
    return (5 + ring) << 3 | ring


def data_selector(ring: int) -> int:
    return (9 + ring) << 3 | ring


def small_selector(ring: int) -> int:
    return (13 + ring) << 3 | ring


class Draw:
    """Edge-biased random choices."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._registers: list[int] = []

    def number(self, width: int) -> int:
        if self.random.random() < 0.4:
            return self.random.choice(_EDGES) & ((1 << width) - 1)
        return self.random.getrandbits(width)

    def selector(self) -> int:
        index = self.random.choice((self.random.randrange(34), self.random.randrange(5, 20)))
        local = self.random.random() < 0.2
        chosen = self.random.randrange(9) if local else index
        return chosen << 3 | local << 2 | self.random.choice((0, 3, 3, self.random.randrange(4)))

    def code_offset(self) -> int:
        if self.random.random() < 0.05:
            return self.random.choice((0x3FF, 0x400, 0x1300, 0xFFFFFFFF))
        return self.random.randrange(0x200, 0x3F0)

    def word(self) -> int:
        """Something that is an operand, a pointer into the data or the code, or a selector."""
        match self.random.randrange(8):
            case 0 | 1 | 2:
                return self.random.randrange(DATA, END - 0x100) & ~3
            case 3:
                return self.random.randrange(0, 0x3C0)
            case 4:
                return self.selector()
            case _:
                return self.number(32)

    def table_entry(self) -> int:
        random = self.random
        level, present = random.randrange(4), int(random.random() < 0.85)
        match random.randrange(6):
            case 0 | 1:
                kind = random.randrange(8, 16)
                return descriptor(
                    CODE, random.choice((0x3FF, 0x3FF, 0x2FF)), level, kind, present=present
                )
            case 2 | 3:
                base = random.choice((0, 0, DATA, CODE, random.getrandbits(32)))
                limit = random.choice((0xFFFFFFFF, 0x3FF, 0xFFFFF, 0x17FF, random.getrandbits(20)))
                return descriptor(base, limit, level, random.randrange(8), present=present)
            case 4:
                selector = random.choice((self.selector(), code_selector(random.randrange(4))))
                return call_gate(selector, self.code_offset(), level, present=present)
            case _:
                return system_descriptor(LDT, 0x3F, level, random.randrange(16), present=present)

    def setup(self, umip: bool) -> Setup:
        """A state; `umip`: of a processor that knows CR4.UMIP."""
        random = self.random
        ring = random.choice((3, 3, 3, 3, 0, 0, 0, 1, 2))
        registers = [self.word() for _ in REGISTERS]
        stack, selectors = self.segments(ring)
        registers[4] = stack
        cr0 = 0x11 | random.choice((0, 0, 2, 4, 8, 0xA, 0x20, 0x10000))
        cr4 = random.choice((0, 0, 4, 0x100, 8, 0x104, 2, 2)) | umip * random.choice((0, 0x800))
        eflags = random.getrandbits(22) & 0x203CD5 | random.choice((0, 0, 0, 1)) << 14 | 2
        eflags |= random.getrandbits(1) << 9 | random.getrandbits(1) << 18
        flat = ring == 0 and selectors["CS"] == FLAT_CODE
        eip = random.randrange(0x100, 0x140) + (CODE if flat else 0)
        return Setup(tuple(registers), eip, eflags, selectors, cr0, cr4, ring, self.arena())

    def segments(self, ring: int) -> tuple[int, dict[str, int]]:
        """ESP and selectors that hold valid segments at this level."""
        random = self.random
        small = ring != 0 and random.random() < 0.4
        esp = random.randrange(0x100, 0x300) & ~3
        if random.random() < 0.05:
            esp = random.choice((0, 2, 4, 0x3FC, 0x3FE, 0x400)) if small else esp
        usable = [data_selector(r) & ~3 | random.randrange(r + 1) for r in range(ring, 4)]
        usable += [small_selector(r) & ~3 | random.randrange(r + 1) for r in range(ring, 4)]
        usable += [code_selector(3) & ~3 | ring, 17 << 3 | ring, 18 << 3 | 3, 0]
        stack = small_selector(ring) if small else data_selector(ring)
        code = FLAT_CODE if ring == 0 and random.random() < 0.5 else code_selector(ring)
        chosen = {name: random.choice(usable) for name in DATA_SEGMENTS}
        return (esp if small else DATA + esp), {"CS": code, "SS": stack, **chosen}

    def arena(self) -> bytes:
        random = self.random
        entries = [0, descriptor(0, 0xFFFFFFFF, 0, 0xB), descriptor(0, 0xFFFFFFFF, 0, 3)]
        entries.append(system_descriptor(TSS, random.choice((0x67, 0x66, 0x7F)), 0, 0xB))
        entries.append(system_descriptor(LDT, LDT_BYTES - 1, 0, 2))
        entries += [descriptor(CODE, 0x3FF, ring, 0xB) for ring in range(4)]
        entries += [descriptor(0, 0xFFFFFFFF, ring, 3) for ring in range(4)]
        entries += [descriptor(DATA, 0x3FF, ring, 3) for ring in range(4)]
        entries += [descriptor(CODE, 0x3FF, 0, 0xF), descriptor(0, 0x15FF, 3, 7)]
        entries += [descriptor(DATA, 0x3FF, random.randrange(4), 1)]
        entries += [self.table_entry() for _ in range(32 - len(entries))]
        local = [self.table_entry() for _ in range(8)]
        task = struct.pack(
            "<7I", 0, END, FLAT_DATA, 0x1980, data_selector(1), 0x1940, data_selector(2)
        )
        task = task.ljust(102, b"\0") + struct.pack("<H", 0x68)
        task += bytes(random.choice((0, 0, 0xFF, random.getrandbits(8))) for _ in range(24))
        tables = struct.pack("<32Q8Q", *entries, *local).ljust(TSS - ARENA, b"\0")
        code = b"\xcc" * (DATA - CODE)
        content = struct.pack("<256I", *(self.word() for _ in range(256)))
        arena = tables + task.ljust(CODE - TSS, b"\0") + code + content
        assert len(arena) == ARENA_BYTES
        return arena

    # -------------------------------------------------------------------------------- fields

    def fields(self, isa: Isa, instruction: Instruction) -> dict[str, int]:
        fields = {each.name: 0 for each in instruction.fields}
        for parameter in instruction.parameters:
            self._fill(isa, parameter, "", fields)
        return fields

    def _fill(self, isa: Isa, parameter: Parameter, scope: str, fields: dict[str, int]) -> None:
        path = scope + parameter.name
        match parameter.type:
            case FieldType(width, values):
                members = [value for _, value in values]
                fields[path] = self.random.choice(members) if members else self._plain(path, width)
            case OperandRef(operand, tags):
                (found,) = [o for o in isa.operands if o.name == operand]
                allowed = [a for a in found.alternatives if a.tag in tags]
                weights = [3 if a.name in ("default", "reg") else 1 for a in allowed]
                (chosen,) = self.random.choices(allowed, weights)
                fields[f"{path}.tag"] = chosen.tag
                for inner in chosen.parameters:
                    self._fill(isa, inner, f"{path}.{chosen.name}.", fields)

    def _plain(self, path: str, width: int) -> int:
        name = path.rpartition(".")[2]
        if name == "selector":
            return self.random.choice((self.selector(), code_selector(self.random.randrange(4))))
        if path == "w.fixed.n":
            return 0x80 + self.random.randrange(4)  # ports on which nothing happens
        if name == "at":
            return self.random.choice((self.code_offset(), self.random.randrange(DATA, END)))
        if name == "d" and ".absolute." in path:
            return self.random.choice(
                (self.random.randrange(DATA, END), self.random.randrange(0x3F0))
            )
        if name == "d" and width == 32:
            near = self.random.randrange(-0x80, 0x180)
            return near & 0xFFFFFFFF
        if path == "n" and width == 8 and self.random.random() < 0.5:
            return self.random.choice((3, 4, 0x40, 0x41, 0x42, 0x44, 0x80, 0xA0, 0x81, 0x1F))
        return self._register() if width == 3 else self.number(width)

    def _register(self) -> int:
        """Often one that the instruction uses already: its two uses must not disturb each other."""
        used = self._registers
        again = used and self.random.random() < 0.25
        used.append(self.random.choice(used) if again else self.random.randrange(8))
        return used[-1]


# ------------------------------------------------------------------------------------ prediction


@dataclass(frozen=True, slots=True)
class Expected:
    """What a result must hold: value and mask of what matters, by name; and of the arena."""

    vector: int
    cause: str
    trap_class: TrapClass | None
    values: Mapping[str, tuple[int, int]]
    arena: bytes
    arena_mask: bytes
    image_at: int  # where the handler's frame has EFLAGS


@dataclass(frozen=True, slots=True)
class Trial:
    """One instruction, one state, and what must come of it."""

    instruction: Instruction
    fields: Mapping[str, int]
    code: bytes
    setup: Setup
    expected: Expected = field(repr=False)


class Model:
    """The description as an oracle's counterpart."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.codec = Codec(isa)
        self._engine = ConcreteEngine(isa)
        self._blank = MachineState(isa)
        self._umip = any(element.name == "CR4.UMIP" for element in isa.elements)
        (self._breakpoint,) = [i for i in isa.instructions if i.name == "INT3"]

    def test(self, instruction: Instruction, seed: int) -> Trial | None:
        """A test of the instruction that all emulators can run; None if `seed` gives none."""
        draw = Draw(seed)
        fields = draw.fields(self.isa, instruction)
        try:
            code = bytes(self.codec.encode(instruction, fields))
        except ValueError:
            return None
        setup = _shaped(draw, instruction, fields, draw.setup(self._umip))
        at = setup.eip + _base(setup.descriptor(setup.selectors["CS"])) - ARENA
        arena = setup.arena[:at] + code + setup.arena[at + len(code) :]
        return self.complete(instruction, fields, code, replace(setup, arena=arena))

    def complete(
        self, instruction: Instruction, fields: Mapping[str, int], code: bytes, setup: Setup
    ) -> Trial | None:
        expected = self._predict(instruction, fields, len(code), setup)
        return None if expected is None else Trial(instruction, fields, code, setup, expected)

    def _predict(
        self, instruction: Instruction, fields: Mapping[str, int], length: int, setup: Setup
    ) -> Expected | None:
        before = setup.state(self._blank)
        end = self._run(instruction, fields, length, before, ())
        if end is None:
            return None
        low, outcome, open_ = end
        high = low
        if open_:
            other = self._run(instruction, fields, length, before, [(1 << 128) - 1] * 64)
            if other is None:
                return None
            high = other[0]
        if low.scalars["EIP"] != high.scalars["EIP"]:
            return None
        names = ["GDTR.base", "GDTR.limit", "IDTR.base", "IDTR.limit", "CR2", "CR3", "DR6", "DR7"]
        names += [f"{name}_selector" for name in DATA_SEGMENTS] + ["LDTR.selector", "TR.selector"]
        values = {name: (low.scalars[name], ~0) for name in names}
        for index, name in enumerate(REGISTERS):
            zero, one = low.arrays["GPR"][index], high.arrays["GPR"][index]
            values[name] = (zero, ~(zero ^ one))
        for index in range(4):
            values[f"DR{index}"] = (low.arrays["DR"][index], ~0)
        values["SS_index"] = (low.scalars["SS_index"], ~0)
        values["CR0"] = (_pack(low, "CR0", _CR0_BITS), _mask(low, "CR0", _CR0_BITS))
        values["CR4"] = (_pack(low, "CR4", _CR4_BITS), _mask(low, "CR4", _CR4_BITS))
        images = [_flags(state) for state in (low, high)]
        values["EFLAGS"] = (images[0], ~(images[0] ^ images[1]) & _DEFINED_FLAGS)
        zeros, ones = (_arena(state) for state in (low, high))
        vector = (low.scalars["EIP"] - HANDLERS) // HANDLER_BYTES
        trapped = outcome if isinstance(outcome, Trapped) else None
        with_code = trapped is not None and bool(trapped.arguments) and trapped.cause != "software"
        return Expected(
            vector,
            trapped.cause if trapped else "",
            trapped.trap_class if trapped else None,
            values,
            zeros,
            bytes(~(a ^ b) & 0xFF for a, b in zip(zeros, ones, strict=True)),
            low.scalars["SS.base"] + low.arrays["GPR"][4] + (12 if with_code else 8),
        )

    def _run(
        self,
        instruction: Instruction,
        fields: Mapping[str, int],
        length: int,
        state: MachineState,
        choices: Sequence[int],
    ) -> tuple[MachineState, Outcome, bool] | None:
        """The state at the handler's first instruction, what came before, and whether the manual
        left anything open; None if a test cannot be made of it.
        """
        start, open_ = state.scalars["EIP"], False
        for _ in range(0x600):
            outcome = self._engine.execute(state, instruction, fields, length, choices)
            open_ |= bool(outcome.accesses.choices)
            if not _contained(outcome.accesses):
                return None
            match outcome:
                case Trapped():
                    end = self._deliver(state, outcome)
                case Retired(after, waiting):
                    if waiting or after.scalars["TF"]:
                        return None
                    if after.scalars["EIP"] == start:
                        state = after
                        continue
                    end = self._break(after)
            return None if end is None else (end, outcome, open_)
        return None

    def _break(self, state: MachineState) -> MachineState | None:
        """Run the INT3 at the pc, if there is one."""
        physical = self._engine.look_up(state, state.scalars["EIP"], 1, Access.FETCH)
        if not isinstance(physical, int) or not CODE <= physical < DATA:
            return None
        if state.cells[physical] != 0xCC or not _intact(state):
            return None
        outcome = self._engine.execute(state, self._breakpoint, {}, 1)
        return self._deliver(state, outcome) if isinstance(outcome, Trapped) else None

    def _deliver(self, state: MachineState, trapped: Trapped) -> MachineState | None:
        outcome = self._engine.deliver(state, trapped.cause, trapped.arguments, trapped.next)
        if not isinstance(outcome, Retired) or outcome.state.scalars["shutdown"]:
            return None
        end = outcome.state
        usable = end.scalars["SS.base"] == 0 and end.scalars["SS.limit"] > 0x800
        return end if usable and _contained(outcome.accesses) and _intact(end) else None


def _contained(accesses: Accesses) -> bool:
    """Whether only the arena (not the tables, by a store) and the IDT were touched."""
    for virtual in accesses.virtual:
        if virtual.physical is None:
            if (virtual.address & 0xFFFFFFFF) + virtual.size > 1 << 32:
                return False  # runs past 4 GiB: the manual leaves open what happens
        else:
            first = CODE if virtual.access is Access.WRITE else ARENA
            if not first <= virtual.physical <= END - virtual.size:
                return False
            if virtual.access is Access.WRITE and virtual.physical < DATA:
                return False
    return all(map(_in_its_place, accesses.physical))


def _in_its_place(access: PhysicalAccess) -> bool:
    """Descriptors are marked by bytes; what is longer is a frame, and must not lie on the tables."""
    first = CODE if access.write and access.size > 1 else ARENA
    in_table = IDT <= access.address < IDT + IDT_BYTES
    return first <= access.address <= END - access.size or (in_table and not access.write)


def _intact(state: MachineState) -> bool:
    """Whether the handler can still be reached and work."""
    tables = state.scalars["GDTR.base"] == ARENA and state.scalars["GDTR.limit"] >= 0xFF
    quiet = not state.scalars["DR7"] & 0x20FF  # no breakpoints
    return (
        quiet
        and tables
        and state.scalars["IDTR.base"] == IDT
        and state.scalars["IDTR.limit"] >= 0x4FF
    )


def _arena(state: MachineState) -> bytes:
    page, at = divmod(ARENA, BYTE_PAGE_CELLS)
    return bytes(state.cells.pages[page][at : at + ARENA_BYTES])


def _flags(state: MachineState) -> int:
    image = sum(state.scalars[name] << bit for name, bit in _FLAG_BITS.items())
    return image | state.scalars["IOPL"] << 12


def _pack(state: MachineState, register: str, bits: Mapping[str, int]) -> int:
    return sum(state.scalars.get(f"{register}.{name}", 0) << bit for name, bit in bits.items())


def _mask(state: MachineState, register: str, bits: Mapping[str, int]) -> int:
    return sum(1 << bit for name, bit in bits.items() if f"{register}.{name}" in state.scalars)


def _shaped(draw: Draw, instruction: Instruction, fields: Mapping[str, int], setup: Setup) -> Setup:
    """The setup with operands that lead somewhere: frames, table registers, port numbers."""
    random, registers = draw.random, list(setup.registers)
    arena = bytearray(setup.arena)
    stack = registers[4] + _base(setup.descriptor(setup.selectors["SS"])) - ARENA
    name = instruction.name

    def lay(*words: int) -> None:
        if DATA - ARENA <= stack <= END - ARENA - 24:
            struct.pack_into(f"<{len(words)}I", arena, stack, *words)

    if name in ("RETF", "RETF imm16", "IRETD"):
        outer = random.choice((setup.ring, 3, random.randrange(4)))
        code = random.choice((code_selector(outer), code_selector(outer), draw.selector()))
        inner = [draw.number(22) & ~0x20100] if name == "IRETD" else []
        stack_segment = random.choice(
            (data_selector(outer), small_selector(outer), draw.selector())
        )
        lay(draw.code_offset(), code, *inner, random.randrange(0x100, 0x300) & ~3, stack_segment)
    if name in ("RET", "RET imm16"):
        lay(draw.code_offset())
    if name in ("JMP r/m32", "CALL r/m32", "JMP m16:32", "CALL m16:32"):
        words = [draw.code_offset(), draw.selector()] * 128
        struct.pack_into("<256I", arena, DATA - ARENA, *words)
        registers = [draw.code_offset() if random.random() < 0.5 else r for r in registers]
        registers[4] = setup.registers[4]
    if name in ("LGDT", "LIDT"):
        base, limit = (ARENA, 0xFF) if name == "LGDT" else (IDT, 0x4FF)
        pair = struct.pack("<HIH", limit + random.randrange(0x40), base, 0)
        arena[DATA - ARENA :] = pair * 128
        registers = [random.randrange(DATA, END - 0x100) & ~7 for _ in registers]
        registers[4] = setup.registers[4]
    if name == "MOV CRn, r32" and fields["n"] == 0:  # stay in protected mode without paging
        edge = 0x80000000 if random.random() < 0.2 else 1
        registers = [r & 0x7FFFFFFE | edge for r in registers[:4]] * 2
        registers[4] = setup.registers[4] | (fields["src"] == 4)  # ESP itself may be the source
    if name == "MOV CRn, r32" and fields["n"] == 4:
        known = draw.number(32) & (0x1FF if random.random() < 0.8 else 0x800001FF)
        registers = [known] * 4 + [setup.registers[4]] + [known] * 3
    if name in ("LAR", "LSL", "VERR", "VERW", "MOV Sreg, r/m16"):
        registers = [draw.selector() for _ in registers]
        registers[4] = setup.registers[4]
    if name in ("LLDT", "LTR"):
        for index in range(24, 30):
            kind = random.choice((2, 9, 9, random.randrange(2, 16)))
            present = int(random.random() < 0.8)
            entry = system_descriptor(random.choice((LDT, TSS)), 0x6F, 3, kind, present=present)
            struct.pack_into("<Q", arena, 8 * index, entry)
        registers = [random.randrange(24, 30) << 3 | random.randrange(4) for _ in registers]
        registers[4] = setup.registers[4]
    if name in ("IN AL", "IN EAX", "OUT AL", "OUT EAX"):
        registers[2] = 0x80
    if name in ("RDMSR", "WRMSR"):
        registers[1], registers[2] = random.choice((0x174, 0x175, 0x176)), 0
    if name.startswith(("REP", "MOVS", "STOS", "CMPS", "SCAS", "LODS")):
        registers[1] = random.choice((0, 1, 2, 5))
        registers[6] = random.choice((random.randrange(DATA, END), random.randrange(0x400)))
        registers[7] = random.choice((random.randrange(DATA, END), random.randrange(0x400)))
    return replace(setup, registers=tuple(registers), arena=bytes(arena))
