"""Guests of one real machine of which one differs from its bare machine."""

from checker.report_json import JSON
from popek.console import Palette
from popek.render_failure import (
    differences_json,
    render_differences,
    render_events,
    render_start,
    render_step,
)
from popek.trace import trace_line
from refvmm.lockstep import Divergence
from refvmm.multiplexing import Guests, Joint
from refvmm.replay_file import joint_to_json


def render_joint(guests: Guests, tried: Joint, found: Divergence, palette: Palette) -> str:
    """The guests that run, each with its start and program, all steps, and what is different."""
    isa, lines = guests.isa, list[str]()
    for guest, scenario in enumerate(tried.scenarios):
        if guest in tried.schedule:
            lines += ["", f"  guest {guest}:", *render_start(isa, scenario)]
    lines += ["", "  what happens:"]
    for _, turn, _ in guests.turns(tried):
        lines.append(f"    guest {turn.guest} runs")
        lines += render_events(tried.scenarios[turn.guest], turn.number)
        lines += render_step(isa, turn.bare, turn.virtual, turn.emulated)
    lines += render_differences(isa, found, palette)
    return "".join(line.rstrip() + "\n" for line in lines)


def joint_failure_json(guests: Guests, tried: Joint, found: Divergence) -> dict[str, JSON]:
    """The guests, the steps of all as text, and the differences."""
    isa = guests.isa
    steps: list[JSON] = [
        {
            "guest": turn.guest,
            "bare": trace_line(isa, turn.bare),
            "virtual": trace_line(isa, turn.virtual),
            "by": "monitor" if turn.emulated else "hardware",
        }
        for _, turn, _ in guests.turns(tried)
    ]
    return {
        "differences": differences_json(isa, found),
        "trace": steps,
        "guests": joint_to_json(tried),
    }
