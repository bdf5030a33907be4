"""GNU objdump reads the bundles of `isas/ia64` as the description prints them: a second opinion on
the encodings. Nothing here judges what the instructions do.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from spec.encoding import Codec
from spec.ir import Field, Instruction, Isa
from spec.load import load
from spec.template import disassemble

TOOL = "ia64-linux-gnu-objdump"
DESCRIPTION = Path(__file__).parent.parent / "isas" / "ia64" / "ia64_vm.isa"
PER_INSTRUCTION = 8
BUNDLE_BYTES = 16
ALTERNATIVES = 3  # of the operand that has most
PREFERRED = {"br.few": "br.cond.sptk.few"}
"""The mnemonics that objdump prefers to ours."""
EDGES = (0, 1, (1 << 64) - 1)

pytestmark = pytest.mark.skipif(shutil.which(TOOL) is None, reason=f"{TOOL} is not here")


def test_objdump_reads_the_bundles_of_the_description_alike(tmp_path: Path) -> None:
    loaded = load(str(DESCRIPTION))
    assert loaded.isa is not None, loaded.diagnostics
    isa, source = loaded.isa, Random(4)
    codec = Codec(isa)
    ours: list[str] = []
    image = bytearray()
    for instruction in isa.instructions:
        for cells in _samples(codec, instruction, source):
            ours.append(_text(isa, codec, cells, len(image)))
            image += bytes(cells)

    theirs = _objdump(bytes(image), tmp_path)

    assert len(ours) > 6 * len(isa.instructions)
    assert [
        pair
        for pair in zip(ours, theirs, strict=True)
        if _normal(pair[0]) != _normal(pair[1]) and not _is_a_move(pair[0], pair[1])
    ] == []


def _samples(codec: Codec, instruction: Instruction, source: Random) -> Iterator[tuple[int, ...]]:
    """Random bundles, their fields at an edge now and then."""
    found = 0
    for _ in range(40 * PER_INSTRUCTION):
        fields = {field.name: _value(field, source) for field in instruction.fields}
        try:
            cells = codec.encode(instruction, fields)
        except ValueError:  # excluded by `where`, or bits that are not encoded
            continue
        yield cells
        found += 1
        if found == PER_INSTRUCTION:
            return
    assert found, instruction.name


def _value(field: Field, source: Random) -> int:
    if field.values:
        return source.choice(field.values)[1]
    if field.name.endswith(".tag"):
        return source.randrange(ALTERNATIVES)
    return source.choice((source.getrandbits(field.width), *EDGES)) % (1 << field.width)


def _text(isa: Isa, codec: Codec, cells: tuple[int, ...], address: int) -> str:
    decoded = codec.decode_cells(cells)
    assert decoded is not None
    return disassemble(isa, decoded, address)


def _objdump(image: bytes, directory: Path) -> list[str]:
    """The one instruction of each bundle that is no `nop 0`, if there is one."""
    file = directory / "bundles"
    file.write_bytes(image)
    listing = subprocess.run(
        [TOOL, "-D", "-z", "-b", "binary", "-m", "ia64-elf64", "-EL", str(file)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    bundles: list[list[str]] = []
    for line in listing.splitlines():
        address, _, rest = line.partition(":\t")
        columns = rest.split("\t")
        if not address.strip() or len(columns) < 2:
            continue
        if int(address, 16) % BUNDLE_BYTES == 0:
            bundles.append([])
        bundles[-1].append(re.sub(r"^\[\w+\]", "", columns[1]).removesuffix(";;").strip())
    return [
        next((slot for slot in slots if not re.fullmatch(r"nop\.[mib] 0x0", slot)), _nop(slots))
        for slots in bundles
    ]


def _nop(slots: list[str]) -> str:
    """Of a bundle of nops, the one that the description means."""
    return slots[-1] if slots[-1].startswith("nop.b") else slots[0]


def _normal(text: str) -> str:
    """Numbers as 64 bits in decimal, one mnemonic for each instruction, no idle blanks."""
    for theirs, ours in PREFERRED.items():
        text = re.sub(rf"\b{re.escape(theirs)}(?= )", ours, text)
    text = re.sub(r"\(p0(\d)\)", r"(p\1)", text)
    numbers = re.sub(
        r"(?<![\w.])-?(0x[0-9a-f]+|\d+)\b",
        lambda number: str(int(number[0], 0) % (1 << 64)),
        text,
    )
    return re.sub(r"\s+", " ", numbers)


def _is_a_move(ours: str, theirs: str) -> bool:
    """Objdump calls ADDS of 0 and ADDL to r0 moves."""
    added = re.fullmatch(r"(\(p\d+\) )?add([sl]) (r\d+)=(-?\d+),(r\d+)", ours)
    if added is None:
        return False
    predicate, kind, target, immediate, base = added.groups()
    if kind == "l" and base == "r0":
        moved = immediate
    elif kind == "s" and immediate == "0":
        moved = base
    else:
        return False
    return _normal(theirs) == _normal(f"{predicate or ''}mov {target}={moved}")
