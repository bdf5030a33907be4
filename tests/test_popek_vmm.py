"""`popek vmm`: the derived monitor as text, JSON and Python."""

import ast
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from popek.main import main
from tests.golden import agrees

Popek = Callable[..., tuple[int, str, str]]


@pytest.fixture
def popek(capsys: pytest.CaptureFixture[str]) -> Popek:
    """Runs the command; status, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def test_the_monitor_of_the_machine_of_the_paper_is_the_golden_one(
    popek: Popek, update_golden: bool
) -> None:
    status, text, _ = popek("vmm", "pg74")

    assert status == 0
    assert agrees("vmm_pg74.txt", text, update_golden)


def test_the_monitor_comes_in_the_order_of_the_paper(popek: Popek) -> None:
    _, text, _ = popek("vmm", "pg74", "--format", "json")

    document = json.loads(text)

    assert document["strategy"] == "trap-and-emulate"
    assert [section["name"] for section in document["sections"]] == [
        "control-block",
        "vm-map",
        "dispatcher",
        "allocator",
        "routines",
        "shared",
        "reflection",
        "interrupts",
    ]


def test_only_the_routines_of_instructions_that_are_not_innocuous_are_shown(popek: Popek) -> None:
    _, some, _ = popek("vmm", "pg74")
    _, every, _ = popek("vmm", "pg74", "--all")

    assert "instruction LPSW (" in some
    assert "instruction MOV (" not in some
    assert "instruction MOV (" in every


def test_one_routine_can_be_asked_for(popek: Popek) -> None:
    status, text, _ = popek("vmm", "pg74", "--only", "lrb")

    assert status == 0
    assert "instruction LRB (a : bits(10)) {" in text
    assert "dispatcher" not in text
    assert "instruction LPSW" not in text


def test_the_python_is_python_and_names_what_it_works_on(popek: Popek) -> None:
    status, text, _ = popek("vmm", "pg74", "--python")

    tree = ast.parse(text)
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert status == 0
    assert ast.get_docstring(tree)
    assert names[:3] == ["save", "resume", "fetch"]
    assert "interpret_LPSW" in names
    assert names[-1] == "reflect_undefined_operation"
    assert "vm_R_l = S['vm.R.l']" in text


def test_shadow_tables_are_written_with_loops(popek: Popek) -> None:
    _, text, _ = popek("vmm", "tiny/sptbr")

    assert "  for i in 0..3 {\n    if vmm.touched[i].valid {" in text


def test_a_strategy_that_the_theorems_forbid_is_refused_with_a_witness(popek: Popek) -> None:
    status, text, errors = popek("vmm", "pg74_jrst1", "--strategy", "trap-and-emulate")

    assert (status, text) == (1, "")
    assert "error[E0915]" in errors
    assert "real machine, in user  virtual machine, in supervisor" in errors


@pytest.mark.parametrize(
    ("strategy", "instruction", "virtual_mode"),
    [
        ("trap-and-emulate", "mov eax, cs", "ring2"),
        pytest.param("hybrid", "mov ", "ring3", marks=pytest.mark.deep),
    ],
)
def test_ia32_is_refused_by_the_first_escape(
    popek: Popek, strategy: str, instruction: str, virtual_mode: str
) -> None:
    status, text, errors = popek("vmm", "x86/ia32", "--strategy", strategy)

    assert (status, text) == (1, "")
    assert "error[E0915]" in errors
    assert instruction in errors
    assert f"real machine, in ring3    virtual machine, in {virtual_mode}" in errors


def test_what_the_theorems_forbid_can_be_forced(popek: Popek) -> None:
    status, text, _ = popek("vmm", "pg74_jrst1", "--strategy", "trap-and-emulate", "--force")

    assert status == 0
    assert "// Strategy trap-and-emulate: it was forced." in text


def test_without_a_strategy_the_strongest_is_taken(popek: Popek) -> None:
    status, text, _ = popek("vmm", "pg74_jrst1")

    assert status == 0
    assert "// Strategy hybrid: Theorem 3 holds for the configuration." in text
    assert "if vm.M == user { run }" in text


def test_an_interpreter_runs_nothing_directly(popek: Popek) -> None:
    status, text, _ = popek("vmm", "pg74", "--strategy", "interpret", "--all")

    assert status == 0
    assert "{ run }" not in text
    assert "Nothing runs directly" in text


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nowhere",), "E0901"),
        (("pg74", "--only", "NOPE"), "E0902"),
        (("pg74", "--config", "nope"), "E0903"),
    ],
)
def test_a_wrong_name_is_bad_input(arguments: tuple[str, ...], code: str, popek: Popek) -> None:
    status, text, errors = popek("vmm", *arguments)

    assert (status, text) == (2, "")
    assert f"error[{code}]" in errors


def test_a_description_without_a_configuration_is_bad_input(tmp_path: Path, popek: Popek) -> None:
    file = tmp_path / "bare.isa"
    source = Path("isas/pg74/pg74.isa").read_text(encoding="utf-8")
    file.write_text(
        source.partition(
            "// -------------------------------------------------------------------- virtualization"
        )[0].partition("virtualize")[0],
        encoding="utf-8",
    )

    status, text, errors = popek("vmm", str(file))

    assert (status, text) == (2, "")
    assert "error[E0914]" in errors


def test_a_configuration_without_relocation_hosts_nobody_directly(
    tmp_path: Path, popek: Popek
) -> None:
    file = tmp_path / "bare.isa"
    source = Path("isas/pg74/pg74.isa").read_text(encoding="utf-8")
    before, _, after = source.partition("  compose R")
    file.write_text(before + "}\n" + after.partition("\n}\n")[2], encoding="utf-8")

    status, text, errors = popek("vmm", str(file), "--strategy", "trap-and-emulate", "--force")

    assert (status, text) == (2, "")
    assert "error[E0915]" in errors


PROGRAM = """
        .org 2
start:  set 20, 7
        lrb bounds
        srb 21
        add 20, 20
        halt
bounds: .word 0x200
"""
USER = """
        .org 2
start:  jrst1 next
next:   halt
"""


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """Writes a program; its path."""

    def write(text: str) -> str:
        path = tmp_path / "program.s"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


Write = Callable[[str], str]


def test_a_program_does_under_a_monitor_what_it_does_on_the_bare_machine(
    popek: Popek, program: Write
) -> None:
    status, text, _ = popek("vmm", "pg74", program(PROGRAM))

    assert status == 0
    assert "under a monitor, trap-and-emulate: Theorem 1 holds" in text
    assert "stopped after 5 steps" in text
    assert "the bare machine did the same at every step" in text


def test_three_monitors_make_no_difference(popek: Popek, program: Write) -> None:
    status, text, _ = popek("vmm", "pg74", program(PROGRAM), "--nest", "3", "--format", "json")

    document = json.loads(text)
    assert status == 0
    assert document["monitors"] == 3
    assert document["diverged_at"] is None
    assert document["state"]["R.b"] == "0x200"


def test_what_the_theorems_forbid_goes_wrong_when_forced(popek: Popek, program: Write) -> None:
    path = program(USER)
    forced = ("--strategy", "trap-and-emulate", "--force")

    status, text, _ = popek("vmm", "pg74_jrst1", path, *forced)
    allowed, _, _ = popek("vmm", "pg74_jrst1", path, "--steps", "2")

    assert status == 1
    assert "the bare machine did something else in step 1" in text
    assert "  M: 0x0 on the bare machine, 0x1 here" in text
    assert allowed == 0


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        ("halt\n.space 600\nhalt", (), "E0909"),
        (PROGRAM, ("--nest", "40"), "E0909"),
        (PROGRAM, ("--set", "Q=1"), "E0910"),
        ("nonsense", (), "E08"),
    ],
)
def test_a_program_that_cannot_run_is_bad_input(
    text: str, options: tuple[str, ...], code: str, popek: Popek, program: Write
) -> None:
    status, printed, errors = popek("vmm", "pg74", program(text), *options)

    assert (status, printed) == (2, "")
    assert f"error[{code}" in errors


def test_a_program_that_does_not_exist_is_bad_input(popek: Popek) -> None:
    status, _, errors = popek("vmm", "pg74", "nowhere.s")

    assert status == 2
    assert "error[E0907]" in errors


def test_a_refused_strategy_runs_nothing(popek: Popek, program: Write) -> None:
    path = program(USER)

    status, text, errors = popek("vmm", "pg74_jrst1", path, "--strategy", "trap-and-emulate")

    assert (status, text) == (1, "")
    assert "error[E0915]" in errors


COUNTING = """.org 2
start: set 20, 7
 set 21, 1
loop: add 20, 21
 jmp loop
"""
LEAVING = """.org 2
start: set 20, 7
 lrb bounds
 add 20, 20
 halt
bounds: .word 0xC0
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.chdir(tmp_path)
    for name, text in (("counting.s", COUNTING), ("leaving.s", LEAVING)):
        (tmp_path / name).write_text(text)
    return "leaving.s", "counting.s"


def test_several_programs_are_guests_of_one_machine(
    popek: Popek, programs: tuple[str, str]
) -> None:
    status, out, _ = popek("vmm", "pg74", *programs, "--steps", "40", "--format", "json")

    told = json.loads(out)
    leaving, counting = told["guests"]
    assert status == 0
    assert told["timer"] is None
    assert [guest["program"] for guest in told["guests"]] == list(programs)
    assert (leaving["steps"], counting["steps"]) == (4, 36)
    assert leaving["differences"] is counting["differences"] is None


def test_guests_without_programs_of_their_own_run_the_one_that_is_given(
    popek: Popek, programs: tuple[str, str]
) -> None:
    status, out, _ = popek("vmm", "pg74", programs[0], "--guests", "3")

    assert status == 0
    assert "3 guests under a monitor, trap-and-emulate" in out
    assert out.count("leaving.s:") == 3
    assert out.count("the bare machine did the same at every step") == 3


def test_the_timer_of_the_monitor_switches_between_guests(
    popek: Popek, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop.s").write_text("loop: addi a0, a0, 1\njal zero, loop\n")
    where = ("--config", "msu", "--strategy", "trap-and-emulate", "--force")

    _, out, err = popek(
        "vmm",
        "rv32",
        "loop.s",
        "--guests",
        "2",
        "--steps",
        "20",
        "--quantum",
        "5",
        "--trace",
        *where,
    )

    ran = [line.split()[1] for line in err.splitlines() if line.startswith("guest")]
    assert "switched 4 times, by the monitor's timer, `mtip`, every 5 steps" in out
    assert ran == ["0"] * 5 + ["1"] * 5 + ["0"] * 5 + ["1"] * 5


def test_a_program_too_large_for_its_guest_and_guests_too_many_are_bad_input(
    popek: Popek, programs: tuple[str, str]
) -> None:
    Path("large.s").write_text(".org 0x300\n halt\n")

    for arguments, code in (
        (("large.s", "--guests", "2"), "E0909"),
        ((programs[0], "--guests", "40"), "E0918"),
        ((*programs, "--nest", "2"), "E0903"),
    ):
        status, out, err = popek("vmm", "pg74", *arguments)

        assert (status, out) == (2, "")
        assert code in err
