"""Lines whose cells stand in columns."""

from collections.abc import Hashable
from dataclasses import dataclass

_INDENT = "  "
_SPREAD = 20  # columns of cells that differ by more in width are given up, and those after them


@dataclass(slots=True)
class Line:
    """A line to be written; the cells of lines of one table are put below each other."""

    level: int
    cells: list[str]
    table: Hashable | None = None
    comment: str = ""  # at its end
    blank_before: bool = False

    @property
    def in_columns(self) -> bool:
        """Lines that open a block are left alone."""
        return self.table is not None and not self.cells[-1].endswith(("{", "("))


def render(lines: list[Line]) -> str:
    """The text of the lines, comments at the ends of neighbouring lines below each other."""
    codes = _codes(lines)
    made: list[str] = []
    position = 0
    while position < len(lines):
        end = position + 1
        if lines[position].comment:
            while end < len(lines) and lines[end].comment and not lines[end].blank_before:
                end += 1
        width = max(len(code) for code in codes[position:end])
        for line, code in zip(lines[position:end], codes[position:end], strict=True):
            if line.blank_before:
                made.append("")
            made.append(f"{code:{width}}  {line.comment}" if line.comment else code)
        position = end
    return "".join(line.rstrip() + "\n" for line in "\n".join(made).split("\n") if made)


def _codes(lines: list[Line]) -> list[str]:
    cells: dict[Hashable, list[list[int]]] = {}
    for line in lines:
        if line.table is not None and line.in_columns:
            columns = cells.setdefault(line.table, [])
            columns += ([] for _ in range(len(line.cells) - 1 - len(columns)))
            for column, cell in enumerate(line.cells[:-1]):
                columns[column].append(len(cell))
    widths = {table: _widths(columns) for table, columns in cells.items()}
    return [_INDENT * line.level + _code(line, widths) for line in lines]


def _widths(columns: list[list[int]]) -> list[int]:
    """The width of each column but the last; 0 where cells are not padded."""
    widths: list[int] = []
    for cells in columns:
        filled = [width for width in cells if width]
        if filled and max(filled) - min(filled) > _SPREAD:
            break
        widths.append(max(cells))
    return widths + [0] * (len(columns) - len(widths))


def _code(line: Line, widths: dict[Hashable, list[int]]) -> str:
    if line.table is None or not line.in_columns:
        return " ".join(cell for cell in line.cells if cell)
    before = zip(line.cells[:-1], widths[line.table], strict=False)
    padded = [f"{cell:{width}}" for cell, width in before if cell or width]
    return " ".join([*padded, line.cells[-1]])
