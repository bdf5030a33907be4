"""What the parameters of an instruction, or of one alternative of an operand, must satisfy.

Conditions come from `where` and from enumerations. Those on few encoded bits are turned into
*cubes* (sets of values given by some fixed bits), which become part of the encoding; the others
stay to be tested.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from functools import cached_property
from typing import TypeAlias

from spec.concrete import Concrete
from spec.evaluate import evaluate
from spec.ir import (
    Expr,
    FieldPiece,
    FieldType,
    Local,
    OperandPiece,
    OperandRef,
    Parameter,
    Piece,
)

TAIL = "tail"
"""The part of an operand that follows at the end of the instruction."""

Cube: TypeAlias = Mapping[str, tuple[int, int]]
"""For some parameters, a mask and the value that the parameter has there."""

_CUBE_BITS = 6  # conditions on more encoded bits stay to be tested
_DOMAIN = Concrete()


@dataclass(frozen=True, slots=True)
class Condition:
    """What the fields `names` must satisfy: be in `values` (one field), or make `expr` true.

    `scope` is put before the names that `expr` mentions. A field that is not given is 0.
    """

    scope: str
    names: tuple[str, ...]
    values: frozenset[int] | None
    expr: Expr | None

    def holds(self, fields: Mapping[str, int]) -> bool:
        if self.values is not None:
            return fields.get(self.scope + self.names[0], 0) in self.values
        assert self.expr is not None
        scope = self.scope
        return bool(
            evaluate(self.expr, _DOMAIN, lambda name: fields.get(scope + name, 0), _no_state)
        )

    def within(self, scope: str) -> "Condition":
        """The same condition on the fields of an alternative."""
        return Condition(scope, self.names, self.values, self.expr)


def _no_state(element: str, index: int | None) -> int:
    raise ValueError(f"a constraint reads the state `{element}`")


class Form:
    """The parameters of an instruction or alternative and what they must satisfy."""

    def __init__(
        self, parameters: tuple[Parameter, ...], pieces: tuple[Piece, ...], constraint: Expr | None
    ) -> None:
        self.parameters = parameters
        self.types = {p.name: p.type for p in parameters}
        self.pieces = pieces
        self.constraint = constraint

    @cached_property
    def unplaced_tails(self) -> tuple[OperandPiece, ...]:
        """The tails that follow at the end, in parameter order."""
        placed = {
            p.parameter for p in self.pieces if isinstance(p, OperandPiece) and p.part == TAIL
        }
        return tuple(
            OperandPiece(name, TAIL)
            for name, type_ in self.types.items()
            if isinstance(type_, OperandRef) and name not in placed
        )

    @cached_property
    def encoded(self) -> dict[str, int]:
        """The bits of each plain parameter that the encoding mentions."""
        encoded = {n: 0 for n, t in self.types.items() if isinstance(t, FieldType)}
        for piece in self.pieces:
            if isinstance(piece, FieldPiece):
                encoded[piece.field] |= ones(piece.width) << piece.low
        return encoded

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """All that the parameters must satisfy, without scope."""
        conditions = [
            Condition("", (name,), frozenset(value for _, value in type_.values), None)
            for name, type_ in self.types.items()
            if isinstance(type_, FieldType) and 0 < len(type_.values) < 1 << type_.width
        ]
        if self.constraint is not None:
            names = tuple(sorted(_locals(self.constraint)))
            conditions.append(Condition("", names, None, self.constraint))
        return tuple(conditions)

    @cached_property
    def small(self) -> tuple[Condition, ...]:
        """The conditions that `cubes` decides."""
        return tuple(c for c in self.conditions if self._is_small(c))

    @cached_property
    def large(self) -> tuple[Condition, ...]:
        """The conditions that `cubes` leaves open."""
        return tuple(c for c in self.conditions if not self._is_small(c))

    @cached_property
    def cubes(self) -> tuple[Cube, ...]:
        """Disjoint sets of field bits that together are what the small conditions allow."""
        cubes: list[dict[str, tuple[int, int]]] = [{}]
        for condition in self.small:
            cubes = [
                both
                for one in self._cover(condition)
                for other in cubes
                if (both := _meet(one, other)) is not None
            ]
        return tuple(cubes)

    def _is_small(self, condition: Condition) -> bool:
        if any(name not in self.encoded for name in condition.names):
            return False  # it depends on an operand
        return sum(self.encoded[name].bit_count() for name in condition.names) <= _CUBE_BITS

    def _cover(self, condition: Condition) -> list[dict[str, tuple[int, int]]]:
        places = [
            (name, bit)
            for name in condition.names
            for bit in range(self.encoded[name].bit_length() - 1, -1, -1)
            if self.encoded[name] >> bit & 1
        ]
        return list(_cover(condition, places, dict.fromkeys(condition.names, 0), 0))


def _cover(
    condition: Condition,
    places: list[tuple[str, int]],
    fields: dict[str, int],
    depth: int,
) -> Iterator[dict[str, tuple[int, int]]]:
    """Disjoint cubes of the field bits at `places[depth:]` that satisfy the condition."""
    if depth == len(places):
        if condition.holds(fields):
            yield {}
        return
    name, bit = places[depth]
    halves = []
    for chosen in (0, 1):
        fields[name] |= chosen << bit
        halves.append(list(_cover(condition, places, fields, depth + 1)))
        fields[name] &= ~(chosen << bit)
    if halves[0] == halves[1]:
        yield from halves[0]
        return
    for chosen, half in enumerate(halves):
        for inner in half:
            mask, value = inner.get(name, (0, 0))
            yield {**inner, name: (mask | 1 << bit, value | chosen << bit)}


def _meet(
    one: dict[str, tuple[int, int]], other: dict[str, tuple[int, int]]
) -> dict[str, tuple[int, int]] | None:
    """The common part of two cubes, or None if they have none."""
    met = dict(other)
    for name, (mask, value) in one.items():
        other_mask, other_value = met.get(name, (0, 0))
        if (value ^ other_value) & mask & other_mask:
            return None
        met[name] = (mask | other_mask, value | other_value)
    return met


def ones(width: int) -> int:
    """So many bits, all set."""
    return (1 << width) - 1


def _locals(expr: Expr) -> set[str]:
    """The names of the locals that occur in an expression."""
    if isinstance(expr, Local):
        return {expr.name}
    children = (getattr(expr, part.name) for part in dataclass_fields(expr))
    return {name for child in children if isinstance(child, Expr) for name in _locals(child)}
