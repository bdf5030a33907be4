"""The operands of an instruction as terms, and the sets of operands that are classified apart."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import assert_never, cast

from checker.answers import OperandSet
from checker.symbolic import Symbolic
from checker.terms import Terms, Truth, Value
from spec.ir import (
    Alternative,
    BinaryOp,
    BitsPiece,
    Expr,
    FieldPiece,
    FieldType,
    Instruction,
    Isa,
    OperandPiece,
    OperandRef,
    Parameter,
    Piece,
    Run,
)

FIELD = "field "
FORM = ".tag"  # ends the name of the field that says which form an operand has
_TAIL = "tail"
_LENGTH_WIDTH = 16


@dataclass(frozen=True, slots=True, eq=False)
class Operands:
    """Fields by name, what holds of every encodable instruction, and its length in cells."""

    fields: Mapping[str, Value]
    conditions: tuple[Truth, ...]
    length: Value  # 16 bits


def operand_sets(isa: Isa, instruction: Instruction) -> tuple[OperandSet, ...]:
    """One for each combination of members of the instruction's own enumeration parameters.

    Members declared together stay together. Combinations that the instruction's constraint
    excludes are left out.
    """
    enumerated = [
        [(parameter.name, run.name, run.first) for run in parameter.type.reported]
        for parameter in instruction.parameters
        if isinstance(parameter.type, FieldType) and parameter.type.values
    ]
    sets = [OperandSet(members) for members in product(*enumerated)]
    if instruction.constraint is None or len(sets) == 1:
        return tuple(sets)
    engine = Symbolic(isa, Terms(), abstract=True)
    return tuple(s for s in sets if _possible(engine, isa, instruction, s))


def _possible(engine: Symbolic, isa: Isa, instruction: Instruction, chosen: OperandSet) -> bool:
    return all(c is not False for c in operands(engine, isa, instruction, chosen).conditions)


def operands(engine: Symbolic, isa: Isa, instruction: Instruction, chosen: OperandSet) -> Operands:
    """Symbols for what the operand set leaves open."""
    return _Builder(engine, isa, instruction, chosen).build()


class _Builder:
    def __init__(
        self, engine: Symbolic, isa: Isa, instruction: Instruction, chosen: OperandSet
    ) -> None:
        self._engine = engine
        self._isa = isa
        self._instruction = instruction
        self._alternatives = {operand.name: operand for operand in isa.operands}
        self._fields: dict[str, Value] = {name: value for name, _, value in chosen.members}
        self._conditions: list[Truth] = []
        types = {parameter.name: parameter.type for parameter in instruction.parameters}
        for field, name, _ in chosen.members:
            kind = types[field]
            if isinstance(kind, FieldType):
                self._choose(field, kind, [r for r in kind.runs if r.name == name])

    def _choose(self, field: str, kind: FieldType, runs: list[Run]) -> None:
        """Any of the values declared together; as constants, so that what they decide folds."""
        engine = self._engine
        for run in runs:
            symbol = engine.terms.symbol(FIELD + field, kind.width)
            value: Value = run.last
            for other in range(run.last - 1, run.first - 1, -1):
                value = engine.select(
                    engine.equal(symbol, other, kind.width), other, value, kind.width
                )
            self._fields[field] = value

    def build(self) -> Operands:
        instruction = self._instruction
        covered = _covered(instruction.encoding)
        self._declare(instruction.parameters, "", covered, True)
        for field in instruction.fields:  # those of forms that this instruction excludes
            self._fields.setdefault(field.name, 0)
        if instruction.constraint is not None:
            self._require(True, instruction.constraint, self._fields)
        bits = self._bits(instruction.encoding, instruction.parameters, "")
        placed = {
            piece.parameter
            for piece in instruction.encoding
            if isinstance(piece, OperandPiece) and piece.part == _TAIL
        }
        for parameter in instruction.parameters:
            if isinstance(parameter.type, OperandRef) and parameter.name not in placed:
                bits = self._sum(bits, self._part(parameter, _TAIL, ""))
        cells = self._engine.binary(BinaryOp.UDIV, bits, self._isa.memory.cell_width, _LENGTH_WIDTH)
        conditions = tuple(c for c in self._conditions if c is not True)
        return Operands(self._fields, conditions, cells)

    def _declare(
        self,
        parameters: tuple[Parameter, ...],
        prefix: str,
        covered: Mapping[str, int],
        present: Truth,
    ) -> None:
        """Give the parameters below a prefix their symbols; `present`: this form is chosen."""
        engine = self._engine
        for parameter in parameters:
            name = prefix + parameter.name
            match parameter.type:
                case FieldType(width, values):
                    if name in self._fields:
                        continue
                    symbol = engine.terms.symbol(FIELD + name, width)
                    mask = covered.get(parameter.name, 0)
                    value = engine.binary(BinaryOp.AND, symbol, mask, width)
                    self._fields[name] = value
                    if values:
                        members = (engine.equal(value, e, width) for _, e in values)
                        self._when(present, engine.any(*members))
                case OperandRef(operand, tags):
                    self._declare_operand(operand, tags, name, present)
                case _:
                    assert_never(parameter.type)

    def _declare_operand(
        self, operand: str, tags: tuple[int, ...], name: str, present: Truth
    ) -> None:
        engine = self._engine
        found = self._alternatives[operand]
        width = found.tag_width
        tag: Value = tags[0]
        if len(tags) > 1:
            tag = engine.terms.symbol(f"{FIELD}{name}{FORM}", width)
            self._when(present, engine.any(*(engine.equal(tag, t, width) for t in tags)))
        self._fields[f"{name}{FORM}"] = tag
        for alternative in found.alternatives:
            if alternative.tag not in tags:
                continue
            prefix = f"{name}.{alternative.name}."
            pieces = [piece for _, part in alternative.parts for piece in part]
            chosen = engine.both(present, engine.equal(tag, alternative.tag, width))
            covered = _covered((*pieces, *alternative.tail))
            self._declare(alternative.parameters, prefix, covered, chosen)
            if alternative.constraint is not None:
                own = {k[len(prefix) :]: v for k, v in self._fields.items() if k.startswith(prefix)}
                self._require(chosen, alternative.constraint, own)

    def _require(self, when: Truth, constraint: Expr, frame: Mapping[str, Value]) -> None:
        no_state = {self._isa.mode.element: 0}
        self._when(when, cast(Truth, self._engine.expression(no_state, constraint, frame)))

    def _when(self, condition: Truth, then: Truth) -> None:
        self._conditions.append(self._engine.either(self._engine.negate(condition), then))

    # -- length

    def _sum(self, left: Value, right: Value) -> Value:
        return self._engine.binary(BinaryOp.ADD, left, right, _LENGTH_WIDTH)

    def _bits(
        self, pieces: tuple[Piece, ...], parameters: tuple[Parameter, ...], prefix: str
    ) -> Value:
        by_name = {parameter.name: parameter for parameter in parameters}
        total: Value = 0
        for piece in pieces:
            match piece:
                case BitsPiece() | FieldPiece():
                    total = self._sum(total, piece.width)
                case OperandPiece(parameter, part):
                    total = self._sum(total, self._part(by_name[parameter], part, prefix))
                case _:
                    assert_never(piece)
        return total

    def _part(self, parameter: Parameter, part: str, prefix: str) -> Value:
        """Bits that a part of an operand takes, whichever form it has."""
        assert isinstance(parameter.type, OperandRef)
        found = self._alternatives[parameter.type.operand]
        name = prefix + parameter.name
        tag = self._fields[f"{name}{FORM}"]
        total: Value | None = None
        for alternative in found.alternatives:
            if alternative.tag not in parameter.type.tags:
                continue
            width = self._alternative_bits(alternative, part, f"{name}.{alternative.name}.")
            if total is None:
                total = width
                continue
            here = self._engine.equal(tag, alternative.tag, found.tag_width)
            total = self._engine.select(here, width, total, _LENGTH_WIDTH)
        return 0 if total is None else total

    def _alternative_bits(self, alternative: Alternative, part: str, prefix: str) -> Value:
        if part != _TAIL:
            return self._bits(dict(alternative.parts)[part], alternative.parameters, prefix)
        total = self._bits(alternative.tail, alternative.parameters, prefix)
        placed = {
            piece.parameter
            for piece in alternative.tail
            if isinstance(piece, OperandPiece) and piece.part == _TAIL
        }
        for parameter in alternative.parameters:
            if isinstance(parameter.type, OperandRef) and parameter.name not in placed:
                total = self._sum(total, self._part(parameter, _TAIL, prefix))
        return total


def _covered(pieces: tuple[Piece, ...]) -> dict[str, int]:
    """Which bits of each field an encoding mentions."""
    masks: dict[str, int] = {}
    for piece in pieces:
        if isinstance(piece, FieldPiece):
            mask = ((1 << piece.width) - 1) << piece.low
            masks[piece.field] = masks.get(piece.field, 0) | mask
    return masks
