"""Whether what is in place when a trap is delivered can be told from what the delivery leaves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

from checker.answers import Answer
from checker.assignment import Evaluation
from checker.combined import Combined, Failure
from checker.solve import Proved, Refuted, Unknown
from checker.statements import Hosted, Recovered, Text
from checker.storage import shape_of
from checker.subject import differ
from checker.substitution import Substitution
from checker.terms import Term, Truth, Value
from spec.ir import BinaryOp

Ask: TypeAlias = Callable[[Combined, str, list[Failure], list[Truth]], Proved | Refuted | Unknown]
"""Whether one of the failures can happen under the conditions."""


@dataclass(frozen=True, slots=True, eq=False)
class _Loss:
    """How two runs of a delivery, which leave the same, may have started differently."""

    different: list[Failure]
    conditions: list[Truth]
    excused: tuple[str, ...]


class Recovery:
    """Asks about two deliveries, of all instructions or of those of one length."""

    def __init__(self, hosted: Hosted, ask: Ask) -> None:
        self._hosted = hosted
        self._ask = ask

    def found(self, statement: Recovered) -> tuple[Answer, str]:
        """The answer and what goes with it. What is lost is open: a monitor may do without.

        What a delivery itself writes may be lost, if a delivery with another memory, such as the virtual
        machine's, does not need it.
        """
        limit = "of two instructions of one length"
        verdict: Proved | Refuted | Unknown = Proved()
        names: list[str] = []
        for excusing in (False, True) if statement.excused else (False,):
            for one_length in (False, True):
                combined = Combined(self._hosted, statement.mode, True)
                loss = self._loss(combined, statement, one_length, excusing)
                verdict = self._ask(combined, statement.name, loss.different, loss.conditions)
                match verdict:
                    case Proved():
                        said = [limit] if one_length else []
                        return Answer.YES, ", ".join([*said, *_but(loss.excused)])
                    case Refuted(assignment):
                        evaluation = Evaluation(assignment, combined.monitor.memory)
                        names = [what for what, c in loss.different if evaluation.truth(c)]
                    case Unknown(reason):
                        names = [reason]
        if isinstance(verdict, Unknown):
            return Answer.UNKNOWN, verdict.reason
        return Answer.UNKNOWN, f"a delivery may lose what is in place: {', '.join(names)}"

    def _loss(
        self, combined: Combined, statement: Recovered, one_length: bool, excusing: bool
    ) -> _Loss:
        engine = combined.monitor
        frame, conditions = combined.frame(None, statement.parameters)
        pc = cast(Term, combined.start[self._hosted.bare.pc])
        if one_length:
            length = combined.terms.symbol("length", pc.width)
            frame["next"] = engine.binary(BinaryOp.ADD, pc, length, pc.width)
        conditions += combined.assumed(statement.assume, frame)
        end = combined.run(Text.REAL, combined.start, statement.delivery, frame)
        twin = combined.twin(statement.elements, frame.values())
        excused = statement.excused if excusing else ()
        different: list[Failure] = []
        same: list[Truth] = []
        for name in statement.elements:
            if name in excused:
                continue
            value = combined.start[name]
            if isinstance(value, Term) and value.width == 0:  # at any place, where they end alike
                last = cast(Term, end.state[name])
                same.append(_alike(combined, name, last, twin.array(last)))
                differs = engine.negate(_alike(combined, name, value, twin.array(value)))
            else:
                differs = differ(engine, value, twin.vector(value))
            different.append((f"`{name}` is lost", differs))
        if excused:
            needed = self._ends_apart(combined, statement, frame, twin)
            different.append(("what a delivery needs is lost", needed))
        conditions.append(end.run.retires)
        conditions += [twin.truth(condition) for condition in conditions]
        conditions += [*same, *combined.same_end(end, twin)]
        return _Loss(different, conditions, excused)

    def _ends_apart(
        self,
        combined: Combined,
        statement: Recovered,
        frame: Mapping[str, Value | Truth],
        twin: Substitution,
    ) -> Truth:
        """With another memory, the same in both runs, the deliveries leave different states."""
        engine, memory, width = combined.monitor, combined.memory, self._hosted.bare.memory
        combined.memory = combined.terms.array(
            "another memory", width.address_width, width.cell_width
        )
        end = combined.run(Text.REAL, combined.start, statement.delivery, frame)
        alike = combined.same_end(end, twin)
        combined.memory = memory
        other = twin.truth(end.run.retires)
        both = engine.both(end.run.retires, other)
        either = engine.either(end.run.retires, other)
        apart = engine.both(both, engine.negate(engine.all(*alike)))
        return engine.either(apart, engine.both(either, engine.negate(both)))


def _but(excused: Sequence[str]) -> list[str]:
    names = ", ".join(f"`{name}`" for name in excused)
    return [f"but for {names}, which the delivery itself writes"] if names else []


def _alike(combined: Combined, name: str, first: Term, second: Term) -> Truth:
    """Two arrays hold the same at one place, which may be any."""
    (element,) = [e for e in combined.hosted.real.elements if e.name == name]
    engine, width = combined.monitor, shape_of(element).index_width
    place = combined.terms.symbol(f"place in {name}", width)
    one, other = (engine.read_place(a, place, width, element.width) for a in (first, second))
    return engine.equal(one, other, element.width)
