"""The definitions that an explanation applies, in the words of the paper as far as it goes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Definition:
    """`text` defines the property; `source` says whose definition it is."""

    title: str
    text: str
    source: str


_PAPER = "Popek and Goldberg 1974, section 3"
_AFTER = "not in the paper; docs/formal-background.md"

DEFINITIONS = {
    "privileged": Definition(
        "privileged",
        "For every pair of states S1 = <e, supervisor, p, r> and S2 = <e, user, p, r> in which "
        "the instruction does not memory-trap: it traps in S2 and does not trap in S1.",
        _PAPER,
    ),
    "control_sensitive": Definition(
        "control-sensitive",
        "There is a state S1 = <e1, m1, p1, r1> with i(S1) = <e2, m2, p2, r2> in which the "
        "instruction does not trap, and the mode or the resources change: m1 is not m2, or r1 is "
        "not r2. Here r is all control state.",
        _PAPER,
    ),
    "behaviour_sensitive": Definition(
        "behaviour-sensitive",
        "There are two states that show the same virtual machine but differ in the mode, in its "
        "place in real memory or in control state; the instruction traps in neither and leaves "
        "mode and control state as they were; and what it computes (memory, registers or the "
        "program counter) differs.",
        _PAPER,
    ),
    "result_sensitive": Definition(
        "result-sensitive",
        "As behaviour-sensitive, but the instruction may also change mode and control state: its "
        "result differs between two states that differ only in the components named.",
        _AFTER,
    ),
    "trap_sensitive": Definition(
        "trap-sensitive",
        "Of two states that show the same virtual machine and differ only in the components "
        "named, the instruction retires in one and traps (not on memory) in the other.",
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
        "In user mode it does nothing but go on, where in supervisor mode it changes control "
        'state. "It is not enough to NOP the instruction without trapping."',
        "Popek and Goldberg 1974, section 3, on privileged instructions",
    ),
    "innocuous": Definition(
        "innocuous", "It is neither control-sensitive nor behaviour-sensitive.", _PAPER
    ),
    "escape": Definition(
        "escape",
        "A state in the real mode of the guest that satisfies the configuration, in which the "
        "instruction retires although there it is control-, behaviour- or trap-sensitive: the "
        "VMM does not get to emulate it.",
        _AFTER,
    ),
}
