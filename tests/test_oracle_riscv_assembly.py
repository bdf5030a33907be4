"""What the description disassembles to, GNU as assembles to the same words."""

import shutil
import subprocess
from functools import partial
from pathlib import Path
from random import Random

import pytest

from spec.encoding import Codec
from spec.ir import Isa
from spec.load import load
from spec.template import disassemble
from tests.oracle_riscv_cases import Cases
from tests.oracle_riscv_target import RV32, RV64, Target

FOLDER = Path(__file__).resolve().parent.parent / "isas" / "riscv"
MARCH = {
    "rv32": ("-march=rv32ima_zicsr_zifencei", "-mabi=ilp32", "-melf32lriscv"),
    "rv64": ("-march=rv64ima_zicsr_zifencei", "-mabi=lp64", "-melf64lriscv"),
}
PREFIX = "riscv64-unknown-elf-"
ORIGIN = 0x20_0000
PER_INSTRUCTION = 20
UNWRITTEN = ("aqrl", "fm")  # operands that the assembly text does not show

pytestmark = pytest.mark.skipif(
    shutil.which(PREFIX + "as") is None, reason=f"{PREFIX}as (binutils) is not here"
)


@pytest.mark.parametrize("target", [RV32, RV64], ids=lambda target: target.name)
def test_gnu_as_reads_the_assembly_language_of_the_description(
    target: Target, tmp_path: Path
) -> None:
    loaded = load(str(FOLDER / f"{target.name}.isa"))
    assert loaded.isa is not None, loaded.diagnostics
    isa = loaded.isa
    words = words_of(isa, target)
    codec = Codec(isa)
    lines = []
    for index, word in enumerate(words):
        decoded = codec.decode(partial(_the, word))
        assert decoded is not None
        line = disassemble(isa, decoded, ORIGIN + 4 * index)
        if "to" in decoded.fields:  # GNU as makes two instructions of a branch to a bare address
            head, _, goal = line.rpartition(" ")
            line = f"{head} . + ({int(goal, 0)} - {ORIGIN + 4 * index})"
        lines.append(line)

    assembled = gnu_words("\n".join(lines), tmp_path, MARCH[target.name])

    wrong = [
        f"{line}: {word:#010x} here, {theirs:#010x} there"
        for line, word, theirs in zip(lines, words, assembled, strict=True)
        if word != theirs
    ]
    assert not wrong


def _the(word: int, _: int) -> int:
    return word


def words_of(isa: Isa, target: Target) -> list[int]:
    """Instructions with random operands, those that the text does not show 0."""
    random, cases = Random(0), Cases(isa, target)
    words = []
    for instruction in isa.instructions:
        unwritten = {f.name: 0 for f in instruction.fields if f.name in UNWRITTEN}
        if instruction.name.startswith("FENCE"):
            unwritten |= {f.name: 0 for f in instruction.fields if f.name in ("rd", "rs1", "imm")}
        if instruction.name == "FENCE":
            unwritten |= {"pred": random.randrange(1, 16), "succ": random.randrange(1, 16)}
        for _ in range(PER_INSTRUCTION):
            words.append(cases.named(instruction.name, random, **unwritten))
    return words


def gnu_words(text: str, folder: Path, options: tuple[str, ...]) -> list[int]:
    """The words that GNU as and ld make of a program at ORIGIN."""
    source, linked, binary = folder / "a.s", folder / "a.elf", folder / "a.bin"
    source.write_text(f".option norelax\n.globl _start\n_start:\n{text}\n")
    *march, emulation = options
    for command in (
        ["as", *march, "-o", folder / "a.o", source],
        ["ld", emulation, f"-Ttext={ORIGIN:#x}", "-o", linked, folder / "a.o"],
        ["objcopy", "-O", "binary", "-j", ".text", linked, binary],
    ):
        subprocess.run([PREFIX + str(command[0]), *map(str, command[1:])], check=True)
    content = binary.read_bytes()
    return [int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content), 4)]
