"""Classifications made by hand: an innocuous instruction, but for what a test says."""

from typing import Any

from checker.answers import (
    Answer,
    Classification,
    Components,
    OperandSet,
    Run,
    Traps,
    Value,
    Witness,
)

YES, NO, UNKNOWN = Answer.YES, Answer.NO, Answer.UNKNOWN

INNOCUOUS: dict[str, Any] = {
    "operands": OperandSet(),
    "configuration": "classic",
    "traps": Traps.NEVER,
    "traps_in_top": Traps.NEVER,
    "privileged": NO,
    "control_sensitive": Components(),
    "behaviour_sensitive": Components(),
    "result_sensitive": Components(),
    "trap_sensitive": Components(),
    "user_sensitive": NO,
    "supervisor_sensitive": NO,
    "user_mode_noop": NO,
    "escape": NO,
    "hybrid_escape": NO,
    "semantic_violation": NO,
    "hybrid_semantic_violation": NO,
}


def classified(instruction: str, **different: Any) -> Classification:
    """The classification of an innocuous instruction, with the fields that are different."""
    return Classification(instruction=instruction, **(INNOCUOUS | different))


def privileged(instruction: str, **different: Any) -> Classification:
    """The classification of a privileged instruction that changes the mode."""
    return classified(
        instruction,
        **{
            "traps": Traps.ALWAYS,
            "privileged": YES,
            "control_sensitive": Components(("mode",)),
            "supervisor_sensitive": YES,
        }
        | different,
    )


def on(*components: str, undecided: tuple[str, ...] = ()) -> Components:
    return Components(components, undecided)


def members(**fields: tuple[str, int]) -> OperandSet:
    """`members(csr=("mstatus", 0x300))`."""
    return OperandSet(tuple((field, name, value) for field, (name, value) in fields.items()))


def csr(name: str) -> OperandSet:
    return members(csr=(name, len(name)))


def witness(
    property: str, clause: str = "", components: tuple[str, ...] = (), trap_class: str = ""
) -> Witness:
    """One with two runs: `user` retires, `supervisor` retires or traps with the class."""
    value = Value("A", 16, 1, 2)
    real = Run("user", "retire", values=(value,))
    virtual = Run(
        "supervisor",
        "trap" if trap_class else "retire",
        cause=f"{trap_class}_trap" if trap_class else "",
        trap_class=trap_class,
        values=(value,),
    )
    return Witness(property, clause, components, (("n", 3),), 2, (real, virtual), ("A",))
