"""What the parent asks its workers: plain data, so that asking does not load the solver."""

from dataclasses import dataclass
from typing import TypeAlias

from checker.answers import OperandSet
from spec.ir import Configuration, Instruction, Isa


@dataclass(frozen=True, slots=True)
class ClassesOf:
    """All classes of an instruction with an operand set under a configuration."""

    configuration: Configuration
    instruction: Instruction
    operands: OperandSet

    @property
    def name(self) -> str:
        operands = f"[{self.operands.text}]" if self.operands.members else ""
        return f"{self.configuration.name}/{self.instruction.name}{operands}"


@dataclass(frozen=True, slots=True)
class FactsOf:
    """A configuration's own facts: its constraints are satisfiable, it reaches what it must."""

    configuration: Configuration

    @property
    def name(self) -> str:
        return f"{self.configuration.name}/facts"


@dataclass(frozen=True, slots=True)
class InvariantsOf:
    """Whether an instruction (None: reset, every trap and interrupt) keeps the invariants.

    That an element holds a member of its enumeration type is one, so there may always be some.
    """

    instruction: Instruction | None

    @property
    def name(self) -> str:
        return f"invariants/{self.instruction.name}" if self.instruction else "invariants"


@dataclass(frozen=True, slots=True)
class RepairsOf:
    """What a VMM may fix, beside the configuration's constraints, so that it does not escape."""

    configuration: Configuration
    instruction: Instruction
    operands: OperandSet
    hybrid: bool  # whether only escapes from the least privileged virtual mode count

    @property
    def name(self) -> str:
        operands = f"[{self.operands.text}]" if self.operands.members else ""
        return f"{self.configuration.name}/{self.instruction.name}{operands}"


Question: TypeAlias = ClassesOf | FactsOf | InvariantsOf | RepairsOf


@dataclass(frozen=True, slots=True)
class Setting:
    """What all questions of a run share."""

    isas: tuple[Isa, ...]
    timeout_ms: int  # of one obligation
    smt: str | None = None  # a folder for what the solver proved; see `checker.exporting`


@dataclass(frozen=True, slots=True)
class Posed:
    """A question about one of the setting's descriptions."""

    isa: int  # its place there
    question: Question
