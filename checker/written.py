"""Witnesses as one would write them down: the instruction's word and its assembly."""

from dataclasses import replace

from checker.answers import Witness
from checker.report import InstructionReport
from spec.encoding import Decoded, codec_of
from spec.ir import Instruction, Isa
from spec.template import disassemble


def with_writing(isa: Isa, instruction: Instruction, row: InstructionReport) -> InstructionReport:
    """The row with `word` and `assembly` of all its witnesses."""
    return replace(row, witnesses=tuple(_written(isa, instruction, w) for w in row.witnesses))


def _written(isa: Isa, instruction: Instruction, witness: Witness) -> Witness:
    """Unchanged where the encoding cannot express the fields."""
    codec = codec_of(isa)
    fields = {field.name: 0 for field in instruction.fields} | dict(witness.fields)
    try:
        bits, width = codec.bits(instruction, fields)
    except ValueError:
        return witness
    decoded = Decoded(instruction, fields, width // isa.memory.cell_width, bits)
    text = disassemble(isa, decoded, witness.address)
    return replace(witness, word=f"0x{bits:0{-(-width // 4)}X}", assembly=text)
