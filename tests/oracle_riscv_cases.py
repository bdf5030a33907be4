"""Random cases for the RISC-V oracles: instructions, states near every edge, page tables."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from spec.encoding import Codec
from spec.ir import Field, FieldType, Instruction, Isa, Run
from tests.oracle_riscv import (
    CODE_PAGE,
    DATA_PAGES,
    GUEST_LEAF,
    GUEST_MIDDLE,
    GUEST_ROOT,
    LEAF_TABLES,
    MIDDLE_TABLES,
    PAGE_BYTES,
    RAM,
    RAM_BYTES,
    ROOT_TABLE,
    VIRTUAL_LEAVES,
    VIRTUAL_MIDDLES,
    VIRTUAL_ROOT,
    Case,
)
from tests.oracle_riscv_target import PROTECTED, RV32, Target

_SMALL = (0, 1, 2, 3, 4, 0x7FF, 0x800, 0xFFF)
_EDGES = {
    32: (*_SMALL, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFE),
    64: (
        *_SMALL, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFFF_7FFF_FFFF,
        0xFFFF_FFFF_8000_0000, (1 << 38) - 1, 1 << 38, 1 << 56, (1 << 63) - 1, 1 << 63,
        (1 << 63) + 1, (1 << 64) - 2,
    ),
}  # fmt: skip
_STATUS_BITS = (1, 3, 5, 7, 8, 18, 19, 20, 21, 22)
_MPRV = 1 << 17
_USER_COUNTERS = range(0xC00, 0xC03)
_COMMON_OPCODES = (0x03, 0x0F, 0x13, 0x23, 0x2F, 0x33, 0x63, 0x67, 0x73)
_OFFSETS = {
    32: (0, 0, 0, 1, 2, 4, 8, -1, -4, 0x7FF),
    64: (0, 0, 0, 0, 8, 0x10, -8, 4, 2, 1, -1, 0x7F8),
}
_OPCODES = {32: _COMMON_OPCODES, 64: (*_COMMON_OPCODES, 0x1B, 0x3B)}
_EXCEPTIONS = 0xB3FF
_INTERRUPTS = 0xAAA
_SUPERVISOR_INTERRUPTS, _VS_INTERRUPTS = 0x222, 0x444
_H_EXCEPTIONS, _GUEST_EXCEPTIONS = 0xF0_0400, 0xB1FF
_H_STATUS_BITS, _VS_STATUS_BITS = (6, 7, 8, 9, 20, 21, 22), (1, 5, 8, 18, 19)

V, R, W, X, USER, G, A, D = (1 << bit for bit in range(8))


class Cases:
    """Cases by number: the same number gives the same case, for one description."""

    def __init__(self, isa: Isa, target: Target) -> None:
        self.target = target
        self._codec = Codec(isa)
        self._instructions = {i.name: i for i in isa.instructions}
        by_name = self._instructions
        csr = [i for i in isa.instructions if any(f.values for f in i.fields)]
        system = [by_name[n] for n in ("MRET", "SRET", "WFI", "ECALL", "EBREAK", "SFENCE.VMA")]
        memory = [i for i in isa.instructions if i.assembly.endswith("({rs1})")]
        divide = [by_name[n] for n in ("DIV", "DIVU", "REM", "REMU", "MULH", "MULHSU")]
        more = [isa.instructions] if target is not RV32 else []
        if target.has_hypervisor:
            system += [by_name["HFENCE.VVMA"], by_name["HFENCE.GVMA"]]
            guest = [i for i in isa.instructions if i.name.startswith(("HLV", "HSV"))]
            more += [guest, [*guest, *system], csr, memory]
        self._kinds = (isa.instructions, csr, csr, system, memory, memory, divide, *more)
        self.pairs = (("LR.W", "SC.W"), ("LR.D", "SC.D"))[: target.xlen // 32]
        types = {p.name: p.type for i in csr for p in i.parameters}
        self._runs = {n: t.reported for n, t in types.items() if isinstance(t, FieldType)}

    def case(self, number: int, guest_physical_bits: int = 41) -> Case:
        """The case of that number; how long the guest physical addresses may be."""
        return _Draw(Random(number), self, guest_physical_bits).case()

    def instruction(self, random: Random) -> tuple[Instruction, dict[str, int]]:
        """An instruction with operands; the kinds that the privileged manual is about are rife."""
        instruction = random.choice(random.choice(self._kinds))
        fields = {f.name: self._field(random, f) for f in instruction.fields}
        if random.random() < (0.9 if fields.get("csr", 0) >> 10 == 3 else 0.2) and "csr" in fields:
            fields["rs1" if "rs1" in fields else "uimm"] = 0  # CSRRS and CSRRC then only read
        return instruction, fields

    def named(self, name: str, random: Random, **fields: int) -> int:
        """The word of an instruction, with random values in the fields that are not given."""
        instruction = self._instructions[name]
        values = {f.name: self._field(random, f) for f in instruction.fields}
        return self.word(instruction, {**values, **fields})

    def word(self, instruction: Instruction, fields: Mapping[str, int]) -> int:
        """The encoded instruction."""
        return self._codec.bits(instruction, fields)[0]

    def is_instruction(self, word: int) -> bool:
        return self._codec.decode(lambda _: word) is not None

    def kind(self, csr: int) -> str:
        """The name of a CSR, or of those that it is declared with."""
        return next(run.name for run in self._runs["csr"] if run.first <= csr <= run.last)

    def _field(self, random: Random, field: Field) -> int:
        if field.values:
            return _member(random, random.choice(self._runs[field.name]))
        if field.name == "to":
            return random.getrandbits(field.width) & (~1 if random.random() < 0.2 else ~3)
        if field.name == "imm" and random.random() < 0.7:
            return random.choice(_OFFSETS[self.target.xlen]) & ((1 << field.width) - 1)
        return random.getrandbits(field.width)


def _member(random: Random, run: Run) -> int:
    """Of members declared together, mostly one of the first."""
    if run.first == run.last:
        return run.first
    last = min(run.last, run.first + PROTECTED - 1) if random.random() < 0.8 else run.last
    return random.randint(run.first, last)


@dataclass(frozen=True, slots=True)
class _Tables:
    """Where tables of Sv39 lie, and where they take pages to lie."""

    root: int
    middles: tuple[int, ...]
    leaves: tuple[int, ...]
    place: Callable[[int], int]


_HOST = _Tables(ROOT_TABLE, MIDDLE_TABLES, LEAF_TABLES, lambda page: page)


class _Draw:
    """One case in the making."""

    def __init__(self, random: Random, cases: Cases, guest_physical_bits: int) -> None:
        self.random = random
        self.cases = cases
        self.guest_roots = 1 << guest_physical_bits - 30
        self.memory: dict[int, int] = {}

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def bits(self, mask: int) -> int:
        """Some of the bits of a mask: none, all or any."""
        return self.random.choice((0, mask, self.random.getrandbits(32) & mask))

    @property
    def ones(self) -> int:
        return self.cases.target.ones

    def case(self) -> Case:
        random = self.random
        self.instruction = self.cases.instruction(random)
        before = {"priv": self.mode(), **self.control()}
        if self.cases.target is not RV32:
            before |= self.timer()
        if self.cases.target.has_protection:
            before |= self.protection()
        if before["priv"] == 3 and self.chance(0.4):
            before["mstatus"] |= _MPRV
        code, data = self.addresses(before)
        if self.cases.target.has_hypervisor:
            before |= self.hypervisor(before)
            code, data = self.guest_addresses(before, code, data)
            if self.chance(0.01):
                code |= 1 << 60  # no physical address
        offset = random.choice((0, 0x100, 0xFFC, random.randrange(0, PAGE_BYTES, 4)))
        before["pc"] = code + offset
        for index in range(1, 32):
            before[f"x{index}"] = self.value(data, code)
        steps = self.code(CODE_PAGE + offset)
        return Case(before, self.memory, steps)

    def mode(self) -> int:
        """The mode; mostly one that may access the CSR, if the instruction names one."""
        mode = self.random.choice((0, 0, 1, 1, 3, 3))
        least = (0, 1, 1, 3)[self.instruction[1].get("csr", 0) >> 8 & 3]
        return max(mode, least) if self.chance(0.6) else mode

    def counters(self) -> dict[str, int]:
        """What lets VU mode read a counter, mostly; the instruction names one."""
        instruction, fields = self.instruction
        operand = "rs1" if "rs1" in fields else "uimm"
        read = {"csr": self.random.choice(_USER_COUNTERS), operand: 0}
        self.instruction = instruction, fields | read
        enables = ("mcounteren", "scounteren", "hcounteren")
        return {name: 7 if self.chance(0.9) else self.bits(7) for name in enables}

    def control(self) -> dict[str, int]:
        """The CSRs but satp: any state that the description can reach."""
        random = self.random
        status = sum(1 << bit for bit in _STATUS_BITS if self.chance(0.4))
        quiet = self.chance(0.6)
        tvec = RAM + random.randrange(0, 0x10000, 4) if self.chance(0.7) else self.word()
        return {
            "mstatus": status | random.choice((0, 1, 3)) << 11,
            "medeleg": self.bits(_EXCEPTIONS),
            "mideleg": self.bits(_SUPERVISOR_INTERRUPTS),
            "mie": 0 if quiet else self.bits(_INTERRUPTS),
            "mip": self.bits(_SUPERVISOR_INTERRUPTS) | (self.bits(0x88) if self.chance(0.4) else 0),
            "mtvec": tvec & ~2,
            "stvec": self.word() & ~2,
            "mepc": self.word() & ~3,
            "sepc": self.word() & ~3,
            "mcause": self.word(),
            "scause": self.word(),
            "mtval": self.word(),
            "stval": self.word(),
            "mscratch": self.word(),
            "sscratch": self.word(),
            "mcounteren": self.bits(7),
            "scounteren": self.bits(7),
            "mcountinhibit": self.bits(5),
            "menvcfg": 0,
            "senvcfg": 0,
            "satp": random.getrandbits(31 if self.cases.target is RV32 else 60),
        }

    def timer(self) -> dict[str, int]:
        """With Sstc enabled, a comparison whose result is known whatever the time."""
        enabled = not self.cases.target.has_hypervisor and self.chance(0.3)
        known = self.random.choice((0, self.ones))
        return {"menvcfg": enabled << 63, "stimecmp": known if enabled else self.word()}

    def protection(self) -> dict[str, int]:
        """PMP: often all of memory is open; else regions at and around the pages of the case."""
        random = self.random
        locked = self.chance(0.1)
        everything = (1 << 54) - 1
        addresses = [0] * PROTECTED
        rights = [0] * PROTECTED
        regions = 0 if self.chance(0.5) else random.randint(1, 8)
        for number in sorted(random.sample(range(PROTECTED - 1), regions)):
            page = random.choice((CODE_PAGE, *DATA_PAGES, ROOT_TABLE, *MIDDLE_TABLES, *LEAF_TABLES))
            pages = 1 << random.choice((0, 0, 1, 2, 4))
            mode = random.choice((0, 1, 1, 3, 3, 3))
            start = page & ~(pages * PAGE_BYTES - 1)
            address = start + (pages * PAGE_BYTES // 2 - 1 if mode == 3 else pages * PAGE_BYTES)
            if mode == 1 and number and rights[number - 1] >> 3 & 3 == 0:
                addresses[number - 1] = start >> 2
            addresses[number] = address >> 2 if self.chance(0.95) else random.getrandbits(54)
            allowed = random.choice((7, 7, 7, 5, 4, 3, 1, 0)) | (4 if self.chance(0.5) else 0)
            lock = locked and self.chance(0.5)
            rights[number] = allowed | mode << 3 | lock << 7
        if self.chance(0.95):
            addresses[-1] = everything if self.chance(0.8) else (RAM + RAM_BYTES // 2 - 1) >> 2
            rights[-1] = random.choice((7, 7, 7, 7, 7, 7, 7, 3, 5)) | 3 << 3
        found = {f"pmpaddr{n}": self.aligned(a, rights[n]) for n, a in enumerate(addresses)}
        for word in range(PROTECTED // 8):
            part = rights[8 * word : 8 * word + 8]
            found[f"pmpcfg{2 * word}"] = sum(r << 8 * k for k, r in enumerate(part))
        return found

    def aligned(self, address: int, configuration: int) -> int:
        """An address whose bits below the grain are as the register reads."""
        return self.cases.target.reads("pmpaddr", address, configuration)

    def word(self) -> int:
        random = self.random
        width = self.cases.target.xlen
        return random.choice(
            (
                random.choice(_EDGES[width]),
                random.getrandbits(width),
                self.ones - random.getrandbits(4),
            )
        )

    def addresses(self, before: dict[str, int]) -> tuple[int, list[int]]:
        """Where the code page and the data pages are, for the code (virtual, with a table)."""
        code, data = CODE_PAGE, list(DATA_PAGES)
        if self.chance(0.5):
            if self.cases.target is RV32:
                before["satp"] = 1 << 31 | self.random.getrandbits(9) << 22 | ROOT_TABLE >> 12
                virtual_code, virtual_data = self.tables(before["priv"])
            else:
                before["satp"] = 8 << 60 | self.random.getrandbits(16) << 44 | ROOT_TABLE >> 12
                virtual_code, virtual_data = self.long_tables(before["priv"], _HOST)
            # In M mode only data accesses under MPRV are translated.
            data = virtual_data + (data if self.chance(0.3) else [])
            code = CODE_PAGE if before["priv"] == 3 else virtual_code
        return code, data

    def tables(self, mode: int) -> tuple[int, list[int]]:
        """A page table; the virtual addresses of the code page and of the data pages."""
        random = self.random
        roots = random.sample((0, 1, 0x1FF, 0x200, 0x201, 0x3FF, random.randrange(1024)), 3)
        table_of = {roots[0]: LEAF_TABLES[0], roots[1]: LEAF_TABLES[1]}
        user = USER if mode == 0 or (mode == 3 and self.chance(0.5)) else 0
        for index, table in table_of.items():
            stray = random.choice((A, D, USER, G, 0x100)) if self.chance(0.05) else 0
            self.memory[ROOT_TABLE + 4 * index] = (table >> 12) << 10 | V | stray
        pages = []
        for page, rights in ((CODE_PAGE, X), (DATA_PAGES[0], 0), (DATA_PAGES[1], 0)):
            index = random.choice(roots)
            if index in table_of:
                entry = random.choice((0, 1, 0x3FF, random.randrange(1024)))
                flags = self.flags(rights, user)
                self.memory[table_of[index] + 4 * entry] = (page >> 12) << 10 | flags
                pages.append(index << 22 | entry << 12)
            else:
                odd = random.choice((1, 0x200)) << 10 if self.chance(0.05) else 0
                flags = self.flags(rights, user)
                self.memory[ROOT_TABLE + 4 * index] = (RAM >> 12) << 10 | odd | flags
                pages.append(index << 22 | page - RAM)
        return pages[0], pages[1:]

    def long_tables(self, mode: int, tables: _Tables) -> tuple[int, list[int]]:
        """Tables of Sv39; the virtual addresses of the code page and of the data pages."""
        random = self.random
        place = tables.place
        user = USER if mode == 0 or (mode == 3 and self.chance(0.5)) else 0
        roots = random.sample((0, 1, 2, 0xFF, 0x100, 0x1FF, random.randrange(512)), 3)
        middles = random.sample((0, 1, 0x100, 0x1FF, random.randrange(512)), 2)
        for index, table in zip(roots, tables.middles, strict=False):
            self.pointer(tables.root + 8 * index, place(table))
            for middle, leaves in zip(middles, tables.leaves, strict=True):
                self.pointer(table + 8 * middle, place(leaves))
        pages = []
        for page, rights in ((CODE_PAGE, X), (DATA_PAGES[0], 0), (DATA_PAGES[1], 0)):
            root, level = random.choice(roots[:2]), random.choice((0, 0, 0, 1, 2))
            flags = self.flags(rights, user)
            if level == 0:
                which = random.randrange(2)
                entry = random.choice((0, 1, 0x1FF, random.randrange(512)))
                self.double(tables.leaves[which] + 8 * entry, (place(page) >> 12) << 10 | flags)
                address = root << 30 | middles[which] << 21 | entry << 12
            elif level == 1:
                free = next(n for n in range(2, 512) if n not in middles)
                odd = random.choice((1, 0x100)) << 10 if self.chance(0.05) else 0
                table = tables.middles[roots.index(root)]
                self.double(table + 8 * free, (place(RAM) >> 12) << 10 | odd | flags)
                address = root << 30 | free << 21 | page - RAM
            else:
                root = roots[2]
                odd = random.choice((1, 0x200, 0x20000)) << 10 if self.chance(0.05) else 0
                base = place(RAM) & ~((1 << 30) - 1)
                self.double(tables.root + 8 * root, (base >> 12) << 10 | odd | flags)
                address = root << 30 | place(RAM) - base | page - RAM
            if address >> 38:
                address |= self.ones & ~((1 << 39) - 1)
            pages.append(address ^ (random.choice((1 << 39, 1 << 63)) if self.chance(0.03) else 0))
        return pages[0], pages[1:]

    def hypervisor(self, before: Mapping[str, int]) -> dict[str, int]:
        """V, and what the hypervisor extension adds to the CSRs but vsatp and hgatp."""
        random = self.random
        virtual = before["priv"] != 3 and self.chance(0.6)
        injected = self.bits(_VS_INTERRUPTS) if self.chance(0.5) else 0
        status = sum(1 << bit for bit in _H_STATUS_BITS if self.chance(0.4))
        previous = random.choice((0, 1)) << 39 | random.choice((0, 1)) << 38
        counters = {"hcounteren": self.bits(7)}
        if virtual and before["priv"] == 0 and "csr" in self.instruction[1] and self.chance(0.5):
            counters = self.counters()
        return {
            "virt": int(virtual),
            "mstatus": before["mstatus"] | previous,
            "medeleg": before["medeleg"] | self.bits(_H_EXCEPTIONS),
            "mie": before["mie"] | (self.bits(_VS_INTERRUPTS) if self.chance(0.4) else 0),
            "mip": before["mip"] | injected,
            "hvip": injected,
            "hstatus": status,
            "hedeleg": self.bits(_GUEST_EXCEPTIONS),
            "hideleg": self.bits(_VS_INTERRUPTS),
            **counters,
            "henvcfg": 0,
            "htimedelta": self.word(),
            "htval": self.word(),
            "htinst": 0,
            "mtval2": self.word(),
            "mtinst": 0,
            "vsstatus": sum(1 << bit for bit in _VS_STATUS_BITS if self.chance(0.4)),
            "vstvec": self.word() & ~2,
            "vsscratch": self.word(),
            "vsepc": self.word() & ~3,
            "vscause": self.word(),
            "vstval": self.word(),
            "vsatp": random.getrandbits(60),
            "hgatp": random.getrandbits(58) & ~3,
        }

    def guest_addresses(
        self, before: dict[str, int], code: int, data: list[int]
    ) -> tuple[int, list[int]]:
        """Where the pages are as VS or VU mode sees them, if that matters."""
        virtual = before["virt"] == 1
        through = self.instruction[0].name.startswith(("HLV", "HSV"))
        previous = before["mstatus"] & _MPRV and before["mstatus"] >> 39 & 1
        if not (virtual or through or previous):
            return code, data
        mode = before["priv"] if virtual else before["hstatus"] >> 8 & 1
        if previous and not through:
            mode = 0 if before["mstatus"] >> 11 & 3 == 0 else 1
        place = self.second_stage(before)
        guest_code, guest_data = place(CODE_PAGE), [place(page) for page in DATA_PAGES]
        if self.chance(0.6):
            asid = self.random.getrandbits(16)
            before["vsatp"] = 8 << 60 | asid << 44 | place(VIRTUAL_ROOT) >> 12
            tables = _Tables(VIRTUAL_ROOT, VIRTUAL_MIDDLES, VIRTUAL_LEAVES, place)
            guest_code, guest_data = self.long_tables(mode, tables)
        if virtual:
            return guest_code, guest_data
        if self.instruction[0].name.startswith("HLVX") and self.chance(0.8):
            return code, [guest_code]
        return code, guest_data + (data if self.chance(0.2) else [])

    def second_stage(self, before: dict[str, int]) -> Callable[[int], int]:
        """Where each page is in guest physical memory: tables of Sv39x4, or none."""
        random = self.random
        if self.chance(0.3):
            return lambda page: page
        vmid = random.getrandbits(14)
        before["hgatp"] = 8 << 60 | vmid << 44 | GUEST_ROOT >> 12
        root = random.choice((0, 1, 2, 0x1FF, 0x200, 0x7FF, random.randrange(2048)))
        root %= self.guest_roots
        middle, level = random.choice((0, 1, 0x1FF, random.randrange(512))), random.randrange(3)
        good = V | R | W | X | USER | A | D
        flags = good ^ (1 << random.randrange(8) if self.chance(0.1) else 0)
        odd = random.choice((1, 0x100)) << 10 if self.chance(0.03) else 0
        if level == 2:
            self.double(GUEST_ROOT + 8 * root, (RAM >> 12) << 10 | odd | flags)
            return lambda page: root << 30 | page - RAM
        self.pointer(GUEST_ROOT + 8 * root, GUEST_MIDDLE)
        if level == 1:
            self.double(GUEST_MIDDLE + 8 * middle, (RAM >> 12) << 10 | odd | flags)
            return lambda page: root << 30 | middle << 21 | page - RAM
        self.pointer(GUEST_MIDDLE + 8 * middle, GUEST_LEAF)
        pages = (CODE_PAGE, *DATA_PAGES, VIRTUAL_ROOT, *VIRTUAL_MIDDLES, *VIRTUAL_LEAVES)
        entries = dict(zip(pages, random.sample(range(1, 512), len(pages)), strict=True))
        for page, entry in entries.items():
            flags = good
            for bit in (V, R, W, X, USER, A, D):
                if self.chance(0.015):
                    flags ^= bit
            self.double(GUEST_LEAF + 8 * entry, (page >> 12) << 10 | flags)
        return lambda page: root << 30 | middle << 21 | entries.get(page, 0) << 12

    def pointer(self, address: int, table: int) -> None:
        """An entry that points to a table, seldom with bits that it must not have."""
        stray = self.random.choice((A, D, USER, G, 0x100)) if self.chance(0.03) else 0
        self.double(address, (table >> 12) << 10 | V | stray)

    def double(self, address: int, value: int) -> None:
        """An entry of 8 bytes, seldom with one of the bits that extensions use."""
        if self.chance(0.02):
            value |= 1 << self.random.choice((54, 60, 61, 62, 63))
        self.memory[address] = value & 0xFFFF_FFFF
        self.memory[address + 4] = value >> 32

    def flags(self, rights: int, user: int) -> int:
        """The low ten bits of a leaf entry: mostly what lets an access through."""
        random = self.random
        flags = V | A | user | (random.getrandbits(10) & (G | 0x300))
        flags |= rights or random.choice((R, R | W, R | W | D, R | W | D, R | X, X))
        if rights and self.chance(0.5):
            flags |= R
        for bit in (V, R, W, X, USER, A, D):
            if self.chance(0.02 if rights else 0.06):
                flags ^= bit
        return flags

    def value(self, data: list[int], code: int) -> int:
        """What a register holds: addresses near the data pages, edges, anything."""
        random = self.random
        if self.chance(0.1):
            return 0
        if self.chance(0.6):
            near = random.choice((0, 4, 0x10, 0x7FC, 0x800, 0xFF8, 0xFFC, random.randrange(4096)))
            if self.cases.target is RV32:
                near = (near & ~3) + random.choice((0, 0, 0, 0, 1, 2, 3))
            else:
                near = (near & ~7) + random.choice((0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 6))
            return (random.choice(data) + near) & self.ones
        if self.chance(0.2):
            return (code + random.randrange(0, PAGE_BYTES, 2)) & self.ones
        return self.word()

    def code(self, at: int) -> int:
        """Lay down what is executed; how many steps that takes."""
        random, cases = self.random, self.cases
        choice = random.random()
        if choice < 0.04:
            self.memory[at] = self.noise()
            return 1
        if choice < 0.12 and at + 12 <= CODE_PAGE + PAGE_BYTES:
            base = random.randrange(1, 32)
            other = base if self.chance(0.7) else random.randrange(1, 32)
            load, store = random.choice(cases.pairs) if len(cases.pairs) > 1 else cases.pairs[0]
            second = cases.named(store, random, rs1=other)
            if self.chance(0.3):
                name = random.choice(("ADDI", "SW", load, "AMOADD", "FENCE"))
                second = cases.named(name, random, **({"rs1": base} if name == "SW" else {"rd": 0}))
            self.memory[at] = cases.named(load, random, rd=0, rs1=base)
            self.memory[at + 4] = second
            self.memory[at + 8] = cases.named(store, random, rs1=base)
            return 3
        self.memory[at] = cases.word(*self.instruction)
        return 1

    def noise(self) -> int:
        """A word that is no instruction, here or in any extension that an oracle may have."""
        random = self.random
        while True:
            opcode = random.choice(_OPCODES[self.cases.target.xlen])
            word = random.getrandbits(32) & ~0x7F | opcode
            is_csr = opcode == 0x73 and word >> 12 & 3 != 0
            if not is_csr and not self.cases.is_instruction(word):
                return word
