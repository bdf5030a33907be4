"""Which virtual modes run directly on the real machine (formal model, section 8)."""

from enum import Enum

from refvmm.derive import Monitor


class Strategy(Enum):
    """All satisfy the same equivalence where the theorems allow them."""

    TRAP_AND_EMULATE = "trap-and-emulate"  # Theorem 1: every virtual mode of the configuration
    HYBRID = "hybrid"  # Theorem 3: the least privileged virtual mode only
    INTERPRET = "interpret"  # no mode; needs no theorem


def direct_modes(monitor: Monitor, strategy: Strategy) -> frozenset[int]:
    """The encodings of the virtual modes in which the guest runs directly."""
    match strategy:
        case Strategy.TRAP_AND_EMULATE:
            return frozenset(monitor.direct)
        case Strategy.HYBRID:
            return frozenset(monitor.direct[-1:])
        case Strategy.INTERPRET:
            return frozenset()
