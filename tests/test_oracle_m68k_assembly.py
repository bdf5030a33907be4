"""What the descriptions of `isas/m68k` print is what GNU as reads, and it encodes it alike."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from spec.encoding import Decoded
from spec.template import disassemble
from tests.m68k_oracles import CODE
from tests.test_oracle_m68k import MODELS, described, random_case

TOOLS = ("m68k-linux-gnu-as", "m68k-linux-gnu-objcopy")
SLOT_BYTES = 16
NUMBERED_TARGETS = ("Bcc", "BRA", "BSR", "DBcc")
"""GNU as keeps a branch to a number for the linker."""
UNNAMED = ("Line A", "Line F", "MOVEC of no register")

pytestmark = pytest.mark.skipif(
    any(shutil.which(tool) is None for tool in TOOLS), reason=f"{TOOLS[0]} is not here"
)


@pytest.mark.parametrize("model", MODELS)
def test_gnu_as_encodes_what_is_disassembled_as_it_was(model: str, tmp_path: Path) -> None:
    machine, source = described(model), random.Random(4)
    cases: list[tuple[str, bytes]] = []
    for instruction in machine.isa.instructions:
        for _ in range(6):
            code = random_case(machine, instruction, source).code
            decoded = machine.codec.decode_cells(code)
            assert decoded is not None
            if not _is_spelled_in_another_way(decoded):
                cases.append((disassemble(machine.isa, decoded, CODE), code))

    assembled = _gnu_as(model, [text for text, _ in cases], tmp_path)

    assert len(cases) > 4 * len(machine.isa.instructions)
    assert [
        (text, code.hex(), theirs.hex())
        for (text, code), theirs in zip(cases, assembled, strict=True)
        if theirs[: len(code)] != code
    ] == []


def _is_spelled_in_another_way(decoded: Decoded) -> bool:
    """GNU as has no name for it, or prefers an equal instruction (ADDI, no displacement of 0).

    Bits that the processor ignores are not in the text either.
    """
    name, fields = decoded.instruction.name, decoded.fields
    if name in NUMBERED_TARGETS or name in UNNAMED:
        return True
    if any(value for field, value in fields.items() if field.rpartition(".")[2] == "z"):
        return True
    immediate = any(fields.get("s.tag") == tag for tag in IMMEDIATE_TAGS)
    by_displacement = DISPLACEMENT_TAG in (fields.get("s.tag"), fields.get("d.tag"))
    nothing = not (fields.get("s.disp.d") or fields.get("d.disp.d"))
    return (immediate and name.endswith(("<ea>,Dn", "CMP"))) or (by_displacement and nothing)


DISPLACEMENT_TAG = 5  # of `ea`
IMMEDIATE_TAGS = (11, 12, 13)


def _gnu_as(model: str, lines: list[str], directory: Path) -> list[bytes]:
    """What GNU as makes of each line, in a slot of its own."""
    source, linked, image = (directory / name for name in ("code.s", "code.o", "code.bin"))
    source.write_text("".join(f" .balign {SLOT_BYTES}\n {line}\n" for line in lines))
    cpu = model.removeprefix("m")
    subprocess.run([TOOLS[0], f"-m{cpu}", str(source), "-o", str(linked)], check=True)
    subprocess.run([TOOLS[1], "-O", "binary", "-j", ".text", str(linked), str(image)], check=True)
    content = image.read_bytes()
    return [content[at : at + SLOT_BYTES] for at in range(0, SLOT_BYTES * len(lines), SLOT_BYTES)]
