"""The ways in which two runs end differently."""

from collections.abc import Iterator
from typing import cast

from checker.combined import Combined, End, Failure
from checker.hosted import Hosting
from checker.runs import SymbolicRun, TrapPath
from checker.subject import differ
from checker.terms import Op, Term, Truth, Value
from spec.ir import LogicOp


def outcome_failures(
    combined: Combined, left: End, right: End, forward: bool, memory: bool = True
) -> list[Failure]:
    """The ways in which two runs end differently, `memory` included or not.

    `forward`: where the first one retires.
    """
    engine = combined.monitor
    failures: list[Failure] = []
    here: Truth = True
    if forward:
        here = left.run.retires
        besides = _besides(engine, here, right.run.retires)
        failures.append(("the bare machine traps", engine.both(here, engine.negate(besides))))
    else:
        failures += _trap_failures(combined, left.run, right.run)
        here = engine.both(left.run.retires, right.run.retires)
    failures.append(("waiting", engine.both(here, _xor(engine, left.waits, right.waits))))
    for name, bare in right.state.items():
        differs = differ(engine, left.state[name], bare)
        failures.append((f"`{name}`", engine.both(here, differs)))
    if memory:
        differs = combined.memories_differ(left.run.memory, right.run.memory)
        failures.append(("memory", engine.both(here, differs)))
    return failures


def _besides(engine: Hosting, premise: Truth, conclusion: Truth) -> Truth:
    """What of the conclusion is not said by the premise already."""
    said = set(_conjuncts(premise))
    return engine.all(*(part for part in _conjuncts(conclusion) if part not in said))


def _conjuncts(condition: Truth) -> Iterator[Truth]:
    left = [condition]
    while left:
        part = left.pop()
        if isinstance(part, Term) and part.op is Op.AND:
            left += part.args
        else:
            yield part


def _trap_failures(combined: Combined, left: SymbolicRun, right: SymbolicRun) -> Iterator[Failure]:
    engine = combined.monitor
    if not _same(left.retires, right.retires):
        yield "retires", _xor(engine, left.retires, right.retires)
    if len(left.traps) == len(right.traps) and all(map(_same_path, left.traps, right.traps)):
        return
    kinds = dict.fromkeys((t.cause, t.trap_class) for t in (*left.traps, *right.traps))
    for cause, trap_class in kinds:
        first, second = (
            [t for t in run.traps if (t.cause, t.trap_class) == (cause, trap_class)]
            for run in (left, right)
        )
        one = engine.any(*(t.condition for t in first))
        other = engine.any(*(t.condition for t in second))
        yield f"trap {cause}", _xor(engine, one, other)
        for mine in first:
            for theirs in second:
                both = engine.both(mine.condition, theirs.condition)
                differs: Truth = False
                for a, b in zip(mine.arguments, theirs.arguments, strict=True):
                    differs = engine.either(differs, _arguments_differ(combined, a, b))
                yield f"arguments of {cause}", engine.both(both, differs)


def _arguments_differ(combined: Combined, first: Value | Truth, second: Value | Truth) -> Truth:
    engine = combined.monitor
    is_truth = any(
        isinstance(v, bool) or (isinstance(v, Term) and v.width == 0) for v in (first, second)
    )
    if is_truth:
        return _xor(engine, cast(Truth, first), cast(Truth, second))
    return differ(engine, first, second)


def _xor(engine: Hosting, left: Truth, right: Truth) -> Truth:
    return engine.logic(LogicOp.XOR, left, right)


def _same_path(first: TrapPath, second: TrapPath) -> bool:
    return (
        first.cause == second.cause
        and first.trap_class is second.trap_class
        and _same(first.condition, second.condition)
        and len(first.arguments) == len(second.arguments)
        and all(map(_same, first.arguments, second.arguments))
    )


def _same(first: Value | Truth, second: Value | Truth) -> bool:
    if isinstance(first, Term) or isinstance(second, Term):
        return first is second
    return first == second
