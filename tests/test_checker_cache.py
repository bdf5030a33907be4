import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from checker.answers import Fact, OperandSet
from checker.cache import FILE, Cache
from checker.meaning import Meanings
from checker.version import digest, installed_version
from spec.ir import (
    Binary,
    BinaryOp,
    Call,
    Configuration,
    Element,
    Expr,
    Function,
    Instruction,
    Isa,
    Literal,
    Local,
    Read,
    Return,
    Role,
    Write,
)
from spec.load import load
from spec.source import Span
from tests.classified import YES, classified, witness
from tests.small_machine import SMALL, instruction

MODES = (("supervisor", "user"), ("user", "user"))
CLASSIC = Configuration("classic", MODES, (), ("R", "B", "I", "T"), (), ())
RESULT = classified("X", witnesses=(witness("escape", "control", ("mode",)),))

# --------------------------------------------------------------------------- storage


def test_what_was_put_is_there_for_the_next_process(tmp_path: Path) -> None:
    first = Cache(tmp_path)
    first.put("a", RESULT)
    first.put("b", (Fact("efficient", YES),))
    first.close()

    second = Cache(tmp_path)

    assert second.get(["a", "b", "c"]) == {"a": RESULT, "b": (Fact("efficient", YES),)}
    assert second.notes == []
    second.close()


def test_many_keys_are_found_at_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    for n in range(1200):
        cache.put(str(n), (Fact(str(n), YES),))
    cache.flush()

    found = cache.get(str(n) for n in range(0, 2400, 2))

    assert {key: value[0].question for key, value in found.items()} == {
        str(n): str(n) for n in range(0, 1200, 2)
    }
    cache.close()


def test_two_processes_may_use_one_cache(tmp_path: Path) -> None:
    one, other = Cache(tmp_path), Cache(tmp_path)

    one.put("a", RESULT)
    one.flush()
    other.put("b", RESULT)
    other.flush()

    assert list(one.get(["b"])) == ["b"]
    assert list(other.get(["a"])) == ["a"]
    assert one.notes == other.notes == []
    one.close()
    other.close()


def test_without_a_directory_nothing_is_kept() -> None:
    cache = Cache(None)
    cache.put("a", RESULT)
    cache.flush()

    assert cache.get(["a"]) == {}
    assert cache.notes == []
    cache.close()


def _noise(path: Path) -> None:
    path.write_bytes(b"no database " * 1000)


def _cut_off(path: Path) -> None:
    cache = Cache(path.parent)
    for n in range(500):
        cache.put(str(n), RESULT)
    cache.close()
    path.write_bytes(path.read_bytes()[:5000])


def _directory(path: Path) -> None:
    path.mkdir()


def _other_table(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE results (name TEXT)")
    connection.close()


@pytest.mark.parametrize("damage", [_noise, _cut_off, _directory, _other_table])
def test_a_damaged_cache_is_noted_once_and_done_without(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(tmp_path / FILE)

    cache = Cache(tmp_path)
    found = cache.get(["1", "x"])
    cache.put("x", RESULT)
    cache.flush()
    cache.put("y", RESULT)
    cache.close()

    assert found == {}
    assert len(cache.notes) == 1
    assert "going on without it" in cache.notes[0]


def test_a_directory_that_cannot_be_made_is_noted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    cache = Cache(tmp_path / "file" / "cache")

    assert cache.get(["a"]) == {}
    assert len(cache.notes) == 1
    cache.close()


@pytest.mark.parametrize(
    "value", [b"", b"noise", pickle.dumps(RESULT)[:-20], pickle.dumps(subprocess.run)]
)
def test_a_damaged_or_foreign_entry_is_noted_and_not_used(tmp_path: Path, value: bytes) -> None:
    cache = Cache(tmp_path)
    cache.put("good", RESULT)
    cache.close()
    connection = sqlite3.connect(tmp_path / FILE)
    with connection:
        connection.execute("INSERT INTO results VALUES ('bad', 0, ?)", (value,))
    connection.close()

    cache = Cache(tmp_path)

    assert cache.get(["bad", "good"]) == {"good": RESULT}
    assert len(cache.notes) == 1
    cache.close()


# --------------------------------------------------------------------------- meaning


def _local(name: str) -> Local:
    return Local(name, 16)


def _function(name: str, body: Expr) -> Function:
    return Function(name, (_local("v"),), (Return(body),), 16)


DOUBLE = _function("double", Binary(BinaryOp.ADD, _local("v"), _local("v"), 16))
FOURFOLD = Function(
    "fourfold",
    (_local("v"),),
    (Call("w", "double", (_local("v"),)), Return(_local("w"))),
    16,
)
CALLER = instruction("CALLER", Call("r", "fourfold", (Read("A", 16),)), Write("A", _local("r")))
LONER = instruction("LONER", Write("R", Literal(0, 8)))

ISA = replace(
    SMALL,
    functions=(*SMALL.functions, DOUBLE, FOURFOLD),
    instructions=(CALLER, LONER),
    configurations=(CLASSIC,),
)


def _key(isa: Isa, subject: Instruction = CALLER, configuration: Configuration = CLASSIC) -> str:
    return Meanings(isa).classification(configuration, subject, OperandSet())


def _with_element(old: str, **changes: object) -> Isa:
    elements = tuple(replace(e, **changes) if e.name == old else e for e in ISA.elements)  # type: ignore[arg-type]
    return replace(ISA, elements=elements)


def _with_function(function: Function) -> Isa:
    others = [f for f in ISA.functions if f.name != function.name]
    return replace(ISA, functions=(*others, function))


def test_moving_or_documenting_an_instruction_changes_no_key() -> None:
    moved = replace(CALLER, span=Span("elsewhere.isa", 5, 9), doc="Twice twice.", page="7")
    shuffled = replace(ISA, functions=tuple(reversed(ISA.functions)), notes=("a note",))

    assert _key(replace(ISA, instructions=(LONER, moved)), moved) == _key(ISA)
    assert _key(shuffled) == _key(ISA)
    assert _key(replace(ISA, name="renamed", title="Another")) == _key(ISA)
    assert _key(_with_element("A", doc="the accumulator", span=Span("x", 1, 2))) == _key(ISA)


def test_an_edit_of_the_body_changes_the_key() -> None:
    edited = instruction("CALLER", Write("A", Read("A", 16)))

    assert _key(ISA, edited) != _key(ISA)


def test_an_edit_of_a_function_changes_the_keys_of_its_callers_callers_and_no_others() -> None:
    edited = _with_function(_function("double", _local("v")))

    assert _key(edited) != _key(ISA)
    assert _key(edited, LONER) == _key(ISA, LONER)


def test_an_edit_of_translate_or_an_invariant_changes_every_key() -> None:
    translate = replace(SMALL.functions[0], body=(Return(Local("va", 8)),))
    invariant = replace(ISA, invariants=(("R != 0", Literal(1, 1)),))

    for isa in (_with_function(translate), invariant):
        assert _key(isa) != _key(ISA)
        assert _key(isa, LONER) != _key(ISA, LONER)


def test_a_new_instruction_changes_the_keys_of_no_other() -> None:
    more = replace(ISA, instructions=(*ISA.instructions, instruction("NEW")))

    assert _key(more) == _key(ISA)


@pytest.mark.parametrize(
    "changes", [{"role": Role.GENERAL}, {"values": (("off", 0),)}, {"width": 9}, {"length": 2}]
)
def test_an_element_counts_for_the_instructions_that_touch_it(changes: dict[str, object]) -> None:
    edited = _with_element("I", **changes)
    enable = instruction("ENABLE", Write("I", Literal(1, 1)))

    assert _key(edited, enable) != _key(ISA, enable)
    assert _key(edited, LONER) == _key(ISA, LONER)


def test_an_element_that_translate_reads_counts_for_all() -> None:
    assert _key(_with_element("B", role=Role.GENERAL)) != _key(ISA)


def test_operands_are_part_of_the_key() -> None:
    meanings = Meanings(ISA)
    sets = [OperandSet((("n", name, value),)) for name, value in (("a", 1), ("b", 2))]

    keys = {meanings.classification(CLASSIC, CALLER, operands) for operands in sets}

    assert len(keys) == 2


def test_a_configuration_counts_by_what_it_says_and_not_by_its_name() -> None:
    constraint = ("I == 0", Read("I", 1))

    def key(**changes: object) -> str:
        return _key(ISA, LONER, replace(CLASSIC, **changes))  # type: ignore[arg-type]

    same = key()
    assert key(name="other", span=Span("x", 1, 2)) == same
    assert key(modes=MODES[1:]) != same
    assert key(modes=(("supervisor", "supervisor"), MODES[1])) != same
    assert key(homes=(("R", "B"),)) != same
    assert key(constraints=(constraint,)) != same
    assert key(shadowed=("B", "I", "T"), passed=("R",)) != same
    assert key(constraints=(constraint,)) == key(constraints=(("I=0", constraint[1]),))


def test_what_becomes_of_untouched_elements_does_not_count() -> None:
    passed = replace(CLASSIC, shadowed=("R", "B", "T"), passed=("I",))

    assert _key(ISA, LONER, passed) == _key(ISA, LONER)


def test_keeping_invariants_depends_on_one_instruction_or_on_the_routines() -> None:
    def key(isa: Isa, subject: Instruction | None) -> str:
        return Meanings(isa).invariants(subject)

    edited = replace(ISA, instructions=(CALLER,), notes=("a note",))
    assert key(edited, CALLER) == key(ISA, CALLER)
    assert key(edited, None) == key(ISA, None)
    assert key(_with_element("I", reset=1), None) != key(ISA, None)
    assert key(_with_element("I", reset=1), LONER) == key(ISA, LONER)
    assert key(replace(ISA, causes=ISA.causes[1:]), None) != key(ISA, None)
    assert key(replace(ISA, interrupts=()), None) != key(ISA, None)
    assert len({key(ISA, None), key(ISA, LONER), key(ISA, CALLER), _key(ISA, LONER)}) == 4


def test_facts_about_a_configuration_do_not_depend_on_instructions() -> None:
    def key(isa: Isa = ISA, **changes: object) -> str:
        return Meanings(isa).facts(replace(CLASSIC, **changes))  # type: ignore[arg-type]

    same = key()
    assert key(replace(ISA, instructions=(CALLER,))) == same
    assert key(name="other") == same
    assert key(constraints=(("I == 0", Read("I", 1)),)) != same
    assert key(_with_element("B", role=Role.GENERAL)) != same
    assert same != _key(ISA)


def test_a_digest_tells_apart_where_texts_end() -> None:
    assert digest("ab", "c") != digest("a", "bc")


def test_the_solvers_version_is_found_without_loading_it() -> None:
    script = (
        "import sys; from checker.version import installed_version, version; version();"
        "print(installed_version('z3_solver'), 'z3' in sys.modules)"
    )
    root = Path(__file__).resolve().parent.parent

    output = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    ).stdout.split()

    assert output == [installed_version("z3_solver"), "False"]
    assert output[0][0].isdigit()


def test_an_unknown_distribution_has_no_version() -> None:
    assert installed_version("no_such_distribution") == "unknown"


def test_elements_in_the_result_are_those_named_anywhere_below() -> None:
    """Adding a piece of state that nothing touches changes no key."""
    more = replace(ISA, elements=(*ISA.elements, Element("spare", 8, Role.CONTROL)))

    assert _key(more) == _key(ISA)


PG74 = Path(__file__).resolve().parent.parent / "isas" / "pg74" / "pg74.isa"


def _classification_keys(text: str, path: Path) -> dict[str, str]:
    path.write_text(text)
    isa = load(str(path)).isa
    assert isa is not None
    (classic,) = isa.configurations
    meanings = Meanings(isa)
    return {i.name: meanings.classification(classic, i, OperandSet()) for i in isa.instructions}


def test_comments_and_line_breaks_in_a_description_change_no_key(tmp_path: Path) -> None:
    text = PG74.read_text()
    moved = text.replace("{\n", "{\n\n  // a comment\n").replace("  doc ", "\n  doc ")

    before, after = (_classification_keys(t, tmp_path / "pg74.isa") for t in (text, moved))

    assert moved != text
    assert after == before


def test_an_edit_in_a_description_changes_the_keys_of_what_it_touches(tmp_path: Path) -> None:
    text = PG74.read_text()
    edited = text.replace("store(a, zext(n, 32))", "store(a, zext(n, 32) + 1)")

    before, after = (_classification_keys(t, tmp_path / "pg74.isa") for t in (text, edited))

    assert [name for name in before if before[name] != after[name]] == ["SET"]
