"""Asking what is to be shown: the first yes for a property gives its witness."""

from collections.abc import Iterable

from checker.answers import Answer, Witness
from checker.obligations import Found, Obligation
from checker.prover import Prover
from checker.witness import describe, explaining


class FirstWitnesses:
    """Of one instruction, under one configuration; `kept` is by property and clause."""

    def __init__(self, prover: Prover) -> None:
        self.prover = prover
        self.kept: dict[str, Witness] = {}
        self._subject = prover.subject

    def ask(self, obligation: Obligation, property_: str, *parts: str) -> Answer:
        """The answer; the first yes for a property gives its witness."""
        return self.found(obligation, property_, *parts).answer

    def found(self, obligation: Obligation, property_: str, *parts: str) -> Found:
        """The same, with the states that show it."""
        found = self.prover.ask(obligation)
        self.keep(found, obligation, property_, "", parts)
        return found

    def keep(
        self,
        found: Found,
        obligation: Obligation,
        property_: str,
        clause: str,
        components: Iterable[str] = (),
    ) -> None:
        """Make a witness of what was found, lessened, unless there is one of that kind."""
        key = f"{property_}/{clause}"
        if found.shown is None or key in self.kept:
            return
        case = self.prover.showing.lessened(obligation, found.shown)
        differs = self.prover.showing.shows(obligation, case)
        if clause in ("control", "virtual control"):
            components = differs
        elif clause:
            first, second = (run.before for run in case.runs)
            components = explaining(self._subject.machine, first, second, obligation.differ)
        instruction = self._subject.instruction
        self.kept[key] = describe(
            self._subject.machine, instruction, case, property_, clause, tuple(components), differs
        )
