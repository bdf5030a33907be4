"""The command `popek`: arguments in, exit status out.

Start-up is measured (`popek --help` under 0.15 s), so this module imports nothing heavy: the
module of a verb, and with it the parser generator or the solver, is imported when the verb runs.
"""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from popek.exit_status import ExitStatus

HELP = """\
popek decides from a description of an instruction set whether the machine can be virtualized,
by the definitions of Popek and Goldberg (CACM 17(7), 1974), and shows a witness for every "no".

  popek check ISA...               is it virtualizable? verdicts, classes, escapes, claims
  popek explain ISA INSTRUCTION    why: the definition, both runs of the witness side by side
  popek explain CODE               what a diagnostic such as E0203 means, and its cure
  popek constrain ISA              which control bits must the VMM fix, so that it is?
  popek recheck DIR                what a check rested on, asked of another solver
  popek lint ISA...                is the description well-formed?
  popek fmt ISA... [--check]       write descriptions in the one style
  popek asm ISA FILE               assemble a program
  popek disasm ISA FILE            disassemble one
  popek run ISA PROGRAM            run one on the bare machine
  popek vmm ISA [PROGRAM]          derive the virtual machine monitor: print it, or run under it
  popek test ISA                   try to tell it from the bare machine, by random programs
  popek prove ISA                  prove the derived monitor right for all programs
  popek list                       the bundled descriptions
  popek verdicts                   the verdicts of all of them, beside the literature's

ISA is a file (`my.isa`) or a bundled description (`riscv/rv32`, or `rv32` where that is clear).

A first session:
  popek check pg74                 the machine of the paper: yes
  popek check m68000               the Motorola 68000: no, and why
  popek explain m68000 "MOVE from SR"
  popek check m68000 --format json

`popek VERB --help` lists the options of a verb. Exit status: 0 everything asked for holds,
1 something does not, 2 bad input or usage, 3 undecided, 70 a defect of popek, 130 interrupted.
"""

VERBS = {
    "check": "popek.verb_check",
    "explain": "popek.verb_explain",
    "constrain": "popek.verb_constrain",
    "recheck": "popek.verb_recheck",
    "lint": "popek.verb_lint",
    "fmt": "popek.verb_fmt",
    "asm": "popek.verb_asm",
    "disasm": "popek.verb_disasm",
    "run": "popek.verb_run",
    "vmm": "popek.verb_vmm",
    "test": "popek.verb_test",
    "prove": "popek.verb_prove",
    "list": "popek.verb_list",
    "verdicts": "popek.verb_verdicts",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; never shows a traceback."""
    try:
        status = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("popek: interrupted", file=sys.stderr)
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit; there must be no pipe to fail on.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.CLOSED_PIPE
    except Exception as defect:
        if os.environ.get("POPEK_TRACEBACK"):
            raise
        _report(defect)
        return ExitStatus.INTERNAL_ERROR
    return status


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return ExitStatus.HOLDS if argv else ExitStatus.BAD_INPUT
    if argv[0] in ("-V", "--version"):
        metadata = importlib.import_module("importlib.metadata")
        print(f"popek {metadata.version('popek')}")
        return ExitStatus.HOLDS
    if argv[0] not in VERBS:
        return _unknown_verb(argv[0])
    verb = importlib.import_module(VERBS[argv[0]])
    parser = _Parser(
        prog=f"popek {argv[0]}",
        description=verb.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    verb.add_arguments(parser)
    status: int = verb.run(parser.parse_args(argv[1:]))
    return status


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in the form of every other diagnostic."""

    def error(self, message: str) -> NoReturn:
        self.exit(
            ExitStatus.BAD_INPUT,
            f"error: {message}\n  = help: `{self.prog} --help` lists the arguments\n",
        )


def _unknown_verb(word: str) -> int:
    what = "option" if word.startswith("-") else "verb"
    print(f"error: unknown {what} `{word}`", file=sys.stderr)
    close = difflib.get_close_matches(word, VERBS, n=1)
    meant = f"did you mean `popek {close[0]}`?" if close else "`popek --help` lists the verbs"
    print(f"  = help: {meant}", file=sys.stderr)
    return ExitStatus.BAD_INPUT


def _report(defect: Exception) -> None:
    trace = defect.__traceback__
    place = ""
    while trace is not None:
        place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    text = (str(defect).strip().splitlines() or [""])[-1][:200]
    print(
        f"popek: internal error: {type(defect).__name__}: {text} ({place}); this is a defect of "
        "popek, please report it with the input (POPEK_TRACEBACK=1 shows where)",
        file=sys.stderr,
    )
