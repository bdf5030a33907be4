"""What is mirrored under a constraint: the guest may set it all the same, and cannot tell."""

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from checker.answers import Answer
from checker.discharge import discharge
from checker.proof import Group
from refvmm.campaign import campaign
from refvmm.derive import Monitor, derive
from refvmm.lockstep import lockstep
from refvmm.monitor_text import MonitorText
from refvmm.obligations import hosted, obligations
from refvmm.processor import stack
from refvmm.programs import Programs
from refvmm.strategy import Strategy
from refvmm.trial import Trial, trial_placement
from refvmm.virtual_machine import VirtualMachine
from refvmm.vm_map import Placement, bare_state, place
from spec.encoding import Codec
from spec.load import load
from spec.machine import Machine
from tests.test_refvmm_derive import ISAS, described

DIRECT = Strategy.TRAP_AND_EMULATE
TEXT = """
isa "A flag that anyone may read, and that the monitor keeps off"

include "machine.isa"

control base, bound : bits(8)
control F : bits(1)

translate(va, access, size, mode) {
  let a = bits(va)
  if a >= bound || carry(base, a, 0) == 1 { trap page_fault }
  return paddr(base + a)
}

instruction RDF (d : bits(2)) = "1001" 10'd0 d
  asm "rdf r{d}"
{ r[d] = zext(F, 16) }

instruction SETF (s : bits(2)) = "1010" 10'd0 s
  asm "setf r{s}"
{
  require M >= supervisor
  F = r[s][0:0]
}

virtualize classic {
  supervisor, user as user
  constrain F == 0
  mirror F
  shadow base, bound
  compose base = base + region.base
  compose bound = if zext(base, 9) >= region.size then 8'd0
    else if zext(bound, 9) + zext(base, 9) > region.size then (region.size - zext(base, 9))[7:0]
    else bound
}
"""


@cache
def monitor() -> Monitor:
    with TemporaryDirectory() as folder:
        shutil.copy(ISAS / "tiny" / "machine.isa", folder)
        path = Path(folder) / "flag.isa"
        path.write_text(TEXT)
        isa = load(path).isa
    assert isa is not None
    return derive(isa, isa.configurations[0])


def differs(guest: Monitor, strategy: Strategy, examples: int) -> bool:
    isa, configuration = guest.description, guest.configuration
    placement = trial_placement(isa, configuration)
    programs = Programs(isa, configuration, placement.region_size)
    trial = Trial([guest], [placement], strategy)

    return campaign(trial, programs, examples, 1, shrinking=False) is not None


@pytest.mark.parametrize("depth", [1, 2])
def test_the_guest_runs_directly_while_the_virtual_value_may_be_mirrored(depth: int) -> None:
    isa = monitor().description
    state = bare_state(isa, 64)
    state.scalars["bound"] = 64
    for address, word in enumerate((0x4010, 0xA000, 0x9001, 0xA002, 0x9003)):
        state.cells[address] = word  # ldi r0, 1; setf r0; rdf r1; setf r2; rdf r3
    monitors = stack(isa, isa.configurations[0], depth)
    placed = state
    for level, each in enumerate(reversed(monitors)):
        placed = place(each, placed, Placement(64, 64 << level, 0))
    virtual = VirtualMachine(monitors, placed, Codec(isa).decode, DIRECT)

    assert lockstep(Machine(isa, state), virtual, 5) is None
    assert (virtual.direct, virtual.emulated) == (2, 3)


def test_random_programs_cannot_tell() -> None:
    assert not differs(monitor(), DIRECT, 200)


def test_without_the_guard_they_can() -> None:
    assert differs(replace(monitor(), guard=None), DIRECT, 200)


def test_it_is_proved_for_all_programs() -> None:
    answers = [
        found
        for statement in obligations(monitor(), DIRECT)
        for found in discharge(hosted(monitor()), statement)
    ]

    assert {found.answer for found in answers} == {Answer.YES}


def test_without_the_guard_reading_the_flag_is_refuted() -> None:
    unguarded = replace(monitor(), guard=None)

    refuted = {
        found.name
        for statement in obligations(unguarded, DIRECT)
        if statement.group is Group.DIRECT
        for found in discharge(hosted(unguarded), statement)
        if found.answer is Answer.NO
    }

    assert refuted == {"RDF in virtual mode user", "RDF in virtual mode supervisor"}


def test_the_dispatcher_says_so() -> None:
    (section,) = MonitorText(monitor(), DIRECT).sections([], ["dispatcher"])

    lines = [line.partition("//")[0].strip() for line in section.lines]
    assert "if (vm.M == supervisor || vm.M == user) && mirrored() { run }" in lines
    assert "return vm.F == 0" in lines


def test_a_guest_of_the_ka10_may_give_its_users_input_and_output() -> None:
    isa = described("pdp10/ka10")
    (configuration,) = [c for c in isa.configurations if c.name == "no_user_io"]

    assert not differs(derive(isa, configuration), Strategy.HYBRID, 40)
