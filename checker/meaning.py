"""Keys of results: hashes of everything an answer depends on, and of nothing else.

The text of an IR node (its `repr`) leaves spans out, so moving text changes no key; documentation,
assembly syntax and the wording of constraints are left out here. What a text names (elements,
functions) is followed: an edit of a function changes the keys of the instructions that call it.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from checker.answers import OperandSet
from checker.version import digest, version
from spec.ir import Alternative, Configuration, Instruction, Isa, Operand
from spec.told_modes import told_modes

_ELEMENT = re.compile(r"element='([^']+)'")
_FUNCTION = re.compile(r"function='([^']+)'")
_OPERAND = re.compile(r"operand='([^']+)'")


class Meanings:
    """The keys of questions about one description."""

    def __init__(self, isa: Isa) -> None:
        self._isa = isa
        self._functions = {f.name: _Text(repr(f)) for f in isa.functions}
        self._operands = {o.name: _Text(_operand_text(o)) for o in isa.operands}
        self._elements = {e.name: repr(replace(e, doc="", reset=0)) for e in isa.elements}
        self._instructions: dict[str, tuple[str, frozenset[str]]] = {}
        self._bases: dict[tuple[str, int], str] = {}
        self._seen: list[Configuration] = []
        invariants = repr([expr for _, expr in isa.invariants])
        members = {name for bank in isa.banks for _, name in bank.members}
        self._always = self._closure(
            _Text(f"{invariants} function='{isa.translate}'"), members | {isa.pc, isa.mode.element}
        )
        self._machine = repr(
            (isa.mode, isa.pc, isa.memory, isa.fetch, isa.banks, isa.translate, invariants)
        )

    def classification(
        self, configuration: Configuration, instruction: Instruction, operands: OperandSet
    ) -> str:
        """Of all classes of the instruction with these operands under the configuration.

        The configuration's name does not count: an answer may be used under another.
        """
        place = (instruction.name, id(configuration))
        base = self._bases.get(place)
        if base is None:
            self._seen.append(configuration)  # alive, it keeps its id
            base = self._bases[place] = self._base(configuration, instruction)
        return digest(base, repr(operands))

    def repairs(
        self,
        configuration: Configuration,
        instruction: Instruction,
        operands: OperandSet,
        hybrid: bool,
    ) -> str:
        """Of what may be fixed so that it does not escape; what is composed is not."""
        composed = repr([name for name, _ in configuration.compose])
        known = self.classification(configuration, instruction, operands)
        return digest("repairs", known, composed, repr(hybrid))

    def facts(self, configuration: Configuration) -> str:
        """Of the facts about a configuration, which no instruction is part of."""
        return self._base(configuration, _NO_INSTRUCTION)

    def invariants(self, instruction: Instruction | None) -> str:
        """Of whether the instruction (None: reset, every trap and interrupt) keeps them."""
        wordings = repr([text for text, _ in self._isa.invariants])
        if instruction is not None:
            return digest("invariants", wordings, self._base(_NO_CONFIGURATION, instruction))
        routines = [(c.name, c.parameters, c.delivery) for c in self._isa.causes]
        return digest(
            "invariants",
            wordings,
            version(),
            self._machine,
            *(text.text for text in self._functions.values()),
            *self._elements.values(),
            repr([(e.name, e.reset) for e in self._isa.elements]),
            repr((routines, self._isa.interrupts)),
        )

    def _base(self, configuration: Configuration, instruction: Instruction) -> str:
        text, touched = self._instruction(instruction)
        constraints = _Text(repr([expr for _, expr in configuration.constraints]))
        constrained, more = self._closure(constraints, set())
        elements = touched | more | self._always[1]
        return digest(
            version(),
            self._machine,
            self._always[0],
            text,
            constrained,
            repr((configuration.modes, configuration.homes)),
            repr(told_modes(configuration, self._isa.mode.element)),
            *(repr([n for n in names if n in elements]) for names in _parts(configuration)),
            *(self._elements[name] for name in sorted(elements)),
        )

    def _instruction(self, instruction: Instruction) -> tuple[str, frozenset[str]]:
        found = self._instructions.get(instruction.name)
        if found is None:
            text = _Text(repr(replace(instruction, doc="", page="", assembly="")))
            found = self._instructions[instruction.name] = self._closure(text, set())
        return found

    def _closure(self, root: "_Text", elements: set[str]) -> tuple[str, frozenset[str]]:
        """A digest of the text with all it calls or contains, and the elements they name."""
        reached = {"": root}
        waiting = [root]
        while waiting:
            text = waiting.pop()
            elements |= text.elements
            for kind, names, known in (
                ("function", text.functions, self._functions),
                ("operand", text.operands, self._operands),
            ):
                for name in names:
                    if name in known and f"{kind} {name}" not in reached:
                        reached[f"{kind} {name}"] = known[name]
                        waiting.append(known[name])
        return digest(*(reached[name].digest for name in sorted(reached))), frozenset(
            name for name in elements if name in self._elements
        )


_NO_CONFIGURATION = Configuration("", (), (), (), (), ())
_NO_INSTRUCTION = Instruction("", (), (), (), "", ())


class _Text:
    """The text of a node, and the names in it; a name too many costs time, never truth."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = digest(text)
        self.elements = frozenset(_ELEMENT.findall(text))
        self.functions = frozenset(_FUNCTION.findall(text))
        self.operands = frozenset(_OPERAND.findall(text))


def _operand_text(operand: Operand) -> str:
    def plain(alternative: Alternative) -> Alternative:
        return replace(alternative, assembly="")

    return repr(replace(operand, alternatives=tuple(map(plain, operand.alternatives))))


def _parts(configuration: Configuration) -> Iterable[tuple[str, ...]]:
    return (configuration.shadowed, configuration.passed, configuration.mirrored)
