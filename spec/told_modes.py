"""Which changes of mode a monitor learns of although nothing traps."""

from spec.expressions import reads
from spec.ir import Configuration
from spec.mode_map import ModeMap, evident


def told_modes(configuration: Configuration, mode: str) -> ModeMap:
    """The virtual modes, with their real ones, that the guest may enter without a trap.

    The monitor reads the virtual mode off the real one. That is not enough where the real machine
    must be made ready for a virtual mode: where `compose` reads the `mode` element, and where there are
    shadow tables, which are filled for one virtual mode at a time. A second stage is the same for
    all modes.
    """
    shadow = configuration.install is not None and not configuration.second_stage
    if len(configuration.modes) < 2 or shadow:
        return ()
    if any(mode in reads(value) for _, value in configuration.compose):
        return ()
    return evident(configuration.modes)
