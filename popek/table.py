"""Plain-text tables: columns by two spaces, long cells wrapped within their column."""

import textwrap
from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], limits: Sequence[int], indent: str = "  ") -> list[str]:
    """Lines of a table whose columns are as wide as their text, at most `limits` characters.

    Cells break at spaces; a word longer than its column's limit widens the column.
    """
    widths = [
        min(
            max((len(row[column]) for row in rows), default=0),
            max(limit, max((len(w) for row in rows for w in row[column].split()), default=0)),
        )
        for column, limit in enumerate(limits)
    ]
    lines = []
    for row in rows:
        cells = [
            textwrap.wrap(cell, max(width, 1), break_long_words=False, break_on_hyphens=False)
            or [""]
            for cell, width in zip(row, widths, strict=True)
        ]
        for at in range(max(map(len, cells))):
            parts = [
                (cell[at] if at < len(cell) else "").ljust(width)
                for cell, width in zip(cells, widths, strict=True)
            ]
            lines.append((indent + "  ".join(parts)).rstrip())
    return lines
