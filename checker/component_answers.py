"""The answers to one property, by the component that it is asked of."""

from collections.abc import Iterable

from checker.answers import Answer, Components

YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN


class Answers:
    """The answers to one property, by component (or set of components) and mode."""

    def __init__(self) -> None:
        self._by: dict[tuple[str, int], Answer] = {}

    def note(self, component: str, mode: int, answer: Answer) -> None:
        self._by[component, mode] = self._by.get((component, mode), NO) | answer

    def of(self, component: str) -> Answer:
        return _some(a for (name, _), a in self._by.items() if name == component)

    def in_mode(self, mode: int, components: Iterable[str] | None = None) -> Answer:
        chosen = None if components is None else set(components)
        return _some(
            answer
            for (name, m), answer in self._by.items()
            if m == mode and (chosen is None or set(name.split("+")) <= chosen)
        )

    @property
    def any(self) -> Answer:
        return _some(self._by.values())

    def components(self) -> Components:
        names = list(dict.fromkeys(name for name, _ in self._by))
        return Components(
            tuple(name for name in names if self.of(name) is YES),
            tuple(name for name in names if self.of(name) is UNKNOWN),
        )


def _some(answers: Iterable[Answer]) -> Answer:
    found = NO
    for answer in answers:
        found |= answer
    return found
