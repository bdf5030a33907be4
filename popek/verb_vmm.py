"""Derive the virtual machine monitor of a description; print it, or run a program under it.

Popek and Goldberg's control program <D, A, {v_i}> comes out of the description by redirection: an
interpreter routine is the instruction's own text, over the place where the monitor keeps the
virtual machine's state. What is printed is in the language of the description, in the paper's
order: control block, VM map, dispatcher, allocator, interpreter routines (of the instructions that
are not innocuous; --all for all), what they share, reflection of traps, virtual interrupts.

With PROGRAM, the program runs under the monitor (--nest 3: under three, each in the virtual
machine of the one before), and beside it on the bare machine, compared after every step. Several
programs, or --guests N, are guests of one machine, each beside a bare machine of its own; the
monitor's timer switches between them.

Exit status: 0 printed, or run without a difference; 1 the theorems do not allow the strategy asked
for (the witness is shown), or the machines differed; 2 bad input, or the configuration cannot host
a guest; 3 the program was still running at the default bound.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from checker.answers import Answer
from checker.report_json import JSON
from popek.console import palette_for
from popek.description import read
from popek.exit_status import ExitStatus, worst
from popek.messages import complaint, show
from popek.options import add_color, add_format, add_isa
from popek.render_json import dumps
from popek.render_monitor import Derived, monitor_json, render_monitor
from popek.render_witness import render_witness
from popek.selection import Selection, selection
from popek.shared_run import run_guests
from popek.solving import add_solving, cache_of
from popek.strategy_choice import Choice, Refusal, choose, verdicts_of
from popek.virtual_run import add_running, run_program
from refvmm.monitor_python import monitor_python
from refvmm.monitor_text import SECTIONS, MonitorText
from refvmm.strategy import Strategy
from spec.ir import Configuration, Instruction, Isa

EPILOG = """\
examples:
  popek vmm pg74                          the monitor of the paper's machine
  popek vmm pg74 --only LPSW              one interpreter routine
  popek vmm rv32 --section allocator      what touches resources
  popek vmm pg74 --python                 the code that runs
  popek vmm pg74_jrst1 --strategy hybrid
  popek vmm ia32 --strategy trap-and-emulate      refused, with a witness
  popek vmm pg74 program.s --nest 3 --trace
  popek vmm rv32 a.s b.s --config msu             two guests on one machine
  popek vmm pg74_jrst1 program.s --strategy trap-and-emulate --force      see it go wrong
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_isa(parser)
    add_running(parser)
    parser.add_argument(
        "--strategy",
        choices=[strategy.value for strategy in Strategy],
        help="how guests run (default: the strongest that the theorems allow)",
    )
    parser.add_argument(
        "--force", action="store_true", help="take the strategy although the theorems forbid it"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--print", action="store_true", help="print the monitor (the default)")
    what.add_argument("--python", action="store_true", help="print it as the Python that runs")
    parser.add_argument(
        "--section",
        choices=SECTIONS,
        action="append",
        help="only this part of the text (may be repeated)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--only",
        metavar="INSTRUCTION",
        action="append",
        default=[],
        help="only this interpreter routine (may be repeated)",
    )
    which.add_argument("--all", action="store_true", help="the interpreter routines of all")
    add_solving(parser)
    add_format(parser)
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    isa = read(arguments.isa, arguments.color, cache_of(arguments))
    if isa is None:
        return ExitStatus.BAD_INPUT
    chosen = selection(isa, arguments.only, arguments.config, arguments.color)
    if chosen is None:
        return ExitStatus.BAD_INPUT
    configurations = [c for c in isa.configurations if c.name in chosen.configurations]
    configurations = configurations or list(isa.configurations[:1])
    if not configurations:
        problem = complaint(
            "E0914",
            "the description has no configuration",
            help="add a `virtualize` block: docs/language.md, Configurations",
        )
        show((problem,), arguments.color)
        return ExitStatus.BAD_INPUT
    if arguments.programs and len(configurations) > 1:
        problem = complaint("E0903", "a program runs under one configuration", help="name one")
        show((problem,), arguments.color)
        return ExitStatus.BAD_INPUT
    shown = [_Monitor(isa, c, chosen, arguments).show() for c in configurations]
    documents: list[JSON] = [s.document for s in shown if s.document is not None]
    if arguments.format == "json" and documents:
        whole: JSON = documents[0] if len(documents) == 1 else documents
        sys.stdout.write(dumps(whole))
    return worst(s.status for s in shown)


@dataclass(frozen=True, slots=True)
class _Shown:
    status: ExitStatus
    document: JSON = None


class _Monitor:
    """The monitor of one configuration, to be printed or run."""

    def __init__(
        self,
        isa: Isa,
        configuration: Configuration,
        chosen: Selection,
        arguments: argparse.Namespace,
    ) -> None:
        self.isa = isa
        self.configuration = configuration
        self.chosen = chosen
        self.arguments = arguments

    def show(self) -> _Shown:
        """Print it, or what a program does under it."""
        arguments = self.arguments
        requested = None if arguments.strategy is None else Strategy(arguments.strategy)
        found = choose(self.isa, self.configuration, requested, arguments, force=arguments.force)
        if isinstance(found, Refusal):
            return self._refused(found)
        if arguments.programs:
            return _Shown(ExitStatus(self._run(found)))
        instructions = self._instructions(found)
        if arguments.python:
            whole = not arguments.only
            sys.stdout.write(monitor_python(found.monitor, instructions, whole=whole))
            return _Shown(ExitStatus.HOLDS)
        text = MonitorText(found.monitor, found.strategy)
        wanted = arguments.section or (["routines"] if arguments.only else SECTIONS)
        sections = text.sections(instructions, wanted)
        left = 0 if arguments.only else len(self.isa.instructions) - len(instructions)
        derived = Derived(found.monitor, found.strategy, found.because, left)
        if arguments.format == "json":
            return _Shown(ExitStatus.HOLDS, monitor_json(derived, sections))
        sys.stdout.write(render_monitor(derived, sections, head=not arguments.section))
        return _Shown(ExitStatus.HOLDS)

    def _run(self, choice: Choice) -> int:
        """Run the programs: one, or a guest for each of several."""
        given: list[str] = self.arguments.programs
        guests = max(self.arguments.guests, len(given))
        if guests == 1:
            return run_program(self.isa, choice, given[0], self.arguments)
        if self.arguments.nest > 1:
            problem = complaint("E0903", "several guests run under one monitor", help="no `--nest`")
            show((problem,), self.arguments.color)
            return ExitStatus.BAD_INPUT
        dealt = [given[number % len(given)] for number in range(guests)]
        return run_guests(self.isa, choice, dealt, self.arguments)

    def _refused(self, refusal: Refusal) -> _Shown:
        asked = self.arguments.strategy or "any strategy"
        name = self.configuration.name
        problem = complaint(
            "E0915",
            f"`{name}` cannot run guests by {asked}",
            note=refusal.because,
            help="" if refusal.escape is None else "`--strategy interpret` needs no theorem",
        )
        show((problem,), self.arguments.color)
        if refusal.escape is None:
            return _Shown(ExitStatus.BAD_INPUT)
        palette = palette_for(sys.stderr, self.arguments.color)
        for witness in refusal.escape.witnesses[:1]:
            sys.stderr.write(render_witness(witness, palette))
        return _Shown(ExitStatus.REFUTED)

    def _instructions(self, choice: Choice) -> list[Instruction]:
        """The instructions whose interpreter routines are shown."""
        names: Iterable[str] = (i.name for i in self.isa.instructions)
        if self.arguments.only:
            names = self.chosen.instructions
        elif not self.arguments.all:
            report = verdicts_of(self.isa, self.configuration, self.arguments)
            names = [r.instruction for r in report.instructions if r.innocuous is not Answer.YES]
        wanted = frozenset(names)
        return [i for i in choice.monitor.virtual.instructions if i.name in wanted]
