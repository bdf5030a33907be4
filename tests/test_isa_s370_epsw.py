"""EPSW on System/370: what it shows, what it does to the verdicts, and what Hercules says of it.

Hercules knows EPSW in its ESA/390 mode only. There a PSW is laid out as System/370's with EC; so what
is compared are such PSWs, without translation and in 24-bit addressing.
"""

import random
import shutil
import struct
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from checker.check import check
from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.machine import Machine
from spec.state import MachineState
from tests.hercules import Hercules

ISA = Path(__file__).parent.parent / "isas" / "s370" / "s370_epsw.isa"
CODE, HANDLER, SAVED, RESULTS, FIRST = 0x1000, 0x2000, 0x800, 0x4000, 0x1_0000
EC, SUPERVISOR_CALL = 0x0008 << 48, bytes.fromhex("0A00")
DONE = 0x000A_0000_0000_D0DE
PATIENCE = (0.3, 2.0, 8.0)  # seconds
REGISTERS = tuple(0x1111_1111 * n for n in range(16))

HERCULES = Hercules("ESA/390")

Case = tuple[int, int, int]
"""The PSW, whose address is filled in, and the two registers."""


@cache
def described() -> Isa:
    loaded = load(str(ISA))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


@cache
def codec() -> Codec:
    return Codec(described())


def code(case: Case) -> bytes:
    return bytes([0xB9, 0x8D, 0, case[1] << 4 | case[2]])


def executed(case: Case, at: int) -> tuple[int, ...]:
    """The general registers after it, as described."""
    psw = case[0]
    state = MachineState(described())
    state.own_array("GR")[:] = REGISTERS
    state.load_cells(at, code(case))
    state.update(
        {"SM": psw >> 56, "KEY": psw >> 52 & 15, "MCK": psw >> 50 & 1, "P": psw >> 48 & 1}
        | {"EC": psw >> 51 & 1, "AS": psw >> 47 & 1, "CC": psw >> 44 & 3, "PM": psw >> 40 & 15}
    )
    state.update({"IA": at, "CR2": 0})
    machine = Machine(described(), state, codec().decode)
    machine.step()
    assert machine.pc == at + 4
    return tuple(machine.state.arrays["GR"])


# --------------------------------------------------------------------------- Hercules


HANDLER_CODE = bytes.fromhex(
    "900F0800"  # STM 0,15,800: what EPSW left
    "5810084058200844"  # L: where results go, and where PSWs are
    "D23F10000800"  # MVC 0(64,1),800
    "4110104041202008"  # LA: the next of both
    "5010084050200844"  # ST
    "D20708902000"  # MVC 890(8),0(2)
    "980F084882000890"  # LM 0,15,848; LPSW 890
)


def places(cases: Sequence[Case]) -> list[int]:
    return [FIRST + 8 * number for number in range(len(cases))]


def image(cases: Sequence[Case]) -> bytes:
    """Each case is EPSW and SVC; the handler stores all registers and starts the next one."""
    psws = FIRST + 8 * len(cases)
    memory = bytearray(psws)
    memory[0x60:0x68] = (EC | HANDLER).to_bytes(8, "big")
    memory[0x68:0x70] = (DONE + 1).to_bytes(8, "big")  # a program interruption: none is expected
    memory[0x840:0x888] = struct.pack(">2I16I", RESULTS - 64, psws - 8, *REGISTERS)
    memory[HANDLER : HANDLER + len(HANDLER_CODE)] = HANDLER_CODE
    for case, at in zip(cases, places(cases), strict=True):
        memory[at : at + 6] = code(case) + SUPERVISOR_CALL
        memory += (case[0] | at).to_bytes(8, "big")
    return bytes(memory) + DONE.to_bytes(8, "big")


def hercules(cases: Sequence[Case], folder: Path) -> list[tuple[int, ...]]:
    """The general registers after each case."""
    saved = range(RESULTS, RESULTS + 64 * len(cases))
    for patience in PATIENCE:
        said, results = HERCULES.run(folder, image(cases), HANDLER, saved, patience)
        if "D0DE" in said.upper() and results:
            break
    assert "D0DE" in said.upper() and results, said[-3000:]
    return [struct.unpack_from(">16I", results, 64 * number) for number in range(len(cases))]


def random_case(source: random.Random, problem: bool) -> Case:
    """Nothing from outside is let in but what never comes; no translation."""
    mask = source.choice((0x00, 0x01, 0x02, 0x03, 0x40, 0x43))
    states = 8 | source.choice((0, 4)) | problem
    rest = source.getrandbits(1) << 7 | source.getrandbits(6)
    psw = mask << 56 | source.getrandbits(4) << 52 | states << 48 | rest << 40
    return psw, source.getrandbits(4), source.choice((0, source.getrandbits(4)))


@pytest.mark.skipif(shutil.which("hercules") is None, reason="hercules is not installed")
def test_hercules_in_esa_390_mode_extracts_the_same(tmp_path: Path) -> None:
    source = random.Random(390)
    cases = [random_case(source, problem=number % 2 == 0) for number in range(600)]

    seen = hercules(cases, tmp_path)

    mine = [executed(case, at) for case, at in zip(cases, places(cases), strict=True)]
    unlike = [
        (
            f"{case[0]:016x}",
            case[1:],
            [(f"{a:x}", f"{b:x}") for a, b in zip(m, h, strict=True) if a != b],
        )
        for case, m, h in zip(cases, mine, seen, strict=True)
        if m != h
    ]
    assert unlike == []
    assert len(set(seen)) > 500


# --------------------------------------------------------------------------- the description


def test_in_basic_control_mode_it_shows_no_interruption_code() -> None:
    psw = 0x0301 << 48 | 2 << 44 | 5 << 40

    after = executed((psw | 9 << 52, 3, 4), CODE)

    assert (after[3], after[4]) == (0x0391_0000, 0xA500_0000)


def test_it_is_an_escape_where_no_other_instruction_is_one(tmp_path: Path) -> None:
    only = ["EPSW", "IPK", "STNSM", "SPM"]

    report = check(described(), only=only, timeout=60.0, cache=tmp_path)

    for configuration in report.configurations:
        assert [e.instruction for e in configuration.escapes] == ["EPSW"]
        assert all(e.replayed for e in configuration.escapes)
    assert {c.holds.value for c in report.claims if c.claim.startswith("EPSW")} == {"yes"}
