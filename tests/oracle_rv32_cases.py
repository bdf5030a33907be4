"""Random cases for the RV32 oracles: instructions, states near every edge, page tables."""

from collections.abc import Mapping
from random import Random

from spec.encoding import Codec
from spec.ir import Field, Instruction, Isa
from tests.oracle_rv32 import (
    CODE_PAGE,
    DATA_PAGES,
    LEAF_TABLES,
    PAGE_BYTES,
    RAM,
    ROOT_TABLE,
    Case,
)

_EDGES = (0, 1, 2, 3, 4, 0x7FF, 0x800, 0xFFF, 0x7FFF_FFFF, 0x8000_0000, 0x8000_0001, 0xFFFF_FFFE)
_ALL_ONES = 0xFFFF_FFFF
_STATUS_BITS = (1, 3, 5, 7, 8, 18, 19, 20, 21, 22)
_MPRV = 1 << 17
_EXCEPTIONS = 0xB3FF
_INTERRUPTS = 0xAAA
_SUPERVISOR_INTERRUPTS = 0x222

V, R, W, X, USER, G, A, D = (1 << bit for bit in range(8))
LR_W, SC_W = "LR.W", "SC.W"


class Cases:
    """Cases by number: the same number gives the same case, for one description."""

    def __init__(self, isa: Isa) -> None:
        self._codec = Codec(isa)
        self._instructions = {i.name: i for i in isa.instructions}
        by_name = self._instructions
        csr = [i for i in isa.instructions if any(f.values for f in i.fields)]
        system = [by_name[n] for n in ("MRET", "SRET", "WFI", "ECALL", "EBREAK", "SFENCE.VMA")]
        memory = [i for i in isa.instructions if i.assembly.endswith("({rs1})")]
        divide = [by_name[n] for n in ("DIV", "DIVU", "REM", "REMU", "MULH", "MULHSU")]
        self._kinds = (isa.instructions, csr, csr, system, memory, memory, divide)

    def case(self, number: int) -> Case:
        """The case of that number."""
        return _Draw(Random(number), self).case()

    def instruction(self, random: Random) -> tuple[Instruction, dict[str, int]]:
        """An instruction with operands; the kinds that the privileged manual is about are rife."""
        instruction = random.choice(random.choice(self._kinds))
        fields = {f.name: _field(random, f) for f in instruction.fields}
        if random.random() < (0.9 if fields.get("csr", 0) >> 10 == 3 else 0.2) and "csr" in fields:
            fields["rs1" if "rs1" in fields else "uimm"] = 0  # CSRRS and CSRRC then only read
        return instruction, fields

    def named(self, name: str, random: Random, **fields: int) -> int:
        """The word of an instruction, with random values in the fields that are not given."""
        instruction = self._instructions[name]
        values = {f.name: _field(random, f) for f in instruction.fields}
        return self.word(instruction, {**values, **fields})

    def word(self, instruction: Instruction, fields: Mapping[str, int]) -> int:
        """The encoded instruction."""
        return self._codec.bits(instruction, fields)[0]

    def is_instruction(self, word: int) -> bool:
        return self._codec.decode(lambda _: word) is not None


def _field(random: Random, field: Field) -> int:
    if field.values:
        return random.choice(field.values)[1]
    if field.name == "to":
        return random.getrandbits(field.width) & (~1 if random.random() < 0.2 else ~3)
    if field.name == "imm" and random.random() < 0.7:
        return random.choice((0, 0, 0, 1, 2, 4, 8, -1, -4, 0x7FF)) & ((1 << field.width) - 1)
    return random.getrandbits(field.width)


class _Draw:
    """One case in the making."""

    def __init__(self, random: Random, cases: Cases) -> None:
        self.random = random
        self.cases = cases
        self.memory: dict[int, int] = {}

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def bits(self, mask: int) -> int:
        """Some of the bits of a mask: none, all or any."""
        return self.random.choice((0, mask, self.random.getrandbits(32) & mask))

    def case(self) -> Case:
        random = self.random
        self.instruction = self.cases.instruction(random)
        before = {"priv": self.mode(), **self.control()}
        if before["priv"] == 3 and self.chance(0.4):
            before["mstatus"] |= _MPRV
        code, data = self.addresses(before)
        offset = random.choice((0, 0x100, 0xFFC, random.randrange(0, PAGE_BYTES, 4)))
        before["pc"] = code + offset
        for index in range(1, 32):
            before[f"x{index}"] = self.value(data, code)
        steps = self.code(CODE_PAGE + offset)
        return Case(before, self.memory, steps)

    def mode(self) -> int:
        """The mode; mostly one that may access the CSR, if the instruction names one."""
        mode = self.random.choice((0, 0, 1, 1, 3, 3))
        least = self.instruction[1].get("csr", 0) >> 8 & 3
        return max(mode, least) if self.chance(0.6) else mode

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
            "satp": random.getrandbits(31),
        }

    def word(self) -> int:
        random = self.random
        return random.choice(
            (random.choice(_EDGES), random.getrandbits(32), _ALL_ONES - random.getrandbits(4))
        )

    def addresses(self, before: dict[str, int]) -> tuple[int, list[int]]:
        """Where the code page and the data pages are, for the code (virtual, with a table)."""
        code, data = CODE_PAGE, list(DATA_PAGES)
        if self.chance(0.5):
            before["satp"] = 1 << 31 | self.random.getrandbits(9) << 22 | ROOT_TABLE >> 12
            virtual_code, virtual_data = self.tables(before["priv"])
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
            slip = random.choice((0, 0, 0, 0, 1, 2, 3))
            return (random.choice(data) + (near & ~3) + slip) & _ALL_ONES
        if self.chance(0.2):
            return (code + random.randrange(0, PAGE_BYTES, 2)) & _ALL_ONES
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
            second = cases.named(SC_W, random, rs1=other)
            if self.chance(0.3):
                name = random.choice(("ADDI", "SW", LR_W, "AMOADD", "FENCE"))
                second = cases.named(name, random, **({"rs1": base} if name == "SW" else {"rd": 0}))
            self.memory[at] = cases.named(LR_W, random, rd=0, rs1=base)
            self.memory[at + 4] = second
            self.memory[at + 8] = cases.named(SC_W, random, rs1=base)
            return 3
        self.memory[at] = cases.word(*self.instruction)
        return 1

    def noise(self) -> int:
        """A word that is no instruction, here or in any extension that an oracle may have."""
        random = self.random
        while True:
            opcode = random.choice((0x03, 0x0F, 0x13, 0x23, 0x2F, 0x33, 0x63, 0x67, 0x73))
            word = random.getrandbits(32) & ~0x7F | opcode
            is_csr = opcode == 0x73 and word >> 12 & 3 != 0
            if not is_csr and not self.cases.is_instruction(word):
                return word
