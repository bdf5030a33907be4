"""Every class has an instruction that belongs to it and a twin that just does not."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from checker.answers import Answer, Classification, OperandSet, Traps
from checker.classify import classify
from checker.operand_sets import operand_sets
from spec.ir import Isa
from spec.load import load

YES, NO = Answer.YES, Answer.NO

MACHINE = """isa "A machine of classes"
type word = bits(8)
mode M : bits(2) { user = 0, middle = 1, top = 3 } reset top
pc PC : bits(6)
register r : word[2]
flag Z : bits(1)
bank SP : word { user: USP, middle: MSP, top: TSP }
control base : bits(6)
control mask, shown, twin, lent, guard : bits(1)
control root : bits(2)
time clock : word
device line : bits(1)
memory E : word[2^6] big
fetch 8
invariant shown == twin

enum Which : bits(1) { quiet = 0, loud = 1 }

cause outside : memory { PC = 0 }
cause denied  : privilege { PC = 1 }
cause call    : call { PC = 2 }
cause broken  : fault { PC = 3 }
undecodable trap broken

/* Middle and top are not relocated. */
translate(va, access, size, mode) {
  if bits(va)[5:4] == 3 { trap outside }
  return paddr(if mode == user then base + bits(va) else bits(va))
}

instruction MOVE_ONE () = 8'h01 { r[0] = r[1] }
instruction LOAD () = 8'h02 { r[0] = load(r[1][5:0], 8) }
instruction STORE () = 8'h03 { store(r[1][5:0], r[0]) }
instruction CALL () = 8'h04 { trap call }
instruction CHECK () = 8'h05 { if r[0] == 0 { trap broken } }

instruction SET_MASK () = 8'h10 { require M >= middle   mask = r[0][0:0] }
instruction SET_MASK_TOP () = 8'h11 { require M == top   mask = r[0][0:0] }
instruction ASK_MASK () = 8'h12 { require mask == 0   r[0] = 0 }
instruction MAYBE () = 8'h13 { if unknown(1) == 0 { trap denied } r[0] = 0 }
instruction SOMETIMES_DENIED () = 8'h14 { require M >= middle || r[0] == 0   r[0] = 1 }

instruction TO_USER () = 8'h20 { if M == top { M = user } PC = r[0][5:0] }
instruction WRITE_MASK () = 8'h21 { mask = r[0][0:0] }
instruction KEEP_MASK () = 8'h22 { mask = mask }
instruction MASK_IF_TOP () = 8'h23 { if M == top { mask = r[0][0:0] } }
instruction STORE_ABSOLUTE () = 8'h24 { pstore(paddr(6'd5), r[0]) }
instruction CLEAR_ABSOLUTE () = 8'h28 { let v = load(6'd5, 8)  pstore(paddr(6'd5), 8'd0) }
instruction SET_USP () = 8'h25 { require M == top   USP = r[0] }
instruction SET_SP () = 8'h26 { SP = r[0] }
instruction TICK () = 8'h27 { clock = clock + 1 }

instruction READ_MODE () = 8'h30 { r[0] = zext(M, 8) }
instruction READ_MODE_TWICE () = 8'h31 { r[0] = zext(M, 8) - zext(M, 8) }
instruction READ_MASK () = 8'h32 { r[0] = zext(mask, 8) }
instruction SWAP_MASK () = 8'h33 { r[0] = zext(mask, 8)   mask = 1 }
instruction READ_PAIR () = 8'h34 { r[0] = zext(shown ^ twin, 8) }
instruction SHOW () = 8'h35 { if shown == 1 { r[0] = r[1] } }
instruction READ_CLOCK () = 8'h36 { r[0] = clock }
instruction READ_LINE () = 8'h37 { Z = line }
instruction READ_SP () = 8'h38 { r[0] = SP }
instruction READ_USP () = 8'h39 { r[0] = USP }
instruction PLACE () = 8'h3A { r[0] = zext(bits(translate(r[1][5:0], read, 1)), 8) }
instruction PLACE_UNUSED () = 8'h3B { let p = translate(r[1][5:0], read, 1) }
instruction READ_ABSOLUTE () = 8'h3C { r[0] = pload(paddr(6'd5), 8) }
instruction LOAD_AS_USER () = 8'h3D { r[0] = load(r[1][5:0], 8, user) }
instruction LENT () = 8'h3E { r[0] = zext(lent, 8)   lent = r[1][0:0] }
instruction STORE_MODE () = 8'h3F { store(r[1][5:0], zext(M, 8)) }

instruction GUARDED () = 8'h40 { if guard == 1 { trap broken } }
instruction GUARDED_WORTHLESS () = 8'h41 { if guard == 1 { r[0] = r[0] } }
instruction NOT_IN_USER () = 8'h42 { if M == user { trap broken }  r[0] = 0 }
instruction TRAP_ABOVE () = 8'h43 { if M >= middle { trap broken } }
instruction CHANGED_TRANSLATION () = 8'h44 { base = 6'd0   r[0] = load(r[1][5:0], 8) }
instruction PROBE () = 8'h45 { r[0] = if accessible(r[1][5:0], read, 1) then 1 else 0 }
instruction CHOOSE () = 8'h46 { r[0] = unknown(8) }
instruction CHOOSE_ABOVE () = 8'h47 { if M >= middle { if unknown(1) == 1 { trap broken }  mask = 1 } }
instruction OPTION (w : Which) = 7'h30 w { if w == loud { r[0] = zext(mask, 8) } }

virtualize all {
  top, middle, user as user
  constrain guard == 0
  pass lent
  mirror shown, twin
  shadow rest
}
virtualize pair {
  middle, user as user
  shadow rest
}
"""


@cache
def machine() -> Isa:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "classes.isa"
        path.write_text(MACHINE)
        loaded = load(str(path))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


@cache
def classes(name: str, configuration: str = "all", member: str = "") -> Classification:
    isa = machine()
    (instruction,) = [i for i in isa.instructions if i.name == name]
    (chosen,) = [c for c in isa.configurations if c.name == configuration]
    operands: OperandSet = next(s for s in operand_sets(isa, instruction) if member in ("", s.text))
    found = classify(isa, chosen, instruction, operands, timeout_ms=20_000)
    assert not found.undecided
    assert not found.defects
    return found


@pytest.mark.parametrize(
    ("name", "traps"),
    [
        ("MOVE_ONE", Traps.NEVER),
        ("LOAD", Traps.NEVER),  # memory traps do not count
        ("CALL", Traps.ALWAYS),
        ("CHECK", Traps.SOMETIMES),
        ("SET_MASK", Traps.ALWAYS),
        ("GUARDED", Traps.NEVER),  # by the constraint
        ("MAYBE", Traps.SOMETIMES),
    ],
)
def test_traps_are_those_in_the_real_mode_under_the_constraints(name: str, traps: Traps) -> None:
    assert classes(name).traps is traps


@pytest.mark.parametrize(
    ("name", "configuration", "refused"),
    [
        ("SET_MASK", "all", True),
        ("SET_MASK_TOP", "pair", True),
        ("NOT_IN_USER", "all", False),
        ("CALL", "all", False),
        ("SOMETIMES_DENIED", "all", False),
        ("MOVE_ONE", "all", False),
    ],
)
def test_refused_is_trapping_always_and_by_privilege(
    name: str, configuration: str, refused: bool
) -> None:
    assert classes(name, configuration).refused is refused


@pytest.mark.parametrize(
    ("name", "configuration", "privileged"),
    [
        ("SET_MASK", "all", YES),
        ("SET_MASK_TOP", "all", YES),
        ("SET_MASK_TOP", "pair", NO),  # it is denied to middle, the top of that configuration
        ("ASK_MASK", "all", NO),  # denied in some states only
        ("MAYBE", "all", NO),  # some choice does not trap
        ("SOMETIMES_DENIED", "all", NO),
        ("NOT_IN_USER", "all", NO),  # another trap than privilege
        ("CALL", "all", NO),
        ("MOVE_ONE", "all", NO),
        ("LOAD", "all", NO),
    ],
)
def test_privileged_is_trapping_in_user_and_not_in_top_from_every_state(
    name: str, configuration: str, privileged: Answer
) -> None:
    assert classes(name, configuration).privileged is privileged


@pytest.mark.parametrize(
    ("name", "components"),
    [
        ("TO_USER", ("mode",)),
        ("SET_MASK", ("mask",)),
        ("WRITE_MASK", ("mask",)),
        ("KEEP_MASK", ()),
        ("MASK_IF_TOP", ("mask",)),
        ("STORE_ABSOLUTE", ("memory",)),
        ("STORE", ()),  # the guest's own memory
        ("SET_USP", ("USP",)),  # hidden from top
        ("SET_SP", ()),  # each mode sees its own
        ("TICK", ("clock",)),
        ("CHANGED_TRANSLATION", ("base",)),
    ],
)
def test_control_sensitive_is_retiring_with_control_state_changed(
    name: str, components: tuple[str, ...]
) -> None:
    assert classes(name).control_sensitive.names == components


@pytest.mark.parametrize(
    ("name", "components"),
    [
        ("READ_MODE", {"mode"}),
        ("READ_MODE_TWICE", set()),
        ("READ_MASK", {"mask"}),
        ("SWAP_MASK", {"mask"}),  # from a state where the mask is 1 already? no: result only
        ("READ_PAIR", set()),  # the invariant makes it 0
        ("SHOW", {"shown+twin"}),  # neither alone, by the invariant
        ("READ_CLOCK", {"clock"}),
        ("READ_LINE", {"line"}),
        ("READ_SP", set()),
        ("READ_USP", {"mode", "USP"}),  # user sees it, the other modes do not
        ("PLACE", {"mode", "location", "base"}),
        ("PLACE_UNUSED", set()),
        ("READ_ABSOLUTE", {"location", "memory"}),
        ("LOAD", set()),
        ("STORE", set()),
        ("STORE_MODE", {"mode"}),
        ("PROBE", set()),
        ("CHOOSE", set()),
        ("SET_SP", set()),
        ("GUARDED_WORTHLESS", set()),
    ],
)
def test_behaviour_sensitive_is_ending_differently_with_control_state_left_alone(
    name: str, components: set[str]
) -> None:
    expected = set() if name == "SWAP_MASK" else components
    assert set(classes(name).behaviour_sensitive.names) == expected


def test_what_changes_control_state_may_be_result_sensitive_only() -> None:
    assert classes("SWAP_MASK").result_sensitive.names == ("mask",)
    assert classes("SWAP_MASK").behaviour_sensitive.names == ()
    assert classes("MOVE_ONE").result_sensitive.names == ()


def test_a_constant_stored_at_a_constant_place_may_be_in_the_view() -> None:
    found = classes("CLEAR_ABSOLUTE")

    assert found.behaviour_sensitive.names == ()
    assert set(found.result_sensitive.names) == {"mode", "location", "base"}


def test_reading_as_another_mode_depends_on_what_is_there() -> None:
    found = set(classes("LOAD_AS_USER").behaviour_sensitive.names)

    assert found == {"location", "memory", "base"}
    assert classes("LOAD_AS_USER").user_sensitive is NO  # in user it is an ordinary load


@pytest.mark.parametrize(
    ("name", "components"),
    [
        ("GUARDED", {"guard"}),
        ("GUARDED_WORTHLESS", set()),
        ("TRAP_ABOVE", {"mode"}),
        ("NOT_IN_USER", set()),  # it traps in user
        ("ASK_MASK", {"mask"}),
        ("CHECK", set()),
        ("LOAD", set()),
    ],
)
def test_trap_sensitive_is_retiring_in_user_where_another_state_traps(
    name: str, components: set[str]
) -> None:
    assert set(classes(name).trap_sensitive.names) == components


@pytest.mark.parametrize(
    ("name", "user", "top"),
    [
        ("TO_USER", NO, YES),  # PG74's JRST 1
        ("WRITE_MASK", YES, YES),
        ("MASK_IF_TOP", NO, YES),
        ("READ_MASK", YES, YES),
        ("SHOW", YES, YES),  # on a set of components
        ("READ_MODE", NO, NO),  # PG74: mode sensitivity is not counted
        ("READ_CLOCK", NO, NO),
        ("PLACE", YES, NO),  # top is not relocated
        ("SET_MASK", NO, YES),
        ("READ_USP", NO, YES),
        ("MOVE_ONE", NO, NO),
    ],
)
def test_user_sensitivity_is_that_of_states_in_user(name: str, user: Answer, top: Answer) -> None:
    assert classes(name).user_sensitive is user
    assert classes(name).supervisor_sensitive is top


@pytest.mark.parametrize(
    ("name", "noop"),
    [("MASK_IF_TOP", YES), ("TO_USER", YES), ("WRITE_MASK", NO), ("SET_MASK", NO), ("STORE", NO)],
)
def test_a_user_mode_noop_changes_control_state_elsewhere(name: str, noop: Answer) -> None:
    assert classes(name).user_mode_noop is noop


@pytest.mark.parametrize(
    ("name", "escape", "hybrid", "semantic"),
    [
        ("MOVE_ONE", NO, NO, NO),
        ("LOAD", NO, NO, NO),
        ("STORE", NO, NO, NO),
        ("SET_MASK", NO, NO, NO),
        ("TO_USER", YES, NO, YES),
        ("MASK_IF_TOP", YES, NO, YES),
        ("WRITE_MASK", YES, YES, YES),
        ("READ_MODE", YES, NO, YES),
        ("READ_MASK", YES, YES, YES),
        ("SHOW", YES, YES, NO),  # mirrored: the VMM makes real and virtual equal
        ("LENT", NO, NO, NO),  # passed through
        ("TRAP_ABOVE", YES, NO, YES),
        ("GUARDED", YES, YES, YES),  # 0 in the real machine, anything in the virtual one
        ("CALL", NO, NO, NO),
        ("READ_SP", NO, NO, NO),
        ("PLACE", YES, YES, YES),
        ("STORE_ABSOLUTE", YES, YES, YES),
        ("READ_CLOCK", YES, YES, YES),
        ("CHOOSE", NO, NO, NO),
        ("CHANGED_TRANSLATION", YES, YES, YES),
    ],
)
def test_escapes(name: str, escape: Answer, hybrid: Answer, semantic: Answer) -> None:
    found = classes(name)

    assert (found.escape, found.hybrid_escape) == (escape, hybrid)
    assert found.semantic_violation is semantic


def test_each_member_of_an_enumeration_is_classified_apart() -> None:
    assert classes("OPTION", member="quiet").innocuous is YES
    assert classes("OPTION", member="loud").behaviour_sensitive.names == ("mask",)


def test_what_can_happen_carries_a_replayed_witness() -> None:
    for name in ("TO_USER", "READ_MASK", "SHOW", "PLACE", "TRAP_ABOVE", "STORE_ABSOLUTE"):
        found = classes(name)
        (escape,) = [w for w in found.witnesses if w.property == "escape"]

        assert escape.replayed
        assert escape.runs[0].mode == "user"
        assert escape.differs


def test_witnesses_are_least() -> None:
    (witness,) = [w for w in classes("READ_MASK").witnesses if w.property == "escape"]
    masks = [v.before for run in witness.runs for v in run.values if v.name == "mask"]
    registers = [v.before for run in witness.runs for v in run.values if v.name.startswith("r[")]

    assert witness.components == ("mask",)
    assert sorted(masks) == [0, 1]
    assert not any(registers)


def test_what_is_skipped_is_undecided() -> None:
    isa = machine()
    (instruction,) = [i for i in isa.instructions if i.name == "READ_PAIR"]
    (operands,) = operand_sets(isa, instruction)
    names: set[str] = set()
    found = classify(isa, isa.configurations[0], instruction, operands, announce=names.add)
    assert found.undecided == ()

    for _ in range(9):  # without a short cut, more is asked
        skip = frozenset(names)
        found = classify(
            isa, isa.configurations[0], instruction, operands, skip=skip, announce=names.add
        )

    assert {u.obligation for u in found.undecided} <= set(names)
    assert {u.reason for u in found.undecided} == {"time-out"}
    assert found.innocuous is Answer.UNKNOWN
    assert found.escape is Answer.UNKNOWN


def test_a_witness_shows_only_what_the_instruction_reads_or_changes() -> None:
    (escape,) = [w for w in classes("READ_MASK").witnesses if w.property == "escape"]

    shown = {value.name for run in escape.runs for value in run.values}

    assert shown == {"mask", "r[0]"}


def test_choices_that_one_state_alone_makes_do_not_keep_two_states_apart() -> None:
    found = classes("CHOOSE_ABOVE")

    assert found.escape is YES
    assert found.user_mode_noop is YES
    assert found.trap_sensitive.names == ("mode",)


def test_out_of_time_for_fine_questions_an_escape_is_still_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("checker.classify.FINE", -1.0)
    isa = machine()
    (instruction,) = [i for i in isa.instructions if i.name == "READ_MODE"]
    (configuration,) = [c for c in isa.configurations if c.name == "all"]

    isa = replace(isa, name="asked for the first time")  # or what is known already is answered
    found = classify(isa, configuration, instruction, OperandSet())

    assert found.escape is YES
    assert found.behaviour_sensitive.answer is Answer.UNKNOWN
    assert found.undecided
    assert all(u.reason.startswith("time-out") for u in found.undecided)
