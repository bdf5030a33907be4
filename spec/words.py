"""The words of a description: its tokens and comments, as the formatter needs them."""

import re
from dataclasses import dataclass
from enum import Enum, auto


class Kind(Enum):
    NAME = auto()
    NUMBER = auto()  # sized ones too
    STRING = auto()
    MARK = auto()  # an operator or a bracket
    LINE_COMMENT = auto()
    BLOCK_COMMENT = auto()


@dataclass(frozen=True, slots=True)
class Word:
    """`lines` counts the line ends between the word before and this one."""

    kind: Kind
    text: str
    start: int
    lines: int

    @property
    def is_comment(self) -> bool:
        return self.kind in (Kind.LINE_COMMENT, Kind.BLOCK_COMMENT)


_TOKEN = re.compile(
    r"(?P<LINE_COMMENT>//[^\n]*)"
    r"|(?P<BLOCK_COMMENT>/\*(?:.|\n)*?\*/)"
    r'|(?P<STRING>"(?:[^"\\\n]|\\.)*")'
    r"|(?P<NUMBER>[0-9]+'(?:d[0-9_]+|h[0-9a-fA-F_]+|b[01_]+|o[0-7_]+)"
    r"|0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+|[0-9][0-9_]*(?:\^[0-9]+)?)"
    r"|(?P<NAME>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<MARK>\|\||&&|==|!=|<<|>>|<=|>=|\+\+|=>|->|\.\.|[^\sA-Za-z0-9_])"
)


def words(text: str) -> list[Word]:
    """The words of text that parses. Nothing but blanks lies between them."""
    found: list[Word] = []
    end = 0
    for match in _TOKEN.finditer(text):
        kind = Kind[str(match.lastgroup)]
        lines = text.count("\n", end, match.start())
        found.append(Word(kind, match.group().rstrip(), match.start(), lines))
        end = match.end()
    return found
