"""Faults that real monitors had, put into a derived monitor mechanically.

Each fault is a change of IR that names no architecture; a monitor has a mutant for every place
where the change applies, of which some are taken.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from refvmm import faults
from refvmm.derive import Monitor
from refvmm.monitor_parts import (
    Part,
    Site,
    function_parts,
    own_blocks,
    relocators,
    routine_parts,
    shadow_functions,
    translation_parts,
    trap_parts,
)
from refvmm.mutation import in_expressions
from spec import ir


@dataclass(frozen=True, slots=True, eq=False)
class Mutant:
    """A monitor with one fault. `name` is `fault@place`, and unique for the monitor."""

    name: str
    description: str
    monitor: Monitor


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault; `sites` finds where a monitor can have it."""

    name: str
    description: str
    sites: Callable[[Monitor], Iterator[Site]]


def mutants(monitor: Monitor, most: int = 3, *, slow: bool = False) -> Iterator[Mutant]:
    """For every fault of the catalogue at most `most` mutants, at places far from each other.

    `slow`: also such as cost a guest time and nothing else, which no program can tell.
    """
    for fault in (*CATALOGUE, *SLOW) if slow else CATALOGUE:
        seen: dict[str, int] = {}
        for place, mutated in _spread(list(fault.sites(monitor)), most):
            seen[place] = seen.get(place, 0) + 1
            suffix = f"#{seen[place]}" if seen[place] > 1 else ""
            yield Mutant(f"{fault.name}@{place}{suffix}", fault.description, mutated)


def _spread(sites: list[Site], most: int) -> list[Site]:
    """Some of the sites, in order; places before repetitions of a place."""
    first: dict[str, Site] = {}
    for site in sites:
        first.setdefault(site[0], site)
    chosen = list(first.values())
    if len(chosen) < most:
        again = [site for site in sites if site is not first[site[0]]]
        chosen += again[: most - len(chosen)]
    if len(chosen) <= most:
        return chosen
    return [chosen[number * len(chosen) // most] for number in range(most)]


def _in(
    parts: Callable[[Monitor], Iterable[Part]],
    change: faults.Change,
) -> Callable[[Monitor], Iterator[Site]]:
    """A change applied to all parts of some kind."""

    def sites(monitor: Monitor) -> Iterator[Site]:
        blocks = change(monitor)
        for part in parts(monitor):
            yield from part.sites(blocks(part.block))

    return sites


CATALOGUE = (
    Fault(
        "offset dropped",
        "the guest's physical addresses are used as real ones",
        _in(
            relocators,
            lambda m: lambda b: in_expressions(b, faults.offset(lambda e: ir.Literal(0, e.width))),
        ),
    ),
    Fault(
        "offset added twice",
        "an address that was relocated already is relocated again",
        _in(
            relocators,
            lambda m: (
                lambda b: in_expressions(
                    b, faults.offset(lambda e: ir.Binary(ir.BinaryOp.ADD, e, e, e.width))
                )
            ),
        ),
    ),
    Fault(
        "bound off by one",
        "the first cell outside the region is taken for one inside",
        _in(relocators, lambda m: lambda b: in_expressions(b, faults.bound)),
    ),
    Fault("routine missing", "a sensitive instruction is skipped when it traps", faults.missing),
    Fault("wrong cause", "a trap is reflected as another one", faults.wrong_cause),
    Fault(
        "wrong mode",
        "a return or a trap sets a mode that is not the one asked for",
        _in(lambda m: [*routine_parts(m), *trap_parts(m)], faults.modes),
    ),
    Fault(
        "wrong previous mode",
        "a trap saves another mode than it came from",
        _in(trap_parts, faults.former),
    ),
    Fault(
        "mode kept by trap",
        "the virtual mode stays when a trap is reflected",
        _in(trap_parts, faults.dropping(faults.is_mode_write)),
    ),
    Fault(
        "saved pc wrong",
        "a trap saves the address of another instruction",
        _in(trap_parts, faults.following),
    ),
    Fault(
        "not masked",
        "bits of a register that read as 0 are kept (Miralis: low bits of a saved pc)",
        _in(routine_parts, faults.unmasking),
    ),
    Fault(
        "not legalized",
        "a value that a register does not take is written (Miralis: a mode that is not writable)",
        _in(routine_parts, faults.dropping(faults.is_legalization)),
    ),
    Fault(
        "not filtered",
        "bits are taken without the mask that another register is (delegation, enables)",
        _in(lambda m: [*routine_parts(m), *trap_parts(m)], faults.unfiltered),
    ),
    Fault(
        "decided wrongly",
        "a decision by control state always goes one way (delegation, vectored or not)",
        _in(trap_parts, faults.decided),
    ),
    Fault(
        "privilege not checked",
        "a routine does for virtual user mode what it may do for supervisor mode only",
        _in(routine_parts, faults.dropping(faults.is_privilege_check)),
    ),
    Fault(
        "control write lost",
        "a routine or a reflected trap leaves a control register as it was",
        _in(
            lambda m: [*routine_parts(m), *trap_parts(m)], faults.dropping(faults.is_control_write)
        ),
    ),
    Fault(
        "interrupts swapped", "the one of lower priority is taken first", faults.interrupts_swapped
    ),
    Fault(
        "priority swapped",
        "of two cases that apply the wrong one is taken",
        _in(lambda m: [*trap_parts(m), *translation_parts(m)], faults.swapped),
    ),
    Fault("interrupt not masked", "an interrupt is taken although it is off", faults.conditions),
    Fault(
        "lost interrupt",
        "the wait for an interrupt does not see one that is pending, or does not wait",
        _in(routine_parts, faults.waiting),
    ),
    Fault(
        "translation not checked",
        "an access that the guest's own translation refuses is done",
        _in(translation_parts, faults.dropping(faults.is_memory_check)),
    ),
    Fault(
        "flush forgotten",
        "shadow entries stay when what they stand for has changed",
        _in(own_blocks, faults.dropping(faults.is_flush)),
    ),
    Fault(
        "stale entry",
        "a change of the guest's tables, or of what selects them, is not noticed",
        _in(
            lambda m: [*shadow_functions(m), *routine_parts(m), *trap_parts(m)],
            faults.dropping(faults.is_staling),
        ),
    ),
    Fault(
        "tables writable",
        "pages that the guest's tables lie in are mapped writable",
        _in(shadow_functions, faults.dropping(faults.is_protection)),
    ),
    Fault(
        "entry not removed",
        "a flush forgets an entry but leaves it in the real tables",
        _in(lambda m: [*own_blocks(m), *shadow_functions(m)], faults.dropping(faults.is_removal)),
    ),
    Fault(
        "bank not switched",
        "a banked register is not saved, or not restored",
        _in(own_blocks, faults.dropping(faults.is_bank_switch)),
    ),
    Fault(
        "time stands still",
        "virtual time does not go on while the guest runs directly",
        _in(own_blocks, faults.dropping(faults.is_clock_write)),
    ),
)

SLOW = (
    Fault(
        "relocation too narrow",
        "the composed relocation refuses what the region holds",
        faults.narrowed,
    ),
    Fault(
        "page not installed",
        "a page that the guest reached is noted, and not mapped",
        _in(lambda m: function_parts(m, ("vmm.fill",)), faults.dropping(faults.is_installation)),
    ),
    Fault(
        "page not noted",
        "that the guest reached a page is forgotten before it is mapped",
        _in(lambda m: function_parts(m, ("vmm.touch",)), faults.dropping(faults.is_touch)),
    ),
)
