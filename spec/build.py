"""From the parser's reductions to the syntax tree: one method per rule of the grammar."""

import re
from dataclasses import replace
from typing import Any

from lark import Token, Transformer

from spec import syntax
from spec.source import Span

OPERATOR_RANKS = {
    "||": 1,
    "&&": 2,
    "==": 3,
    "!=": 3,
    "<": 3,
    "<=": 3,
    ">": 3,
    ">=": 3,
    "|": 4,
    "^": 5,
    "&": 6,
    "++": 7,
    "<<": 8,
    ">>": 8,
    "+": 9,
    "-": 9,
    "*": 10,
    "/": 10,
    "%": 10,
}
"""How strongly binary operators bind; all are left-associative."""


def _string(token: str) -> str:
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), token[1:-1])


def _number(token: str) -> int:
    if "^" in token:
        base, exponent = token.split("^")
        power: int = int(base) ** min(int(exponent), 4096)
        return power
    digits = token.replace("_", "")
    return int(digits, 0) if digits[:2].lower() in ("0x", "0b", "0o") else int(digits)


def _sized(token: str) -> tuple[int, int]:
    """Value (cut to the width) and width."""
    width, rest = token.split("'")
    base = {"d": 10, "h": 16, "b": 2, "o": 8}[rest[0]]
    return int(rest[1:].replace("_", "") or "0", base), int(width)


def _strings(tokens: "tuple[Token, ...] | list[Token]") -> tuple[str, ...]:
    return tuple(str(t) for t in tokens)


class _Placed(str):
    """A name made of several tokens; becomes a plain `str` in the tree."""

    span: Span
    quoted: bool

    def __new__(cls, text: str, span: Span, quoted: bool = False) -> "_Placed":
        placed = super().__new__(cls, text)
        placed.span, placed.quoted = span, quoted
        return placed


def _start(child: Any) -> int | None:
    if isinstance(child, Token):
        return child.start_pos
    if isinstance(child, tuple):
        return next((s for s in map(_start, child) if s is not None), None)
    span = getattr(child, "span", None)
    return span.start if span is not None and span.end else None


def _end(child: Any) -> int | None:
    if isinstance(child, Token):
        return child.end_pos
    if isinstance(child, tuple):
        return next((e for e in map(_end, reversed(child)) if e is not None), None)
    span = getattr(child, "span", None)
    return span.end if span is not None and span.end else None


class Build(Transformer[Any, Any]):
    """Builds nodes while the parser reduces; each method is the grammar rule of its name."""

    path = ""

    def _span(self, c: list[Any]) -> Span:
        """From the first child that has a place to the last one; keywords are not children."""
        start = end = None
        for child in c:
            start = _start(child)
            if start is not None:
                break
        for child in reversed(c):
            end = _end(child)
            if end is not None:
                break
        return Span(self.path, start or 0, end or 0)

    def start(self, c: list[Any]) -> syntax.Source:
        return syntax.Source(tuple(c), span=self._span(c))

    # expressions

    def name(self, c: list[Any]) -> syntax.Name:
        return syntax.Name(str(c[0]), span=self._span(c))

    def number(self, c: list[Any]) -> syntax.Number:
        return syntax.Number(_number(c[0]), str(c[0]), span=self._span(c))

    def sized(self, c: list[Any]) -> syntax.Sized:
        value, width = _sized(c[0])
        return syntax.Sized(value, width, str(c[0]), span=self._span(c))

    def string(self, c: list[Any]) -> syntax.Text:
        return syntax.Text(_string(c[0]), span=self._span(c))

    def unary(self, c: list[Any]) -> syntax.Unary:
        return syntax.Unary(str(c[0]), c[1], span=self._span(c))

    def expr(self, c: list[Any]) -> syntax.Expr:
        position = 0

        def climb(rank: int) -> syntax.Expr:
            nonlocal position
            left: syntax.Expr = c[position]
            position += 1
            while position < len(c) and OPERATOR_RANKS[c[position]] >= rank:
                operator = str(c[position])
                position += 1
                right = climb(OPERATOR_RANKS[operator] + 1)
                span = Span(self.path, left.span.start, right.span.end)
                left = syntax.Binary(operator, left, right, span=span)
            return left

        return climb(1)

    def if_expr(self, c: list[Any]) -> syntax.IfExpr:
        return syntax.IfExpr(*c, span=self._span(c))

    def expr_arm(self, c: list[Any]) -> syntax.ExprArm:
        return syntax.ExprArm(tuple(c[:-1]), c[-1], span=self._span(c))

    def match_expr(self, c: list[Any]) -> syntax.MatchExpr:
        return syntax.MatchExpr(c[0], tuple(c[1:]), span=self._span(c))

    def call(self, c: list[Any]) -> syntax.Call:
        return syntax.Call(c[0], c[1] or (), span=self._span(c))

    def group(self, c: list[Any]) -> syntax.Expr:
        """Parentheses belong to the text of what they enclose."""
        inner: syntax.Expr = replace(c[1], span=self._span(c))
        return inner

    def index(self, c: list[Any]) -> syntax.Index:
        return syntax.Index(c[0], c[1], span=self._span(c))

    def slice(self, c: list[Any]) -> syntax.Slice:
        return syntax.Slice(c[0], c[1], c[2], span=self._span(c))

    def field(self, c: list[Any]) -> syntax.Field:
        return syntax.Field(c[0], str(c[1]), span=self._span(c))

    def arguments(self, c: list[Any]) -> tuple[Any, ...]:
        return tuple(c)

    def named_argument(self, c: list[Any]) -> syntax.Named:
        return syntax.Named(str(c[0]), c[1], span=self._span(c))

    def pattern_name(self, c: list[Any]) -> syntax.NamePattern:
        binders = None if c[1] is None else _strings(c[1])
        return syntax.NamePattern(str(c[0]), binders, span=self._span(c))

    def pattern_number(self, c: list[Any]) -> syntax.NumberPattern:
        return syntax.NumberPattern(_number(c[0]), None, str(c[0]), span=self._span(c))

    def pattern_sized(self, c: list[Any]) -> syntax.NumberPattern:
        return syntax.NumberPattern(*_sized(c[0]), str(c[0]), span=self._span(c))

    def type(self, c: list[Any]) -> syntax.Type:
        return syntax.Type(str(c[0]), c[1], c[2], span=self._span(c))

    # statements

    def block(self, c: list[Any]) -> syntax.Block:
        return syntax.Block(tuple(c), span=self._span(c))

    def let(self, c: list[Any]) -> syntax.Let:
        return syntax.Let(str(c[0]), c[1], c[2], False, span=self._span(c))

    def var(self, c: list[Any]) -> syntax.Let:
        return syntax.Let(str(c[0]), c[1], c[2], True, span=self._span(c))

    def assign_or_call(self, c: list[Any]) -> syntax.Assignment | syntax.Evaluate:
        if c[1] is None:
            return syntax.Evaluate(c[0], span=self._span(c))
        return syntax.Assignment(*c, span=self._span(c))

    def if_(self, c: list[Any]) -> syntax.If:
        return syntax.If(*c, span=self._span(c))

    def match(self, c: list[Any]) -> syntax.Match:
        return syntax.Match(c[0], tuple(c[1:]), span=self._span(c))

    def arm(self, c: list[Any]) -> syntax.Arm:
        body = c[-1]
        braces = isinstance(body, syntax.Block)
        if not braces:
            body = syntax.Block((body,), span=body.span)
        return syntax.Arm(tuple(c[:-1]), body, braces, span=self._span(c))

    def for_(self, c: list[Any]) -> syntax.For:
        return syntax.For(str(c[0]), *c[1:], span=self._span(c))

    def require(self, c: list[Any]) -> syntax.Require:
        return syntax.Require(*c, span=self._span(c))

    def trap(self, c: list[Any]) -> syntax.Trap:
        name = None if c[2] is None else str(c[2])
        return syntax.Trap(str(c[0]), c[1] or (), name, span=self._span(c))

    trap_target = trap

    def wait(self, c: list[Any]) -> syntax.Wait:
        return syntax.Wait(span=self._span(c))

    def return_(self, c: list[Any]) -> syntax.Return:
        return syntax.Return(c[0], span=self._span(c))

    # declarations

    def isa(self, c: list[Any]) -> syntax.Title:
        return syntax.Title(_string(c[0]), span=self._span(c))

    def bindings(self, c: list[Any]) -> tuple[Any, ...]:
        return tuple(c)

    binding = named_argument

    def extends(self, c: list[Any]) -> syntax.Extends:
        return syntax.Extends(_string(c[0]), c[1] or (), span=self._span(c))

    def include(self, c: list[Any]) -> syntax.Include:
        return syntax.Include(_string(c[0]), span=self._span(c))

    def source(self, c: list[Any]) -> syntax.Remark:
        return syntax.Remark("source", _string(c[0]), span=self._span(c))

    def note(self, c: list[Any]) -> syntax.Remark:
        return syntax.Remark("note", _string(c[0]), span=self._span(c))

    def param(self, c: list[Any]) -> syntax.Param:
        return syntax.Param(str(c[0]), c[1], span=self._span(c))

    def items(self, c: list[Any]) -> tuple[Any, ...]:
        return tuple(c)

    def when(self, c: list[Any]) -> syntax.When:
        return syntax.When(*c, span=self._span(c))

    def remove(self, c: list[Any]) -> syntax.Remove:
        return syntax.Remove(str(c[0]), str(c[1]), span=self._span(c))

    def replace(self, c: list[Any]) -> syntax.Replace:
        return syntax.Replace(c[0], span=self._span(c))

    def typedef(self, c: list[Any]) -> syntax.TypeDef:
        return syntax.TypeDef(str(c[0]), c[1], span=self._span(c))

    def member(self, c: list[Any]) -> syntax.Member:
        name, first, last, *_, value = c
        return syntax.Member(str(name), value, first, last, span=self._span(c))

    def members(self, c: list[Any]) -> tuple[Any, ...]:
        return tuple(c)

    def enum(self, c: list[Any]) -> syntax.Enum:
        return syntax.Enum(str(c[0]), c[1], c[2], span=self._span(c))

    def mode(self, c: list[Any]) -> syntax.Mode:
        return syntax.Mode(str(c[0]), *c[1:], span=self._span(c))

    def field_at_bit(self, c: list[Any]) -> syntax.StructField:
        return syntax.StructField(str(c[0]), c[1], c[1], None, span=self._span(c))

    def field_at_range(self, c: list[Any]) -> syntax.StructField:
        return syntax.StructField(str(c[0]), c[1], c[2], None, span=self._span(c))

    def field_packed(self, c: list[Any]) -> syntax.StructField:
        return syntax.StructField(str(c[0]), None, None, c[1], span=self._span(c))

    def struct(self, c: list[Any]) -> syntax.Struct:
        return syntax.Struct(str(c[0]), c[1], tuple(c[2:]), span=self._span(c))

    def names(self, c: list[Any]) -> syntax.Names:
        texts = tuple(_string(t) for t in c[2:])
        return syntax.Names(str(c[0]), c[1], texts, span=self._span(c))

    def name_list(self, c: list[Any]) -> tuple[Token, ...]:
        return tuple(c)

    def state(self, c: list[Any]) -> syntax.State:
        return syntax.State(str(c[0]), _strings(c[1]), *c[2:], span=self._span(c))

    def bank_member(self, c: list[Any]) -> tuple[str, str]:
        return str(c[0]), str(c[1])

    def bank(self, c: list[Any]) -> syntax.Bank:
        return syntax.Bank(str(c[0]), c[1], tuple(c[2:-1]), c[-1], span=self._span(c))

    def alias(self, c: list[Any]) -> syntax.Alias:
        return syntax.Alias(str(c[0]), c[1], c[2], span=self._span(c))

    def memory(self, c: list[Any]) -> syntax.Memory:
        endian = None if c[2] is None else str(c[2])
        return syntax.Memory(str(c[0]), c[1], endian, span=self._span(c))

    def fetch(self, c: list[Any]) -> syntax.Fetch:
        return syntax.Fetch(*c, span=self._span(c))

    def parameter(self, c: list[Any]) -> syntax.Parameter:
        return syntax.Parameter(str(c[0]), c[1], span=self._span(c))

    def parameters(self, c: list[Any]) -> tuple[syntax.Parameter, ...]:
        """A parameter without a type takes the next one's."""
        given: list[syntax.Parameter] = [p for p in c if p is not None]
        later: syntax.Type | None = None
        typed: list[syntax.Parameter] = []
        for parameter in reversed(given):
            later = parameter.type or later
            typed.append(syntax.Parameter(parameter.name, later, span=parameter.span))
        return tuple(reversed(typed))

    def translate(self, c: list[Any]) -> syntax.Translate:
        return syntax.Translate(c[0], c[2], span=self._span(c))

    def function(self, c: list[Any]) -> syntax.Function:
        return syntax.Function(str(c[0]), *c[1:], span=self._span(c))

    def accessor(self, c: list[Any]) -> syntax.Accessor:
        return syntax.Accessor(str(c[0]), c[1], c[2], c[3], str(c[4]), c[5], span=self._span(c))

    def cause(self, c: list[Any]) -> syntax.Cause:
        return syntax.Cause(str(c[0]), c[1] or (), str(c[2]), c[3], span=self._span(c))

    def undecodable(self, c: list[Any]) -> syntax.Undecodable:
        return syntax.Undecodable(c[0], span=self._span(c))

    def interrupt(self, c: list[Any]) -> syntax.Interrupt:
        return syntax.Interrupt(str(c[0]), c[1], c[2], span=self._span(c))

    def invariant(self, c: list[Any]) -> syntax.Invariant:
        return syntax.Invariant(c[0], span=self._span(c))

    def before(self, c: list[Any]) -> syntax.Before:
        return syntax.Before(c[0], span=self._span(c))

    def piece_bits(self, c: list[Any]) -> syntax.BitsPiece:
        text = _string(c[0])
        digits = text.replace("_", "").replace(" ", "")
        valid = all(d in "01" for d in digits)
        value = int(digits, 2) if digits and valid else 0
        width = len(digits) if valid else -1
        return syntax.BitsPiece(value, width, str(c[0]), span=self._span(c))

    def piece_sized(self, c: list[Any]) -> syntax.BitsPiece:
        value, width = _sized(c[0])
        return syntax.BitsPiece(value, width, str(c[0]), span=self._span(c))

    def piece_name(self, c: list[Any]) -> syntax.NamePiece:
        return syntax.NamePiece(str(c[0]), span=self._span(c))

    def piece_bit(self, c: list[Any]) -> syntax.SlicePiece:
        return syntax.SlicePiece(str(c[0]), c[1], None, span=self._span(c))

    def piece_slice(self, c: list[Any]) -> syntax.SlicePiece:
        return syntax.SlicePiece(str(c[0]), c[1], c[2], span=self._span(c))

    def piece_part(self, c: list[Any]) -> syntax.PartPiece:
        return syntax.PartPiece(str(c[0]), str(c[1]), span=self._span(c))

    def alternative(self, c: list[Any]) -> syntax.Alternative:
        _, name, parameters, *pieces, constraint, assembly = c
        return syntax.Alternative(
            str(name),
            parameters or (),
            tuple(pieces),
            constraint,
            _string(assembly),
            span=Span(self.path, name.start_pos, c[-1].end_pos),
        )

    def operand(self, c: list[Any]) -> syntax.Operand:
        return syntax.Operand(str(c[0]), tuple(c[1:]), span=self._span(c))

    def operand_subset(self, c: list[Any]) -> syntax.OperandSubset:
        keep = str(c[2]) == "only"
        return syntax.OperandSubset(str(c[0]), str(c[1]), keep, _strings(c[3]), span=self._span(c))

    def instruction_name(self, c: list[Any]) -> "_Placed":
        quoted = c[0].type == "STRING"
        return _Placed(_string(c[0]) if quoted else ".".join(c), self._span(c), quoted)

    def where(self, c: list[Any]) -> tuple[str, Any]:
        return "where", c[0]

    def asm(self, c: list[Any]) -> tuple[str, Any]:
        return "asm", _string(c[0])

    def doc(self, c: list[Any]) -> tuple[str, Any]:
        return "doc", _string(c[0])

    def page(self, c: list[Any]) -> tuple[str, Any]:
        return "page", _string(c[0])

    def instruction(self, c: list[Any]) -> syntax.Instruction:
        name, parameters, *rest, body = c
        pieces = tuple(p for p in rest if not isinstance(p, tuple))
        clauses: dict[str, Any] = dict(p for p in rest if isinstance(p, tuple))
        return syntax.Instruction(
            None if name is None else str(name),
            parameters or (),
            pieces,
            clauses.get("where"),
            clauses.get("asm"),
            clauses.get("doc", ""),
            clauses.get("page", ""),
            body,
            span=self._span(c),
        )

    def row(self, c: list[Any]) -> syntax.Row:
        bar, name, mnemonic, *values = c
        return syntax.Row(
            str(name),
            name.quoted,
            None if mnemonic is None else _string(mnemonic),
            tuple(v for v in values if v is not None),
            span=Span(self.path, bar.end_pos, _end(c[-1] or c[1]) or bar.end_pos),
        )

    def family(self, c: list[Any]) -> syntax.Instruction:
        columns, *rows, template = c
        return syntax.Instruction(
            template.name,
            template.parameters,
            template.encoding,
            template.constraint,
            template.assembly,
            template.doc,
            template.page,
            template.body,
            _strings(columns or ()),
            tuple(rows),
            span=self._span(c),
        )

    def as_modes(self, c: list[Any]) -> syntax.AsModes:
        return syntax.AsModes(_strings(c[0]), str(c[1]), span=self._span(c))

    def constrain(self, c: list[Any]) -> syntax.Constrain:
        return syntax.Constrain(c[0], span=self._span(c))

    def component(self, c: list[Any]) -> "_Placed":
        return _Placed(".".join(c), self._span(c))

    def kept(self, c: list[Any]) -> tuple[Any, ...]:
        return tuple(c)

    def keep(self, c: list[Any]) -> syntax.Keep:
        kept = tuple((str(name), None if home is None else str(home)) for name, home in c[1:])
        return syntax.Keep(str(c[0]), kept, span=self._span(c))

    def compose(self, c: list[Any]) -> syntax.Compose:
        member = None if c[1] is None else str(c[1])
        return syntax.Compose(str(c[0]), member, c[2], span=self._span(c))

    def page_cells(self, c: list[Any]) -> syntax.PageSize:
        return syntax.PageSize(c[0], span=self._span(c))

    def monitor_cells(self, c: list[Any]) -> syntax.MonitorSize:
        return syntax.MonitorSize(c[0], c[1], span=self._span(c))

    def install(self, c: list[Any]) -> syntax.TableRoutine:
        return syntax.TableRoutine("install", c[0], c[1], span=self._span(c))

    def uninstall(self, c: list[Any]) -> syntax.TableRoutine:
        return syntax.TableRoutine("remove", c[0], c[1], span=self._span(c))

    def linked(self, c: list[Any]) -> syntax.Linked:
        return syntax.Linked(str(c[0]), c[1], span=self._span(c))

    def virtualize(self, c: list[Any]) -> syntax.Virtualize:
        return syntax.Virtualize(str(c[0]), tuple(c[1:]), span=self._span(c))

    def claim(
        self, c: list[syntax.ClaimProperty | syntax.ClaimEscapes]
    ) -> syntax.ClaimProperty | syntax.ClaimEscapes:
        return c[0]

    def literature(self, c: list[Any]) -> syntax.Literature:
        author, claim, but = c
        why = "" if but is None else _string(but)
        return syntax.Literature(_string(author), claim, why, span=self._span(c))

    def said_property(self, c: list[Any]) -> syntax.ClaimProperty:
        subject, operands, verdict, negated, name, *components, configuration = c
        return syntax.ClaimProperty(
            str(subject),
            None if operands is None else str(operands),
            None if verdict is None else str(verdict),
            negated is not None,
            str(name),
            tuple(str(k) for k in components if k is not None),
            None if configuration is None else str(configuration),
            span=self._span(c),
        )

    def said_escapes(self, c: list[Any]) -> syntax.ClaimEscapes:
        name, _, include, *instructions = c
        return syntax.ClaimEscapes(
            str(name), _strings(instructions), include is None, span=self._span(c)
        )

    def said_no_escapes(self, c: list[Any]) -> syntax.ClaimEscapes:
        return syntax.ClaimEscapes(str(c[0]), (), True, span=self._span(c))


# Rules named like Python keywords.
setattr(Build, "if", Build.if_)
setattr(Build, "for", Build.for_)
setattr(Build, "return", Build.return_)
