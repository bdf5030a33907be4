"""The definitions that an explanation applies, in the words of the paper as far as it goes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Definition:
    """`text` defines the property; `source` says whose definition it is."""

    title: str
    text: str
    source: str


_PAPER = "Popek and Goldberg 1974, section 3"
_AFTER = "not in the paper: see docs/formal-background.md"

DEFINITIONS = {
    "privileged": Definition(
        "privileged",
        "For every pair of states S1 = <e, supervisor, p, r> and S2 = <e, user, p, r> in which "
        "the instruction does not memory-trap: it traps in S2, because of the mode, and does not "
        "so trap in S1.",
        _PAPER,
    ),
    "control_sensitive": Definition(
        "control-sensitive",
        "There is a state S1 = <e1, m1, p1, r1> with i(S1) = <e2, m2, p2, r2> in which the "
        "instruction does not trap, and m1 is not m2 or r1 is not r2: it changes the mode or the "
        "resources. Here r is all control state.",
        _PAPER,
    ),
    "behaviour_sensitive": Definition(
        "behaviour-sensitive",
        "There are two states that show the same virtual machine and differ only in the "
        "components named (the mode, its location in real memory, control state); the "
        "instruction traps in neither and leaves mode and control state as they were, and yet "
        "memory, registers or the program counter end up different.",
        _PAPER,
    ),
    "result_sensitive": Definition(
        "result-sensitive",
        "As behaviour-sensitive, but the instruction may also change mode and control state.",
        _AFTER,
    ),
    "trap_sensitive": Definition(
        "trap-sensitive",
        "Of two states that show the same virtual machine and differ only in the components "
        "named, the instruction retires in one, in the guest's real mode, and traps in the "
        "other (memory traps left out of account).",
        _AFTER,
    ),
    "user_sensitive": Definition(
        "user-sensitive",
        "It is control-sensitive from a state in user mode, or sensitive to its location or to "
        "control state between two states in user mode.",
        _PAPER,
    ),
    "supervisor_sensitive": Definition(
        "supervisor-sensitive",
        "It is control-sensitive from a state in supervisor mode, or sensitive to its location "
        "or to control state between two states in supervisor mode.",
        _PAPER,
    ),
    "user_mode_noop": Definition(
        "user-mode no-op",
        "In user mode it only goes on to the next instruction, where in supervisor mode it "
        "changes control state. A privileged instruction must trap; doing nothing is not enough.",
        _PAPER,
    ),
    "innocuous": Definition(
        "innocuous", "It is neither control-sensitive nor behaviour-sensitive.", _PAPER
    ),
    "escape": Definition(
        "escape",
        "In some state of the guest's real mode that satisfies the configuration the instruction "
        "retires, although what it does is not what the virtual machine would do, or it changes "
        "what belongs to the VMM: the VMM never gets to emulate it.",
        _AFTER,
    ),
    "semantic_violation": Definition(
        "semantic violation",
        "As an escape, in a state where the VMM keeps the mirrored components equal: no choice "
        "of the real state repairs it.",
        _AFTER,
    ),
}
