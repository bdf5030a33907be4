"""Small descriptions, built by hand, whose encodings are awkward in one way each."""

from spec.ir import (
    Alternative,
    Binary,
    BinaryOp,
    BitsPiece,
    Compare,
    CompareOp,
    Element,
    Expr,
    Fetch,
    Field,
    FieldPiece,
    FieldType,
    Instruction,
    Isa,
    Literal,
    Local,
    Logic,
    LogicOp,
    Memory,
    Mode,
    Operand,
    OperandPiece,
    OperandRef,
    Parameter,
    Piece,
    Role,
    Trap,
    TrapClass,
)


def isa_of(
    instructions: tuple[Instruction, ...],
    operands: tuple[Operand, ...] = (),
    *,
    unit_width: int = 16,
    cell_width: int = 16,
    big_endian: bool = True,
    address_width: int = 16,
) -> Isa:
    return Isa(
        name="toy",
        title="Toy",
        sources=(),
        notes=(),
        elements=(
            Element("M", 1, Role.MODE, values=(("user", 0), ("supervisor", 1))),
            Element("P", address_width, Role.PC),
        ),
        banks=(),
        mode=Mode("M", 1, (("user", 0), ("supervisor", 1))),
        pc="P",
        memory=Memory("E", cell_width, address_width, big_endian),
        fetch=Fetch(unit_width),
        translate="translate",
        functions=(),
        operands=operands,
        instructions=instructions,
        causes=(),
        undecodable=Trap("undecodable", TrapClass.FAULT),
        interrupts=(),
        invariants=(),
        configurations=(),
        claims=(),
    )


def pieces(text: str, **widths: int) -> tuple[Piece, ...]:
    """Pieces written as in a description: `"0101" rd imm[11:5] src.mode`."""
    made: list[Piece] = []
    for word in text.split():
        name, _, part = word.partition(".")
        if set(word) <= {"0", "1"}:
            made.append(BitsPiece(int(word, 2), len(word)))
        elif part:
            made.append(OperandPiece(name, part))
        elif "[" in word:
            name, _, bits = word.rstrip("]").partition("[")
            high, _, low = bits.partition(":")
            made.append(FieldPiece(name, int(high), int(low or high)))
        else:
            made.append(FieldPiece(word, widths[word] - 1, 0))
    return tuple(made)


def alternative(
    name: str,
    tag: int,
    parameters: dict[str, FieldType | OperandRef],
    parts: dict[str, str],
    tail: str = "",
    assembly: str = "",
    constraint: Expr | None = None,
) -> Alternative:
    widths = {n: t.width for n, t in parameters.items() if isinstance(t, FieldType)}
    return Alternative(
        name,
        tag,
        tuple(Parameter(n, t) for n, t in parameters.items()),
        tuple((part, pieces(text, **widths)) for part, text in parts.items()),
        pieces(tail, **widths),
        assembly,
        constraint,
    )


def instruction(
    name: str,
    parameters: dict[str, FieldType | OperandRef],
    encoding: str,
    assembly: str = "",
    operands: tuple[Operand, ...] = (),
    constraint: Expr | None = None,
) -> Instruction:
    widths = {n: t.width for n, t in parameters.items() if isinstance(t, FieldType)}
    made = tuple(Parameter(n, t) for n, t in parameters.items())
    return Instruction(
        name,
        made,
        tuple(_flatten(made, "", {operand.name: operand for operand in operands})),
        pieces(encoding, **widths),
        assembly,
        (),
        constraint,
    )


def _flatten(
    parameters: tuple[Parameter, ...], scope: str, operands: dict[str, Operand]
) -> list[Field]:
    fields: list[Field] = []
    for parameter in parameters:
        path = scope + parameter.name
        match parameter.type:
            case FieldType(width, values):
                fields.append(Field(path, width, values))
            case OperandRef(name, tags):
                operand = operands[name]
                fields.append(Field(f"{path}.tag", operand.tag_width))
                for one in operand.alternatives:
                    if one.tag in tags:
                        fields += _flatten(one.parameters, f"{path}.{one.name}.", operands)
    return fields


def bits(width: int) -> FieldType:
    return FieldType(width)


def differs(name: str, value: int, width: int) -> Expr:
    return Compare(CompareOp.NE, Local(name, width), Literal(value, width))


def both(left: Expr, right: Expr) -> Expr:
    return Logic(LogicOp.AND, left, right)


def registers(prefix: str, width: int) -> FieldType:
    return FieldType(width, names=tuple((f"{prefix}{i}",) for i in range(1 << width)))


# ---------------------------------------------------------------- 16 bits, one unit and two

CONDITION = FieldType(2, values=(("EQ", 0), ("NE", 1), ("CS", 3)))
R3 = registers("r", 3)

WORD_TOY = isa_of(
    (
        instruction(
            "ADD",
            {"rd": R3, "ra": R3, "rb": R3},
            "0001 rd ra rb 000",
            "{name} {rd}, {ra}, {rb}",
        ),
        instruction(
            "ADDI",
            {"rd": R3, "imm": bits(6)},
            "0001 rd imm[5:1] imm[0] 1 00",
            "{name} {rd}, {imm:s}",
        ),
        instruction(
            "MOV",
            {"rd": R3, "rs": R3},
            "0010 rd rs 000000",
            "{name} {rd}, {rs}",
            constraint=Compare(CompareOp.NE, Local("rd", 3), Local("rs", 3)),
        ),
        instruction("SET", {"rd": R3}, "0010 rd[2:0] rd[2:0] 000000", "set {rd}"),
        instruction(
            "BR",
            {"c": CONDITION, "off": bits(9)},
            "0011 c off[8:1] 00",
            "b{c} {off:pc}",
        ),
        instruction(
            "SUM",
            {"a": bits(5), "b": bits(4)},
            "0100 a b 000",
            "{name} {a}, {b:x}",
            constraint=Compare(
                CompareOp.ULT,
                Binary(BinaryOp.XOR, Local("a", 5), Local("a", 5), 5),
                Local("a", 5),
            ),
        ),
        instruction("LONG", {"imm": bits(16)}, "0101000000000000 imm", "{name} {imm:x}"),
        instruction("HALT", {}, "1111111111111111", "halt"),
    )
)

# ---------------------------------------------------------------- prefixes, ModRM, SIB

R32 = registers("e", 3)
PREFIX = Operand(
    "prefix",
    1,
    (
        alternative("none", 0, {}, {"p": ""}, assembly=""),
        alternative("wide", 1, {}, {"p": "01100110"}, assembly="wide "),
    ),
)
SIB = Operand(
    "sib",
    2,
    (
        alternative(
            "index",
            0,
            {"s": bits(2), "i": R32, "b": R32},
            {"byte": "s i b"},
            assembly="[{b}+{i}*{s}]",
            constraint=differs("i", 4, 3),
        ),
        alternative("plain", 1, {"b": R32}, {"byte": "00 100 b"}, assembly="[{b}]"),
    ),
)
MODRM = Operand(
    "modrm",
    3,
    (
        alternative("reg", 0, {"r": R32}, {"mod": "11", "rm": "r"}, assembly="{r}"),
        alternative(
            "at",
            1,
            {"r": R32},
            {"mod": "00", "rm": "r"},
            assembly="[{r}]",
            constraint=both(differs("r", 4, 3), differs("r", 5, 3)),
        ),
        alternative(
            "absolute", 2, {"d": bits(32)}, {"mod": "00", "rm": "101"}, "d", assembly="[{d:x}]"
        ),
        alternative(
            "near",
            3,
            {"r": R32, "d": bits(8)},
            {"mod": "01", "rm": "r"},
            "d",
            assembly="[{r}+{d:s}]",
            constraint=differs("r", 4, 3),
        ),
        alternative(
            "scaled",
            4,
            {"sib": OperandRef("sib", (0, 1))},
            {"mod": "00", "rm": "100"},
            "sib.byte",
            assembly="{sib}",
        ),
    ),
)
RM = OperandRef("modrm", (0, 1, 2, 3, 4))
MEM = OperandRef("modrm", (1, 2, 3, 4))
PRE = OperandRef("prefix", (0, 1))
_BYTE_OPERANDS = (PREFIX, SIB, MODRM)

BYTE_TOY = isa_of(
    (
        instruction(
            "ADD",
            {"p": PRE, "rm": RM, "r": R32},
            "p.p 00000001 rm.mod r rm.rm",
            "{p}add {rm}, {r}",
            _BYTE_OPERANDS,
        ),
        instruction(
            "ADD_I8",
            {"p": PRE, "rm": RM, "imm": bits(8)},
            "p.p 10000011 rm.mod 000 rm.rm rm.tail imm",
            "{p}add {rm}, {imm:s}",
            _BYTE_OPERANDS,
        ),
        instruction(
            "ADD_I32",
            {"p": PRE, "rm": RM, "imm": bits(32)},
            "p.p 10000001 rm.mod 000 rm.rm rm.tail imm",
            "{p}add {rm}, {imm:s}",
            _BYTE_OPERANDS,
        ),
        instruction(
            "LEA",
            {"rm": MEM, "r": R32},
            "10001101 rm.mod r rm.rm",
            "lea {r}, {rm}",
            _BYTE_OPERANDS,
        ),
        instruction(
            "MOV",
            {"r": R32, "imm": bits(32)},
            "10111 r imm",
            "mov {r}, {imm:x}",
        ),
        instruction("JMP", {"d": bits(8)}, "11101011 d", "jmp {d:next}"),
        instruction("JMP_LONG", {"d": bits(32)}, "11101001 d", "jmp {d:next}"),
        instruction("NOP", {}, "10010000", "nop"),
        instruction("SYS", {}, "0000111100000101", "sys"),
    ),
    _BYTE_OPERANDS,
    unit_width=8,
    cell_width=8,
    big_endian=False,
    address_width=32,
)

# ---------------------------------------------------------------- effective addresses

EA = Operand(
    "ea",
    3,
    (
        alternative("dn", 0, {"n": registers("d", 3)}, {"mode": "000", "reg": "n"}, assembly="{n}"),
        alternative(
            "ind", 1, {"n": registers("a", 3)}, {"mode": "010", "reg": "n"}, assembly="({n})"
        ),
        alternative(
            "disp",
            2,
            {"n": registers("a", 3), "d": bits(16)},
            {"mode": "101", "reg": "n"},
            "d",
            "{d:s}({n})",
        ),
        alternative("absw", 3, {"d": bits(16)}, {"mode": "111", "reg": "000"}, "d", "{d:x}.w"),
        alternative("absl", 4, {"d": bits(32)}, {"mode": "111", "reg": "001"}, "d", "{d:x}.l"),
        alternative("imm", 5, {"d": bits(16)}, {"mode": "111", "reg": "100"}, "d", "#{d:s}"),
    ),
)
ANY_EA = OperandRef("ea", (0, 1, 2, 3, 4, 5))
ALTERABLE_EA = OperandRef("ea", (0, 1, 2, 3, 4))
MEMORY_EA = OperandRef("ea", (1, 2, 3, 4))

EA_TOY = isa_of(
    (
        instruction(
            "MOVE.W",
            {"src": ANY_EA, "dst": ALTERABLE_EA},
            "0011 dst.reg dst.mode src.mode src.reg",
            "move.w {src}, {dst}",
            (EA,),
        ),
        instruction(
            "CLR.W", {"dst": ALTERABLE_EA}, "0100001001 dst.mode dst.reg", "clr.w {dst}", (EA,)
        ),
        instruction(
            "MOVEM",
            {"list": bits(16), "dst": MEMORY_EA},
            "0100100010 dst.mode dst.reg list",
            "movem {list:x}, {dst}",
            (EA,),
        ),
        instruction(
            "BRA", {"d": bits(8)}, "01100000 d", "bra {d:pc+2}", constraint=differs("d", 0, 8)
        ),
        instruction("BRA.W", {"d": bits(16)}, "0110000000000000 d", "bra {d:pc+2}"),
        instruction("STOP", {"imm": bits(16)}, "0100111001110010 imm", "stop #{imm:x}"),
        instruction("TRAP", {"n": bits(4)}, "010011100100 n", "trap #{n}"),
    ),
    (EA,),
    unit_width=16,
    cell_width=8,
    big_endian=True,
    address_width=24,
)

# ---------------------------------------------------------------- scattered immediates

X = FieldType(5, names=tuple((f"x{i}", "zero") if i == 0 else (f"x{i}",) for i in range(32)))
CSR = FieldType(12, values=(("fflags", 0x001), ("mstatus", 0x300), ("satp", 0x180)))

SCATTERED_TOY = isa_of(
    (
        instruction(
            "JAL",
            {"rd": X, "imm": bits(21)},
            "imm[20] imm[10:1] imm[11] imm[19:12] rd 1101111",
            "jal {rd}, {imm:pc}",
        ),
        instruction(
            "BEQ",
            {"rs1": X, "rs2": X, "imm": bits(13)},
            "imm[12] imm[10:5] rs2 rs1 000 imm[4:1] imm[11] 1100011",
            "beq {rs1}, {rs2}, {imm:pc}",
        ),
        instruction(
            "SW",
            {"rs1": X, "rs2": X, "imm": bits(12)},
            "imm[11:5] rs2 rs1 010 imm[4:0] 0100011",
            "sw {rs2}, {imm:s}({rs1})",
        ),
        instruction(
            "ADDI",
            {"rd": X, "rs1": X, "imm": bits(12)},
            "imm rs1 000 rd 0010011",
            "addi {rd}, {rs1}, {imm:s}",
        ),
        instruction(
            "CSRRW",
            {"csr": CSR, "rd": X, "rs1": X},
            "csr rs1 001 rd 1110011",
            "csrrw {rd}, {csr}, {rs1}",
        ),
        instruction("ECALL", {}, "00000000000000000000000001110011", "ecall"),
    ),
    unit_width=32,
    cell_width=8,
    big_endian=False,
    address_width=32,
)

TOYS = {"word": WORD_TOY, "byte": BYTE_TOY, "ea": EA_TOY, "scattered": SCATTERED_TOY}
