"""What is suspicious in a description that type-checks, and what is wrong with its encodings."""

import operator
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import assert_never

from spec import ir
from spec.diagnostics import Diagnostic, Label, Severity
from spec.expressions import children
from spec.overlap import overlaps, ragged, unreachable
from spec.source import NOWHERE, Span


def encoding_errors(isa: ir.Isa) -> tuple[Diagnostic, ...]:
    """Words that two instructions claim, and encodings that do not fill their fetch units."""
    found = [
        _finding(
            Severity.ERROR,
            "E0303",
            f"a form of `{instruction.name}` has {width} bits",
            instruction.span,
            f"instructions are fetched in units of {isa.fetch.unit_width} bits",
        )
        for instruction, width in ragged(isa)
    ]
    if found:
        return tuple(found)
    digits = (isa.fetch.unit_width + 3) // 4
    for overlap in overlaps(isa):
        word = " ".join(f"{unit:0{digits}X}" for unit in overlap.units)
        forms = ", ".join(
            f"{path} is {form}" for path, form in (*overlap.first_choices, *overlap.second_choices)
        )
        same = overlap.first.name == overlap.second.name
        found.append(
            Diagnostic(
                Severity.ERROR,
                "E0305",
                f"two readings of one word as `{overlap.first.name}`"
                if same
                else f"`{overlap.first.name}` and `{overlap.second.name}` overlap",
                Label(overlap.second.span, f"0x{word} is both"),
                () if same else (Label(overlap.first.span, "the other one"),),
                note=forms,
                help="exclude the word from one of them by `where ...`",
            )
        )
    return tuple(found)


def warnings(isa: ir.Isa) -> tuple[Diagnostic, ...]:
    """What is allowed but probably not meant."""
    return (
        *_unreachable(isa),
        *_unread(isa),
        *_roles(isa),
        *_uncalled(isa),
        *_divisions(isa),
        *_overwritten(isa),
        *_mode_comparisons(isa),
        *_mode_maps(isa),
    )


def contradictions(isa: ir.Isa) -> tuple[Diagnostic, ...]:
    """Claims that cannot both hold, and claims made twice."""
    found: list[Diagnostic] = []
    claims: dict[object, ir.Claim] = {}
    for claim in isa.claims:
        match claim:
            case ir.InstructionClaim():
                key: object = (
                    claim.instruction,
                    claim.operands,
                    claim.configuration,
                    claim.property,
                    claim.components,
                )
                value: object = claim.negated
            case ir.VerdictClaim():
                key = (claim.configuration, claim.verdict, claim.property)
                value = claim.negated
            case ir.EscapesClaim() if claim.exactly:
                key = (claim.configuration, "escapes")
                value = frozenset(claim.instructions)
            case ir.EscapesClaim():
                continue
            case _:
                assert_never(claim)
        earlier = claims.setdefault(key, claim)
        if earlier is claim:
            continue
        before: object = (
            frozenset(earlier.instructions)
            if isinstance(earlier, ir.EscapesClaim)
            else earlier.negated
        )
        same = before == value
        found.append(
            Diagnostic(
                Severity.WARNING if same else Severity.ERROR,
                "W0608" if same else "E0406",
                "this is claimed twice" if same else "this contradicts another claim",
                Label(claim.span),
                (Label(earlier.span, "claimed here"),),
                help="remove one of them",
            )
        )
    return tuple(found)


def _finding(
    severity: Severity, code: str, message: str, span: Span, text: str = "", help: str = ""
) -> Diagnostic:
    return Diagnostic(severity, code, message, Label(span, text), help=help)


def _warn(code: str, message: str, span: Span, text: str = "", help: str = "") -> Diagnostic:
    return _finding(Severity.WARNING, code, message, span, text, help)


# --------------------------------------------------------------------------- walks


def _statements(block: ir.Block) -> Iterator[ir.Stmt]:
    for statement in block:
        yield statement
        if isinstance(statement, ir.If):
            yield from _statements(statement.then)
            yield from _statements(statement.orelse)


def _direct(statement: ir.Stmt) -> tuple[ir.Expr | None, ...]:
    """The expressions of one statement, not of those inside it."""
    match statement:
        case ir.Assign(_, value) | ir.Return(value):
            return (value,)
        case ir.Write(_, value, index):
            return (value, index)
        case ir.Load(address=address, mode=mode):
            return (address, mode)
        case ir.Store(address, value, _, mode):
            return (address, value, mode)
        case ir.LoadPhysical(_, address):
            return (address,)
        case ir.StorePhysical(address, value):
            return (address, value)
        case ir.Translate(address=address, mode=mode) | ir.Probe(address=address, mode=mode):
            return (address, mode)
        case ir.Call(_, _, arguments) | ir.Trap(arguments=arguments):
            return arguments
        case ir.If(condition):
            return (condition,)
        case ir.Choose() | ir.Wait():
            return ()
        case _:
            assert_never(statement)


def _expressions(block: ir.Block) -> Iterator[ir.Expr]:
    for statement in _statements(block):
        for expr in _direct(statement):
            if expr is not None:
                yield from _all(expr)


def _all(expr: ir.Expr) -> Iterator[ir.Expr]:
    left = [expr]
    while left:
        node = left.pop()
        yield node
        left.extend(children(node))


def _bodies(isa: ir.Isa) -> Iterator[tuple[str, ir.Block, Span]]:
    """Every body, with what to call it."""
    for instruction in isa.instructions:
        yield f"instruction `{instruction.name}`", instruction.body, instruction.span
    for function in isa.functions:
        yield f"function `{function.name.split('<')[0]}`", function.body, function.span
    for cause in isa.causes:
        yield f"cause `{cause.name}`", cause.delivery, cause.span
    for interrupt in isa.interrupts:
        yield f"interrupt `{interrupt.name}`", interrupt.delivery, NOWHERE
    for configuration in isa.configurations:
        for routine in (configuration.install, configuration.remove):
            if routine is not None:
                name = f"`{routine.name}` of `{configuration.name}`"
                yield name, routine.body, routine.span


def _conditions(isa: ir.Isa) -> Iterable[ir.Expr]:
    yield from (i.condition for i in isa.interrupts)
    yield from (e for _, e in isa.invariants)
    for configuration in isa.configurations:
        yield from (e for _, e in configuration.constraints)
        yield from (e for _, e in configuration.compose)


# --------------------------------------------------------------------------- the checks


def _unreachable(isa: ir.Isa) -> Iterator[Diagnostic]:
    for found in unreachable(isa):
        if isinstance(found, ir.Instruction):
            yield _warn(
                "W0605", f"no word is `{found.name}`", found.span, "its `where` excludes them all"
            )
        else:
            operand, form = found
            users = [i for i in isa.instructions if _uses(i, operand.name)]
            span = users[0].span if users else NOWHERE
            yield _warn("W0605", f"no word is form `{form.name}` of operand `{operand.name}`", span)


def _uses(instruction: ir.Instruction, operand: str) -> bool:
    return any(
        isinstance(p.type, ir.OperandRef) and p.type.operand == operand
        for p in instruction.parameters
    )


_SEEN_OUTSIDE = (ir.Role.FLAG, ir.Role.TIME, ir.Role.DEVICE)


def _unread(isa: ir.Isa) -> Iterator[Diagnostic]:
    read = {isa.pc, isa.mode.element}
    for _, block, _ in _bodies(isa):
        read |= {e.element for e in _expressions(block) if isinstance(e, ir.Read)}
    for condition in _conditions(isa):
        read |= {e.element for e in _all(condition) if isinstance(e, ir.Read)}
    for element in isa.elements:
        if element.name not in read and element.role not in _SEEN_OUTSIDE:
            yield _warn(
                "W0601",
                f"nothing reads `{element.name}`",
                element.span,
                help="remove it, unless it stands for something that only a monitor sees",
            )


def _roles(isa: ir.Isa) -> Iterator[Diagnostic]:
    """Translation depends on control state and the mode, never on general registers."""
    by_name = {f.name: f for f in isa.functions}
    roles = {e.name: e.role for e in isa.elements}
    todo, seen = [isa.translate], set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        function = by_name[name]
        todo += [s.function for s in _statements(function.body) if isinstance(s, ir.Call)]
        for expr in _expressions(function.body):
            if not isinstance(expr, ir.Read) or expr.element == isa.memory.size:
                continue
            if roles[expr.element] in (
                ir.Role.GENERAL,
                ir.Role.FLAG,
            ):
                yield _warn(
                    "W0602",
                    f"`translate` reads `{expr.element}`, a {roles[expr.element].value}",
                    function.span,
                    help=f"declare it as `control {expr.element}` if it decides about memory",
                )


def _uncalled(isa: ir.Isa) -> Iterator[Diagnostic]:
    called = {isa.translate}
    raised = {isa.undecodable.cause}
    for _, block, _ in _bodies(isa):
        for statement in _statements(block):
            if isinstance(statement, ir.Call):
                called.add(statement.function)
            if isinstance(statement, ir.Trap):
                raised.add(statement.cause)
    for function in isa.functions:
        inlined = not any(isinstance(s, ir.Write | ir.Store) for s in _statements(function.body))
        if function.name not in called and not inlined:
            yield _warn("W0606", f"nothing calls `{function.name.split('<')[0]}`", function.span)
    for cause in isa.causes:
        if cause.name not in raised:
            yield _warn("W0606", f"nothing raises `{cause.name}`", cause.span)


_DIVISIONS = (ir.BinaryOp.UDIV, ir.BinaryOp.UREM, ir.BinaryOp.SDIV, ir.BinaryOp.SREM)


def _divisions(isa: ir.Isa) -> Iterator[Diagnostic]:
    """Divisions in bodies that never compare the divisor, or what it is made of."""
    for name, block, span in _bodies(isa):
        compared = {
            source
            for e in _expressions(block)
            if isinstance(e, ir.Compare)
            for side in (e.left, e.right)
            for source in _sources(side)
        }
        for statement in _statements(block):
            if isinstance(statement, ir.Assign) and compared & _sources(statement.value):
                compared.add(statement.name)
        for e in _expressions(block):
            if isinstance(e, ir.Binary) and e.op in _DIVISIONS:
                literal = isinstance(e.right, ir.Literal) and e.right.value != 0
                if not literal and not compared & _sources(e.right):
                    yield _warn(
                        "W0604",
                        f"the divisor in {name} may be zero",
                        span,
                        "division by zero gives all ones, the remainder the dividend",
                        "say what the manual says: `if divisor == 0 { ... }`",
                    )
                    break


def _sources(expr: ir.Expr) -> frozenset[str]:
    return frozenset(
        e.name if isinstance(e, ir.Local) else e.element
        for e in _all(expr)
        if isinstance(e, ir.Local | ir.Read)
    )


def _overwritten(isa: ir.Isa) -> Iterator[Diagnostic]:
    """Two assignments in a row to one element, the first without any effect."""
    for name, block, span in _bodies(isa):
        pending: set[str] = set()
        for statement in block:
            read = {
                e.element
                for part in _direct(statement)
                if part is not None
                for e in _all(part)
                if isinstance(e, ir.Read)
            }
            pending -= read
            if not isinstance(statement, ir.Write | ir.Assign):
                pending.clear()
            if isinstance(statement, ir.Write) and statement.index is None:
                if statement.element in pending:
                    yield _warn("W0607", f"{name} assigns `{statement.element}` twice", span)
                pending.add(statement.element)


_HOLDS: dict[ir.CompareOp, Callable[[int, int], bool]] = {
    ir.CompareOp.EQ: operator.eq,
    ir.CompareOp.NE: operator.ne,
    ir.CompareOp.ULT: operator.lt,
    ir.CompareOp.ULE: operator.le,
}


def _mode_comparisons(isa: ir.Isa) -> Iterator[Diagnostic]:
    """Comparisons of the mode with a member that all modes answer alike."""
    members = {value: name for name, value in isa.mode.members}
    for name, block, span in _bodies(isa):
        for e in _expressions(block):
            match e:
                case ir.Compare(op, ir.Read(element), ir.Literal(value)):
                    sides = [(mode, value) for mode in members]
                case ir.Compare(op, ir.Literal(value), ir.Read(element)):
                    sides = [(value, mode) for mode in members]
                case _:
                    continue
            if element != isa.mode.element or op not in _HOLDS or value not in members:
                continue
            answers = {_HOLDS[op](left, right) for left, right in sides}
            if len(answers) == 1 and len(members) > 1:
                always = "true" if answers.pop() else "false"
                member = members[value]
                yield _warn(
                    "W0609",
                    f"a comparison of the mode with `{member}` in {name} is {always} in every mode",
                    span,
                    f"members are compared by encoding, and `{member}` is {value}",
                    f"write `{isa.mode.element} == {member}`, if that is meant",
                )


def _mode_maps(isa: ir.Isa) -> Iterator[Diagnostic]:
    """Configurations in which a virtual mode has a more privileged real mode than one above it."""
    ranks = {name: rank for rank, (name, _) in enumerate(isa.mode.members)}
    for configuration in isa.configurations:
        modes = sorted(configuration.modes, key=lambda pair: ranks[pair[0]])
        for (lower, below), (upper, above) in pairwise(modes):
            if ranks[below] > ranks[above]:
                yield _warn(
                    "W0610",
                    f"in `{configuration.name}`, `{lower}` runs as `{below}` and `{upper}`,"
                    f" which is more privileged, as `{above}`",
                    configuration.span,
                    "the real machine would protect the guest's kernel the wrong way round",
                    "give the more privileged virtual mode the more privileged real one",
                )
