"""Runs what a document shows: builds its files, runs its commands, compares their output.

A block ```` ```isa NAME ```` is appended to the file NAME. In a block ```` ```console ````, a line
`$ COMMAND` is run by bash; the lines up to the next one are its stdout and stderr together, where
a line `...` stands for any lines.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    language: str
    name: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    text: str
    expected: str
    line: int


def blocks(document: Path) -> Iterator[Block]:
    text = document.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        yield Block(found[1], found[2] or "", found[3], text.count("\n", 0, found.start()) + 1)


def commands(block: Block) -> Iterator[Command]:
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"line {block.line}: output before the first command"
    for command, expected in zip(parts[1::2], parts[2::2], strict=True):
        yield Command(command, expected, block.line)


def run(command: str, folder: Path) -> str:
    """Stdout and stderr of a shell command that may use `popek`."""
    programs = folder / ".bin"
    programs.mkdir(exist_ok=True)
    popek = programs / "popek"
    popek.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m popek "$@"\n', encoding="utf-8")
    popek.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / ".cache"),
        "PYTHONWARNINGS": "ignore",
    }
    result = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    return result.stdout


def matches(expected: str, actual: str) -> bool:
    """Equal, where a line `...` of the expected text stands for any lines."""
    pattern = re.escape(expected.rstrip("\n") + "\n")
    pattern = re.sub(r"(?m)^\s*\\\.\\\.\\\.\\?\n", "(?:.*\n)*?", pattern)
    return re.fullmatch(pattern, actual.rstrip("\n") + "\n") is not None


def replay(document: Path, folder: Path) -> list[str]:
    """Do all that the document shows; what came out otherwise, with its line."""
    wrong = []
    for block in blocks(document):
        if block.language == "isa" and block.name:
            with (folder / block.name).open("a", encoding="utf-8") as file:
                file.write(block.text)
        elif block.language == "console":
            for command in commands(block):
                actual = run(command.text, folder)
                if not matches(command.expected, actual):
                    wrong.append(f"line {block.line}: $ {command.text}\n{actual}")
    return wrong
