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
from tests.oracle_rv32_cases import Cases

DESCRIPTION = Path(__file__).resolve().parent.parent / "isas" / "riscv" / "rv32.isa"
PREFIX = "riscv64-unknown-elf-"
ORIGIN = 0x20_0000
PER_INSTRUCTION = 20
UNWRITTEN = ("aqrl", "fm")  # operands that the assembly text does not show

pytestmark = pytest.mark.skipif(
    shutil.which(PREFIX + "as") is None, reason=f"{PREFIX}as (binutils) is not here"
)


@pytest.fixture(scope="module")
def isa() -> Isa:
    loaded = load(str(DESCRIPTION))
    assert loaded.isa is not None, loaded.diagnostics
    return loaded.isa


def test_gnu_as_reads_the_assembly_language_of_the_description(isa: Isa, tmp_path: Path) -> None:
    words = words_of(isa)
    codec = Codec(isa)
    lines = []
    for index, word in enumerate(words):
        decoded = codec.decode(partial(_the, word))
        assert decoded is not None
        line = disassemble(isa, decoded, ORIGIN + 4 * index)
        if "to" in decoded.fields:  # GNU as makes two instructions of a branch to a bare address
            head, _, target = line.rpartition(" ")
            line = f"{head} . + ({int(target, 0)} - {ORIGIN + 4 * index})"
        lines.append(line)

    assembled = gnu_words("\n".join(lines), tmp_path)

    wrong = [
        f"{line}: {word:#010x} here, {theirs:#010x} there"
        for line, word, theirs in zip(lines, words, assembled, strict=True)
        if word != theirs
    ]
    assert not wrong


def _the(word: int, _: int) -> int:
    return word


def words_of(isa: Isa) -> list[int]:
    """Instructions with random operands, those that the text does not show 0."""
    random, cases = Random(0), Cases(isa)
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


def gnu_words(text: str, folder: Path) -> list[int]:
    """The words that GNU as and ld make of a program at ORIGIN."""
    source, linked, binary = folder / "a.s", folder / "a.elf", folder / "a.bin"
    source.write_text(f".option norelax\n.globl _start\n_start:\n{text}\n")
    march = ["-march=rv32ima_zicsr_zifencei", "-mabi=ilp32"]
    for command in (
        ["as", *march, "-o", folder / "a.o", source],
        ["ld", "-melf32lriscv", f"-Ttext={ORIGIN:#x}", "-o", linked, folder / "a.o"],
        ["objcopy", "-O", "binary", "-j", ".text", linked, binary],
    ):
        subprocess.run([PREFIX + str(command[0]), *map(str, command[1:])], check=True)
    content = binary.read_bytes()
    return [int.from_bytes(content[at : at + 4], "little") for at in range(0, len(content), 4)]
