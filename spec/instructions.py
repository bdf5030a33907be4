"""Declarations of instructions and operands: encodings, assembly, families, bodies."""

import re
from dataclasses import dataclass

from spec import ir, syntax
from spec.declare import constants, parameters_of
from spec.lower_statements import Body
from spec.lowering import Names
from spec.rewrite import substitute
from spec.scope import Globals, reject
from spec.source import Span
from spec.types import OperandType, Value, flatten


@dataclass(frozen=True, slots=True)
class Member:
    """One instruction to lower: a declaration, and its row if it belongs to a family."""

    name: str
    node: syntax.Instruction
    row: syntax.Row | None

    @property
    def span(self) -> Span:
        return self.node.span if self.row is None else self.row.span

    def columns(self) -> dict[str, syntax.Expr]:
        if self.row is None:
            return {}
        return dict(zip(self.node.columns, self.row.values, strict=False))


def members(node: syntax.Instruction) -> list[Member]:
    """The instructions that a declaration stands for."""
    if not node.rows:
        if node.name is None:
            raise reject("E0304", "an instruction needs a name", node.span)
        return [Member(node.name, node, None)]
    for row in node.rows:
        if len(row.values) != len(node.columns):
            raise reject(
                "E0206",
                f"`{row.name}` has {len(row.values)} values for {len(node.columns)} columns",
                row.span,
            )
    return [Member(row.name, node, row) for row in node.rows]


class Encodings:
    """Lowers the pieces of an encoding and their constraints."""

    def __init__(self, globals_: Globals, unit_width: int) -> None:
        self.globals = globals_
        self.unit_width = unit_width
        self.before: syntax.Block | None = None  # what every instruction begins with

    def operand(self, node: syntax.Operand) -> None:
        """Declare an operand with its forms."""
        if node.name in self.globals.operands:
            raise reject("E0301", f"operand `{node.name}` is declared twice", node.span)
        tag_width = max(1, (len(node.alternatives) - 1).bit_length())
        forms: list[ir.Alternative] = []
        for tag, alternative in enumerate(node.alternatives):
            if any(alternative.name == f.name for f in forms):
                raise reject(
                    "E0301", f"form `{alternative.name}` is declared twice", alternative.span
                )
            forms.append(self._alternative(alternative, tag))
        names = [name for name, _ in forms[0].parts]
        for form, alternative in zip(forms, node.alternatives, strict=True):
            if sorted(n for n, _ in form.parts) != sorted(names):
                raise reject(
                    "E0306",
                    "every form of an operand needs the same parts: " + ", ".join(names),
                    alternative.span,
                    help='an empty part is written `part ""`',
                )
        operand = ir.Operand(node.name, tag_width, tuple(forms))
        self.globals.operands[node.name] = operand
        tags = tuple(range(len(forms)))
        self.globals.types[node.name] = OperandType(operand, tags, node.name)

    def subset(self, node: syntax.OperandSubset) -> None:
        """Declare an operand that allows some forms of another."""
        base = self.globals.types.get(node.base)
        if not isinstance(base, OperandType):
            raise self.globals.unknown("operand", node.base, node.span, list(self.globals.operands))
        by_name = {a.name: a.tag for a in base.operand.alternatives}
        for name in node.alternatives:
            if name not in by_name:
                raise self.globals.unknown("form", name, node.span, list(by_name))
        listed = {by_name[n] for n in node.alternatives}
        tags = tuple(t for t in base.tags if (t in listed) == node.keep)
        if not tags:
            raise reject("E0306", f"no form is left of `{node.base}`", node.span)
        self.globals.types[node.name] = OperandType(base.operand, tags, node.name)

    def _alternative(self, node: syntax.Alternative, tag: int) -> ir.Alternative:
        body = constants(self.globals)
        parameters, scope = parameters_of(self.globals, body, node.parameters)
        parts: dict[str, list[ir.Piece]] = {}
        current: list[ir.Piece] | None = None
        for piece in node.pieces:
            if isinstance(piece, syntax.NamePiece) and piece.name not in scope:
                if piece.name in parts:
                    raise reject("E0306", f"part `{piece.name}` is given twice", piece.span)
                current = parts[piece.name] = []
            elif current is None:
                raise reject(
                    "E0306",
                    "the name of a part comes before its bits",
                    piece.span,
                    help='for example `mode "000" reg n`',
                )
            else:
                current += self._piece(piece, scope, {})
        tail = tuple(parts.pop("tail", []))
        self._all_placed(
            parameters, [p for ps in parts.values() for p in ps] + list(tail), node.span
        )
        constraint = self._constraint(node.constraint, scope, {})
        named = tuple((name, tuple(pieces)) for name, pieces in parts.items())
        return ir.Alternative(
            node.name, tag, parameters, named, tail,
            self._template(node.assembly, parameters, node.span), constraint,
        )  # fmt: skip

    def _piece(
        self, piece: syntax.Piece, scope: dict[str, Value], columns: dict[str, syntax.Expr]
    ) -> list[ir.Piece]:
        match piece:
            case syntax.BitsPiece(bits, width):
                if width < 0:
                    raise reject("E0303", "an encoding is written with 0 and 1", piece.span)
                return [ir.BitsPiece(bits, width)] if width else []
            case syntax.NamePiece(name) if name in columns and name not in scope:
                return self._column(columns[name], scope, piece.span)
            case syntax.NamePiece(name):
                value = self._parameter(name, scope, piece.span)
                if isinstance(value.type, OperandType):
                    parts = value.type.operand.alternatives[0].parts
                    return [ir.OperandPiece(name, part) for part, _ in parts]
                return [ir.FieldPiece(name, value.expr.width - 1, 0)]
            case syntax.SlicePiece(name, high, low):
                value = self._parameter(name, scope, piece.span)
                body = constants(self.globals)
                top = body.integer(high)
                bottom = top if low is None else body.integer(low)
                if value.prefix is not None or not 0 <= bottom <= top < value.expr.width:
                    raise reject("E0210", f"`{name}` has no bits {top} to {bottom}", piece.span)
                return [ir.FieldPiece(name, top, bottom)]
            case syntax.PartPiece(name, part):
                value = self._parameter(name, scope, piece.span)
                if not isinstance(value.type, OperandType):
                    raise reject("E0306", f"`{name}` has no parts", piece.span)
                known = [p for p, _ in value.type.operand.alternatives[0].parts]
                if part not in [*known, "tail"]:
                    raise self.globals.unknown("part", part, piece.span, known)
                return [ir.OperandPiece(name, part)]

    def _column(self, value: syntax.Expr, scope: dict[str, Value], span: Span) -> list[ir.Piece]:
        match value:
            case syntax.Text(text):
                digits = text.replace("_", "").replace(" ", "")
                if any(d not in "01" for d in digits):
                    raise reject("E0303", "an encoding is written with 0 and 1", value.span)
                return [ir.BitsPiece(int(digits, 2), len(digits))] if digits else []
            case syntax.Sized(number, width):
                return [ir.BitsPiece(number, width)]
            case syntax.Name(name):
                return self._piece(syntax.NamePiece(name, span=value.span), scope, {})
            case _:
                raise reject(
                    "E0303",
                    "this column is used in the encoding",
                    value.span,
                    help='write its bits: `"0101"`',
                )

    def _parameter(self, name: str, scope: dict[str, Value], span: Span) -> Value:
        if name not in scope:
            raise self.globals.unknown("parameter", name, span, list(scope))
        return scope[name]

    def _all_placed(
        self, parameters: tuple[ir.Parameter, ...], pieces: list[ir.Piece], span: Span
    ) -> None:
        placed = {p.field for p in pieces if isinstance(p, ir.FieldPiece)}
        placed |= {p.parameter for p in pieces if isinstance(p, ir.OperandPiece)}
        for parameter in parameters:
            if parameter.name not in placed:
                raise reject(
                    "E0304",
                    f"`{parameter.name}` is not in the encoding",
                    self.globals.within(span, parameter.name),
                    help="put it where its bits stand, or remove it",
                )
            if isinstance(parameter.type, ir.OperandRef):
                operand = self.globals.operands[parameter.type.operand]
                here = {
                    p.part
                    for p in pieces
                    if isinstance(p, ir.OperandPiece) and p.parameter == parameter.name
                }
                for part, _ in operand.alternatives[0].parts:
                    if part not in here:
                        raise reject(
                            "E0304",
                            f"`{parameter.name}.{part}` is not in the encoding",
                            self.globals.within(span, parameter.name),
                            help=f"put `{parameter.name}.{part}` where its bits stand",
                        )

    def _constraint(
        self, node: syntax.Expr | None, scope: dict[str, Value], columns: dict[str, syntax.Expr]
    ) -> ir.Expr | None:
        """A pure condition over the fields; calls of pure functions are written out."""
        if node is None:
            return None
        names = Names()
        for name in scope:
            names.fresh(name)
        body = Body(self.globals, names, dict(scope), columns, next_allowed=False)
        test = body.truth(node)
        settled = substitute(test, body.out, self.globals.instances, state=False)
        if settled is None:
            raise reject(
                "E0218",
                "a restriction of operands may only compare them",
                node.span,
                note="it cannot read state or memory",
            )
        return None if settled == ir.Boolean(True) else settled

    def _template(self, text: str, parameters: tuple[ir.Parameter, ...], span: Span) -> str:
        known = [p.name for p in parameters]
        bare = re.sub(r"\{\{|\}\}|\{[A-Za-z_][A-Za-z0-9_]*(:(s|x|pc|pc\+[0-9]+|next))?\}", "", text)
        if "{" in bare or "}" in bare:
            raise reject(
                "E0306",
                "this assembly text has a hole that is not understood",
                self.globals.within(span, text),
                help="a hole is `{name}` or `{name:s}`, `:x`, `:pc`, `:pc+2`, `:next`; braces are `{{`, `}}`",
            )
        for name in re.findall(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::[^}]*)?\}", text.replace("{{", "")):
            if name not in known:
                raise self.globals.unknown("parameter", name, span, known)
        return text

    # ----------------------------------------------------------------- instructions

    def instruction(self, member: Member) -> ir.Instruction:
        """Lower one instruction."""
        node, columns = member.node, member.columns()
        body = Body(self.globals, Names(), {}, columns, next_allowed=True)
        parameters, scope = parameters_of(self.globals, body, node.parameters)
        pieces: list[ir.Piece] = []
        for piece in node.encoding:
            pieces += self._piece(piece, scope, columns)
        self._all_placed(parameters, pieces, node.span)
        self._whole_units(pieces, member)
        constraint = self._constraint(node.constraint, scope, columns)
        fields: list[ir.Field] = []
        for parameter in parameters:
            fields += flatten(parameter.name, parameter.type, self.globals.operands)
        for field in fields:
            body.names.fresh(field.name)
        beginning = Body(self.globals, body.names, {}, {}, next_allowed=True)
        if self.before is not None:
            beginning.block(self.before)
        body.scope.update(scope)
        body.block(node.body)
        return ir.Instruction(
            member.name,
            parameters,
            tuple(fields),
            tuple(pieces),
            self._assembly(member, columns, parameters),
            (*beginning.out, *body.out),
            constraint,
            doc=self._text(node.doc, member, columns),
            page=self._text(node.page, member, columns),
            span=self.globals.within(member.span, member.name),
        )

    def _whole_units(self, pieces: list[ir.Piece], member: Member) -> None:
        if any(isinstance(p, ir.OperandPiece) for p in pieces):
            return
        width = sum(p.width for p in pieces if not isinstance(p, ir.OperandPiece))
        if width % self.unit_width:
            raise reject(
                "E0303",
                f"the encoding of `{member.name}` has {width} bits",
                member.span,
                f"instructions are fetched in units of {self.unit_width} bits",
            )

    def _text(self, text: str, member: Member, columns: dict[str, syntax.Expr]) -> str:
        words = {n: v.value for n, v in columns.items() if isinstance(v, syntax.Text)}
        row = member.row
        words["name"] = (row and row.mnemonic) or member.name.lower()
        return re.sub(r"\{(\w+)\}", lambda m: words.get(m[1], m[0]), text)

    def _assembly(
        self,
        member: Member,
        columns: dict[str, syntax.Expr],
        parameters: tuple[ir.Parameter, ...],
    ) -> str:
        written = member.node.assembly
        if written is None:
            operands = ", ".join("{" + p.name + "}" for p in parameters)
            written = "{name} " + operands if operands else "{name}"
        text = self._text(written, member, columns)
        return self._template(text, parameters, member.span)
