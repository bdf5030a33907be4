"""From the parser's reductions to the syntax tree of declarations: one method per rule of the grammar."""

from typing import Any

from lark import Token

from spec import syntax
from spec.build_bodies import BuildBodies, end_of, sized_of, text_of, texts_of
from spec.source import Span


class _Placed(str):
    """A name made of several tokens; becomes a plain `str` in the tree."""

    span: Span
    quoted: bool

    def __new__(cls, text: str, span: Span, quoted: bool = False) -> "_Placed":
        placed = super().__new__(cls, text)
        placed.span, placed.quoted = span, quoted
        return placed


class Build(BuildBodies):
    """Builds nodes while the parser reduces; each method is the grammar rule of its name."""

    def isa(self, c: list[Any]) -> syntax.Title:
        return syntax.Title(text_of(c[0]), span=self._span(c))

    def bindings(self, c: list[Any]) -> tuple[Any, ...]:
        return tuple(c)

    binding = BuildBodies.named_argument

    def extends(self, c: list[Any]) -> syntax.Extends:
        return syntax.Extends(text_of(c[0]), c[1] or (), span=self._span(c))

    def include(self, c: list[Any]) -> syntax.Include:
        return syntax.Include(text_of(c[0]), span=self._span(c))

    def source(self, c: list[Any]) -> syntax.Remark:
        return syntax.Remark("source", text_of(c[0]), span=self._span(c))

    def note(self, c: list[Any]) -> syntax.Remark:
        return syntax.Remark("note", text_of(c[0]), span=self._span(c))

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
        texts = tuple(text_of(t) for t in c[2:])
        return syntax.Names(str(c[0]), c[1], texts, span=self._span(c))

    def name_list(self, c: list[Any]) -> tuple[Token, ...]:
        return tuple(c)

    def state(self, c: list[Any]) -> syntax.State:
        return syntax.State(str(c[0]), texts_of(c[1]), *c[2:], span=self._span(c))

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
        text = text_of(c[0])
        digits = text.replace("_", "").replace(" ", "")
        valid = all(d in "01" for d in digits)
        value = int(digits, 2) if digits and valid else 0
        width = len(digits) if valid else -1
        return syntax.BitsPiece(value, width, str(c[0]), span=self._span(c))

    def piece_sized(self, c: list[Any]) -> syntax.BitsPiece:
        value, width = sized_of(c[0])
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
            text_of(assembly),
            span=Span(self.path, name.start_pos, c[-1].end_pos),
        )

    def operand(self, c: list[Any]) -> syntax.Operand:
        return syntax.Operand(str(c[0]), tuple(c[1:]), span=self._span(c))

    def operand_subset(self, c: list[Any]) -> syntax.OperandSubset:
        keep = str(c[2]) == "only"
        return syntax.OperandSubset(str(c[0]), str(c[1]), keep, texts_of(c[3]), span=self._span(c))

    def instruction_name(self, c: list[Any]) -> "_Placed":
        quoted = c[0].type == "STRING"
        return _Placed(text_of(c[0]) if quoted else ".".join(c), self._span(c), quoted)

    def where(self, c: list[Any]) -> tuple[str, Any]:
        return "where", c[0]

    def asm(self, c: list[Any]) -> tuple[str, Any]:
        return "asm", text_of(c[0])

    def doc(self, c: list[Any]) -> tuple[str, Any]:
        return "doc", text_of(c[0])

    def page(self, c: list[Any]) -> tuple[str, Any]:
        return "page", text_of(c[0])

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
            None if mnemonic is None else text_of(mnemonic),
            tuple(v for v in values if v is not None),
            span=Span(self.path, bar.end_pos, end_of(c[-1] or c[1]) or bar.end_pos),
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
            texts_of(columns or ()),
            tuple(rows),
            span=self._span(c),
        )

    def as_modes(self, c: list[Any]) -> syntax.AsModes:
        return syntax.AsModes(texts_of(c[0]), str(c[1]), span=self._span(c))

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
        why = "" if but is None else text_of(but)
        return syntax.Literature(text_of(author), claim, why, span=self._span(c))

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
            str(name), texts_of(instructions), include is None, span=self._span(c)
        )

    def said_no_escapes(self, c: list[Any]) -> syntax.ClaimEscapes:
        return syntax.ClaimEscapes(str(c[0]), (), True, span=self._span(c))


# Rules named like Python keywords.
setattr(Build, "if", Build.if_)
setattr(Build, "for", Build.for_)
setattr(Build, "return", Build.return_)
