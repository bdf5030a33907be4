"""A small made-up report that has something of everything a rendering must show."""

from checker.answers import (
    Answer,
    Components,
    Fact,
    OperandSet,
    Run,
    Traps,
    Undecided,
    Value,
    Witness,
)
from checker.report import (
    ClaimReport,
    ConfigurationReport,
    Escape,
    InstructionReport,
    LiteratureReport,
    Reason,
    Report,
    Tool,
    Verdict,
    VerdictKind,
)

READS_MODE = Witness(
    property="escape",
    clause="behaviour",
    components=("mode",),
    fields=(("n", 0),),
    address=0x1000,
    runs=(
        Run("user", "retire", values=(Value("D[0]", 16, 0xFFFF, 0), Value("P", 32, 12, 14))),
        Run("supervisor", "retire", values=(Value("D[0]", 16, 0xFFFF, 0x2000),)),
    ),
    differs=("D[0]",),
    word="0x40C0",
    assembly="move %sr, %d0",
)


def row(
    name: str,
    operands: str = "",
    control: tuple[str, ...] = (),
    behaviour: tuple[str, ...] = (),
    traps: Traps = Traps.NEVER,
    privileged: Answer = Answer.NO,
    undecided: tuple[Undecided, ...] = (),
    witnesses: tuple[Witness, ...] = (),
) -> InstructionReport:
    sensitive = Answer.of(bool(control or behaviour))
    return InstructionReport(
        instruction=name,
        operands=operands,
        members=(OperandSet(),),
        traps=traps,
        traps_in_top=Traps.NEVER,
        privileged=privileged,
        control_sensitive=Components(control),
        behaviour_sensitive=Components(behaviour),
        result_sensitive=Components(),
        trap_sensitive=Components((), ("time",) if undecided else ()),
        user_sensitive=Answer.NO,
        supervisor_sensitive=Answer.NO,
        user_mode_noop=Answer.NO,
        sensitive=sensitive,
        innocuous=~sensitive,
        escape=Answer.of(bool(witnesses)),
        hybrid_escape=Answer.NO,
        semantic_violation=Answer.NO,
        hybrid_semantic_violation=Answer.NO,
        witnesses=witnesses,
        undecided=undecided,
    )


def verdict(kind: VerdictKind, theorem: int) -> Verdict:
    if theorem == 3:
        return Verdict(kind, theorem, Answer.YES)
    return Verdict(kind, theorem, Answer.NO, (Reason("MOVE from SR", "", "it reads the mode"),))


SAMPLE = Report(
    isa="toy/toy",
    title="A toy",
    source="toy.isa",
    sources=("The manual",),
    tool=Tool("0.1.0", "4.13", "3.11"),
    configurations=(
        ConfigurationReport(
            name="classic",
            modes=(("supervisor", "user"), ("user", "user")),
            constraints=("I == 0",),
            shadowed=("I",),
            mirrored=(),
            passed=(),
            assumptions=("the VMM consults no clock",),
            verdicts=tuple(verdict(kind, n) for kind in VerdictKind for n in (1, 2, 3)),
            efficient=Fact("efficient", Answer.UNKNOWN, "the solver gave up"),
            instructions=(
                row("ADD"),
                row("SUB"),
                row("MOVE to SR", "", ("mode", "S.I", "S.T"), (), Traps.ALWAYS, Answer.YES),
                row("MOVE from SR", "", (), ("mode",), witnesses=(READS_MODE,)),
                row("CSRRW", "mstatus", ("mstatus.MIE",), (), Traps.ALWAYS, Answer.YES),
                row("SPIN", undecided=(Undecided("toy/SPIN/trap-sensitive", "timeout"),)),
            ),
            escapes=(
                Escape(
                    "MOVE from SR", "", "it reads the mode", (READS_MODE,), Answer.YES, Answer.NO
                ),
            ),
        ),
    ),
    claims=(
        ClaimReport("claim ADD innocuous", Answer.YES, 3, ""),
        ClaimReport("claim classic virtualizable", Answer.NO, 7, "MOVE from SR escapes"),
    ),
    literature=(
        LiteratureReport(
            "Adams 1980",
            ClaimReport(
                "classic escapes MOVE from SR", Answer.YES, 8, "what escapes: MOVE from SR"
            ),
            "",
        ),
        LiteratureReport(
            "Baker 1981",
            ClaimReport("classic hybrid", Answer.NO, 9, "the configured verdict is no"),
            "it leaves the interrupt mask out",
        ),
        LiteratureReport(
            "Clark 1982", ClaimReport("ADD privileged", Answer.NO, 10, "it is not privileged"), ""
        ),
        LiteratureReport(
            "Davis 1983", ClaimReport("ADD innocuous", Answer.YES, 11, ""), "it was misread"
        ),
    ),
)
