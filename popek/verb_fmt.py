"""Write descriptions in the one style.

With --check nothing is written: the files that would change are named, and the status is 1.
`-` reads standard input and writes standard output.
"""

import argparse
import sys
from pathlib import Path

from popek.exit_status import ExitStatus, worst
from popek.library import locate
from popek.messages import complaint, show
from popek.options import add_color
from spec.diagnostics import Diagnostic
from spec.format import format_source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        metavar="ISA",
        nargs="+",
        help="files, also parts that others include; or names of bundled descriptions",
    )
    parser.add_argument("--check", action="store_true", help="only say what would change")
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    return worst([_format(name, arguments.check, arguments.color) for name in arguments.files])


def _format(name: str, check: bool, color: str) -> ExitStatus:
    path = Path(name) if name == "-" else locate(name) or Path(name)
    try:
        content = sys.stdin.buffer.read() if name == "-" else path.read_bytes()
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        show((complaint("E0911", f"`{name}` is not UTF-8 text", help="save it as UTF-8"),), color)
        return ExitStatus.BAD_INPUT
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        show((complaint("E0907", f"cannot read `{name}`: {reason}"),), color)
        return ExitStatus.BAD_INPUT
    formatted = format_source(text, str(path))
    if isinstance(formatted, Diagnostic):
        show((formatted,), color, {str(path): text})
        return ExitStatus.BAD_INPUT
    if check:
        if formatted == text:
            return ExitStatus.HOLDS
        print(f"would change {name}")
        return ExitStatus.REFUTED
    if name == "-":
        sys.stdout.write(formatted)
    elif formatted != text:
        path.write_bytes(formatted.encode("utf-8"))
        print(f"changed {name}")
    return ExitStatus.HOLDS
