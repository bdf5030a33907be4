"""Type checking and lowering of matches."""

from spec import ir, syntax
from spec.lower_calls import Calls
from spec.lowering import Lowering
from spec.scope import (
    reject,
)
from spec.source import Span
from spec.types import (
    Bits,
    Enumeration,
    OperandType,
    Type,
    Value,
    number,
)


class Matches(Calls):
    """Adds matches to expressions."""

    def match_value(self, node: syntax.MatchExpr, expected: Type | None) -> Value:
        subject = self.subject(node.subject)
        tests = self.arm_tests(subject, [(a.patterns, a.span) for a in node.arms], node.span)
        lowered: list[tuple[ir.Expr, Lowering, Value]] = []
        hint = expected
        for test, index, scope in tests:
            if isinstance(test, ir.Boolean) and not test.value:
                continue
            arm = self.fork()
            arm.scope.update(scope)
            value = arm.expr(node.arms[index].value, hint)
            if value.number is None and hint is None:
                hint = value.type
            lowered.append((test, arm, value))
            if isinstance(test, ir.Boolean):
                break
        if hint is None and len(lowered) == 1:
            test, arm, value = lowered[0]
            self.out += arm.out
            return value
        if hint is None:
            raise reject(
                "E0205",
                "the width of these numbers is not known here",
                node.span,
                help="write one of them with a width: `8'd1`",
            )
        wide = hint
        settled = [
            (t, a, a.coerce(v, wide, node.arms[0].span) if v.number is not None else v)
            for t, a, v in lowered
        ]
        test, rest_arm, rest = settled[-1]
        for test, arm, value in reversed(settled[:-1]):
            arm_value, rest = self.unify(value, rest, node.span, "match")
            joined = self.fork()
            joined.out = []
            merged = joined.merge(test, [(arm, arm_value), (rest_arm, rest)])
            rest_arm, rest = joined, merged
        self.out += rest_arm.out
        return rest

    def subject(self, node: syntax.Expr) -> Value:
        value = self.expr(node)
        if value.number is not None or value.prefix is not None:
            return value
        return self.pin(value, "subject")

    def arm_tests(
        self, subject: Value, arms: list[tuple[tuple[syntax.Pattern, ...], Span]], span: Span
    ) -> list[tuple[ir.Expr, int, dict[str, Value]]]:
        """(test, arm, names it binds) in order; the last test is true. Checks coverage."""
        if subject.prefix is not None and isinstance(subject.type, OperandType):
            return self._operand_tests(subject, subject.type, arms, span)
        tests: list[tuple[ir.Expr, int, dict[str, Value]]] = []
        covered: set[int] = set()
        everything = False
        for index, (patterns, arm_span) in enumerate(arms):
            if everything:
                raise reject("E0209", "this arm is never reached", arm_span)
            test: ir.Expr = ir.Boolean(False)
            for pattern in patterns:
                if isinstance(pattern, syntax.NamePattern) and pattern.name == "_":
                    everything = True
                    test = ir.Boolean(True)
                    continue
                values = self._run(subject, pattern) or self._single(subject, pattern)
                if not covered.isdisjoint(values):
                    raise reject("E0209", "this value is matched already", pattern.span)
                covered.update(values)
                test = self._either(test, self._within(subject, values))
            tests.append((test, index, {}))
        if not everything:
            missing = self._missing(subject, covered)
            if missing:
                raise reject(
                    "E0208",
                    "the match does not cover " + missing,
                    span,
                    help="add the missing arms, or `_ => ...`",
                )
            if subject.number is None and tests:
                tests[-1] = (ir.Boolean(True), tests[-1][1], {})
        return tests

    def _either(self, a: ir.Expr, b: ir.Expr) -> ir.Expr:
        if isinstance(a, ir.Boolean):
            return a if a.value else b
        if isinstance(b, ir.Boolean):
            return b if b.value else a
        return ir.Logic(ir.LogicOp.OR, a, b)

    def _within(self, subject: Value, values: range) -> ir.Expr:
        if subject.number is not None:
            return ir.Boolean(subject.number in values)
        first, last = (ir.Literal(v, subject.expr.width) for v in (values[0], values[-1]))
        if len(values) == 1:
            return ir.Compare(ir.CompareOp.EQ, subject.expr, first)
        return ir.Logic(
            ir.LogicOp.AND,
            ir.Compare(ir.CompareOp.ULE, first, subject.expr),
            ir.Compare(ir.CompareOp.ULE, subject.expr, last),
        )

    def _missing(self, subject: Value, covered: set[int]) -> str:
        if subject.number is not None:
            return "" if subject.number in covered else f"{subject.number}"
        if isinstance(subject.type, Enumeration):
            left = [m for m, v in subject.type.members if v not in covered]
            return ", ".join(f"`{m}`" for m in left[:5]) + (" ..." if len(left) > 5 else "")
        size = 1 << subject.expr.width
        if len(covered) == size:
            return ""
        first = next(v for v in range(size) if v not in covered)
        return f"{size - len(covered)} values, {first} for one"

    def _run(self, subject: Value, pattern: syntax.Pattern) -> range | None:
        """The values of members declared together, if the pattern names such."""
        if isinstance(subject.type, Enumeration) and isinstance(pattern, syntax.NamePattern):
            run = subject.type.run(pattern.name)
            if run is not None and pattern.binders is None:
                return range(run.first, run.last + 1)
        return None

    def _single(self, subject: Value, pattern: syntax.Pattern) -> range:
        value = self._pattern(subject, pattern)
        return range(value, value + 1)

    def _pattern(self, subject: Value, pattern: syntax.Pattern) -> int:
        if isinstance(pattern, syntax.NamePattern):
            if pattern.binders is not None:
                raise reject("E0202", "only an operand's form has parameters", pattern.span)
            if subject.number is not None:
                return self.integer(syntax.Name(pattern.name, span=pattern.span))
            value = self.typed(syntax.Name(pattern.name, span=pattern.span), subject.type)
        else:
            width = subject.expr.width
            if subject.number is not None:
                return pattern.value
            if pattern.width is not None and pattern.width != width:
                raise reject(
                    "E0203",
                    f"the value matched has {width} bits, this {pattern.width}",
                    pattern.span,
                )
            value = self.coerce(number(pattern.value), Bits(width), pattern.span)
        if not isinstance(value.expr, ir.Literal):
            raise reject("E0209", "a pattern is a constant", pattern.span)
        return value.expr.value

    def _operand_tests(
        self,
        subject: Value,
        kind: OperandType,
        arms: list[tuple[tuple[syntax.Pattern, ...], Span]],
        span: Span,
    ) -> list[tuple[ir.Expr, int, dict[str, Value]]]:
        by_name = {a.name: a for a in kind.operand.alternatives}
        tag = ir.Local(f"{subject.prefix}.tag", kind.operand.tag_width)
        left = set(kind.tags)
        tests: list[tuple[ir.Expr, int, dict[str, Value]]] = []
        for index, (patterns, _) in enumerate(arms):
            test: ir.Expr = ir.Boolean(False)
            scope: dict[str, Value] = {}
            for pattern in patterns:
                if not isinstance(pattern, syntax.NamePattern):
                    raise reject("E0202", f"`{kind}` is matched by its forms", pattern.span)
                if pattern.name == "_":
                    left, test = set(), ir.Boolean(True)
                    continue
                form = by_name.get(pattern.name)
                if form is None:
                    raise self.globals.unknown("form", pattern.name, pattern.span, list(by_name))
                left.discard(form.tag)
                if form.tag in kind.tags:
                    literal = ir.Literal(form.tag, tag.width)
                    test = self._either(test, ir.Compare(ir.CompareOp.EQ, tag, literal))
                scope.update(
                    self._bind(f"{subject.prefix}.{form.name}", form, pattern, len(patterns))
                )
            tests.append((test, index, scope))
        if left:
            names = [a.name for a in kind.operand.alternatives if a.tag in left]
            raise reject(
                "E0208",
                "the match does not cover " + ", ".join(f"`{n}`" for n in names),
                span,
                help="add the missing arms, or `_ => ...`",
            )
        possible = [t for t in tests if t[0] != ir.Boolean(False)]
        if possible:
            possible[-1] = (ir.Boolean(True), possible[-1][1], possible[-1][2])
        return possible

    def _bind(
        self, prefix: str, form: ir.Alternative, pattern: syntax.NamePattern, patterns: int
    ) -> dict[str, Value]:
        if pattern.binders is None:
            return {}
        if patterns > 1:
            raise reject("E0202", "alternatives joined by `|` bind nothing", pattern.span)
        if len(pattern.binders) != len(form.parameters):
            raise reject(
                "E0206", f"`{form.name}` has {len(form.parameters)} parameters", pattern.span
            )
        scope: dict[str, Value] = {}
        for name, parameter in zip(pattern.binders, form.parameters, strict=True):
            scope[name] = self.field_value(f"{prefix}.{parameter.name}", parameter.type)
        return scope

    def field_value(self, path: str, kind: ir.FieldType | ir.OperandRef) -> Value:
        """A parameter of an instruction or of an operand's form, as a value."""
        if isinstance(kind, ir.OperandRef):
            operand = self.globals.operands[kind.operand]
            operand_type = OperandType(operand, kind.tags, operand.name)
            return Value(operand_type, ir.Boolean(False), prefix=path)
        named = self.globals.field_types.get(kind)
        return Value(named or Bits(kind.width), ir.Local(path, kind.width))
