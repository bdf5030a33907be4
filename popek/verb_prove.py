"""Prove that the derived virtual machine monitor is right, for all programs and all states.

Every obligation (interpreter routines, reflected traps, direct execution, the VM map, ownership,
interrupts ...) is stated for every instruction and virtual mode and discharged by the solver. One
that is refuted comes with a state from which bare and virtual machine were run and differed.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module

from checker.answers import Answer
from checker.proof import Counterexample, Discharged, Group
from checker.proving import Proofs, prove
from checker.statements import Simulation, Statement
from popek.console import Progress, palette_for
from popek.description import read
from popek.exit_status import ExitStatus, worst
from popek.messages import complaint, show
from popek.mutant_report import run_mutants
from popek.options import add_color, add_format, add_isa, at_least
from popek.proof_report import ProofReport
from popek.render_json import dumps
from popek.render_proof import proof_json, render_proof
from popek.selection import selection
from popek.solving import add_smt, add_solving, cache_of, make_smt
from popek.strategy_choice import Choice, choose
from refvmm.obligations import assumptions, hosted, obligations
from refvmm.replayed import Replayed
from refvmm.replaying import replay
from refvmm.strategy import Strategy
from spec.ir import Configuration, Isa

EPILOG = """\
exit status: 0 proved; 1 something is refuted (a failing run is shown) or, with --mutants, some
mutant is not; 2 bad input, or a configuration that cannot host a guest; 3 something is open.

examples:
  popek prove pg74                          every obligation, by the strongest strategy allowed
  popek prove pg74_jrst1 --strategy trap-and-emulate
  popek prove rv32 --config msu --only VC-D --only MRET
  popek prove pg74 --mutants                do the obligations find faults put into the monitor?
  popek prove pg74 --smt proofs && popek recheck proofs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add_isa(parser)
    parser.add_argument(
        "--strategy",
        choices=[s.value for s in Strategy],
        help="try this one even if the theorems do not allow it (default: the strongest allowed)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--only",
        metavar="OBLIGATION|INSTRUCTION",
        action="append",
        default=[],
        help="only these, such as VC-D or LPSW (may be repeated)",
    )
    what.add_argument(
        "--mutants", action="store_true", help="prove broken monitors: which obligation fails?"
    )
    parser.add_argument(
        "--bound",
        metavar="SECONDS",
        type=at_least(float, 0.001),
        default=120.0,
        help="for each mutant (default: 120); what was found out is kept, so a next time goes on",
    )
    add_solving(parser)
    add_smt(parser)
    add_format(parser)
    add_color(parser)


def run(arguments: argparse.Namespace) -> int:
    isa = read(arguments.isa, arguments.color, cache_of(arguments))
    if isa is None or not make_smt(arguments):
        return ExitStatus.BAD_INPUT
    groups = {g.value.casefold(): g for g in Group}
    wanted = [name.casefold() for name in arguments.only]
    instructions = [name for name in arguments.only if name.casefold() not in groups]
    chosen = selection(isa, instructions, arguments.config, arguments.color)
    if chosen is None:
        return ExitStatus.BAD_INPUT
    if arguments.mutants:
        return run_mutants(isa, chosen.configurations, arguments)
    only = ([groups[name] for name in wanted if name in groups], chosen.instructions)
    reports: list[ProofReport] = []
    statuses: list[ExitStatus] = []
    for configuration in isa.configurations:
        if chosen.configurations and configuration.name not in chosen.configurations:
            continue
        report = _proved(isa, configuration, arguments, only)
        if report is None:
            statuses.append(ExitStatus.BAD_INPUT)
            continue
        statuses.append(report.status)
        reports.append(report)
        if arguments.format == "text":
            text = render_proof(report, palette_for(sys.stdout, arguments.color))
            sys.stdout.write(("\n" if len(reports) > 1 else "") + text)
    if arguments.format == "json" and reports:
        documents = [proof_json(report) for report in reports]
        sys.stdout.write(dumps(documents[0] if len(documents) == 1 else documents))
    return worst(statuses)


def _proved(
    isa: Isa,
    configuration: Configuration,
    arguments: argparse.Namespace,
    only: tuple[list[Group], tuple[str, ...]],
) -> ProofReport | None:
    """The report; None after it was said why the configuration cannot host a guest."""
    requested = Strategy(arguments.strategy) if arguments.strategy else None
    choice = choose(isa, configuration, requested, arguments, force=requested is not None)
    if not isinstance(choice, Choice):
        asked = arguments.strategy or "any strategy"
        message = f"`{configuration.name}` cannot run guests by {asked}"
        show((complaint("E0915", message, note=choice.because),), arguments.color)
        return None
    monitor, strategy = choice.monitor, choice.strategy
    context = hosted(monitor)
    stated = [s for s in obligations(monitor, strategy) if _asked(isa, s, only)]
    with Progress() as progress:
        found = prove(
            context,
            stated,
            jobs=arguments.jobs,
            timeout=arguments.timeout,
            cache=cache_of(arguments),
            progress=lambda at: progress.show(at.done, at.total, " ".join(at.current)),
            smt=arguments.smt,
        )

    def refine(statement: Simulation) -> Counterexample | None:
        discharge = import_module("checker.discharge").discharge  # lazily: it loads the solver
        again = discharge(context, statement, timeout_ms=round(arguments.timeout * 1000))
        return next((d.counterexample for d in again if d.counterexample is not None), None)

    results: list[Discharged] = []
    witnesses: list[tuple[Discharged, Replayed]] = []
    for statement, answers in zip(stated, found.results, strict=True):
        for answer in answers:
            if answer.answer is Answer.NO and answer.counterexample is not None:
                shown = replay(monitor, strategy, statement, answer.counterexample, refine)
                if shown is None:
                    answer = _not_replayed(answer)
                else:
                    witnesses.append((answer, shown))
            results.append(answer)
    return ProofReport(
        isa=isa.name,
        title=isa.title,
        configuration=configuration.name,
        strategy=strategy.value,
        because=choice.because,
        obligations=tuple(results),
        witnesses=tuple(witnesses),
        assumptions=(*assumptions(monitor, strategy), *_provisos(results)),
        efficiency=_efficiency(isa, stated, found),
        partial=bool(arguments.only),
        defects=tuple(found.defects),
        notes=tuple(found.notes),
    )


def _asked(isa: Isa, statement: Statement, only: tuple[list[Group], tuple[str, ...]]) -> bool:
    groups, instructions = only
    if groups and statement.group not in groups and getattr(statement, "owner", None) not in groups:
        return False
    if not instructions:
        return True
    return getattr(statement, "instruction", None) in instructions or (
        statement.group is Group.DECODE and statement.name in instructions
    )


def _provisos(results: Sequence[Discharged]) -> tuple[str, ...]:
    """What proofs of single obligations left out, and so is assumed."""
    found = {
        f"{d.group.value}: a trap's delivery loses nothing {d.reason}"
        for d in results
        if d.answer is Answer.YES and d.group is Group.INFORMATION and d.reason
    }
    return tuple(sorted(found))


def _not_replayed(answer: Discharged) -> Discharged:
    reason = f"a counterexample was found ({answer.reason}) that does not replay"
    return replace(answer, answer=Answer.UNKNOWN, reason=reason, counterexample=None)


def _efficiency(
    isa: Isa, stated: Sequence[Statement], found: Proofs
) -> tuple[tuple[str, int, tuple[str, ...]], ...]:
    """For each mode that runs directly: how many instructions do, and which never do (VC-X)."""
    names = {encoding: name for name, encoding in isa.mode.members}
    counts: dict[str, tuple[int, list[str]]] = {}
    for statement, answers in zip(stated, found.results, strict=True):
        if not isinstance(statement, Simulation) or statement.instruction is None:
            continue
        for answer in answers:
            if answer.direct is None or answer.group is not Group.DIRECT:
                continue
            direct, interpreted = counts.setdefault(names[statement.mode], (0, []))
            if not answer.direct:
                interpreted.append(statement.instruction)
            counts[names[statement.mode]] = direct + answer.direct, interpreted
    return tuple((mode, direct, tuple(i)) for mode, (direct, i) in counts.items())
