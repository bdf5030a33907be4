"""What `popek prove` found out about one configuration."""

from collections.abc import Sequence
from dataclasses import dataclass

from checker.answers import Answer
from checker.proof import Discharged, Group
from popek.exit_status import ExitStatus
from refvmm.replayed import Replayed

ABOUT = {
    Group.DIRECT: "what retires directly does what the virtual machine would do",
    Group.EMULATE: "interpreter routines do what the instructions do",
    Group.REFLECT: "traps are delivered in the virtual machine as on the bare one",
    Group.MAP: "save, resume and relocation keep the VM map",
    Group.OWN: "direct execution leaves alone what is not the guest's",
    Group.ASYNC: "interrupts are seen, in order, and delivered; real ones are not",
    Group.CONTROL: "some interrupt ends direct execution; the guest cannot mask it",
    Group.INFORMATION: "a trap loses nothing, and what is fetched is what ran",
    Group.DECODE: "every word is decoded as the machine does",
    Group.EFFICIENCY: "what the guest may reach in its region, it reaches without a trap",
    Group.START: "the VM map holds at the start",
    Group.INVARIANT: "the description's invariants hold in every reachable state",
    Group.POSSIBLE: "the assumptions can hold",
}


@dataclass(frozen=True, slots=True)
class ProofReport:
    """`partial`: not everything was asked. `witnesses` pairs refuted obligations with their runs."""

    isa: str
    title: str
    configuration: str
    strategy: str
    because: str
    obligations: tuple[Discharged, ...]
    witnesses: tuple[tuple[Discharged, Replayed], ...]
    assumptions: tuple[str, ...]
    efficiency: tuple[tuple[str, int, tuple[str, ...]], ...]  # mode, direct, always interpreted
    partial: bool
    defects: tuple[str, ...]
    notes: tuple[str, ...]

    def of(self, answer: Answer) -> tuple[Discharged, ...]:
        return tuple(d for d in self.obligations if d.answer is answer)

    @property
    def proved(self) -> bool:
        """For all programs: no one can tell the machines apart, though one may be slower."""
        return (
            not self.partial
            and not self.defects
            and all(d.answer is Answer.YES for d in self.obligations if equivalence(d))
        )

    @property
    def status(self) -> ExitStatus:
        if self.of(Answer.NO):
            return ExitStatus.REFUTED
        if self.of(Answer.UNKNOWN) or self.defects:
            return ExitStatus.UNDECIDED
        return ExitStatus.HOLDS


def equivalence(discharged: Discharged) -> bool:
    """Whether the obligation is one of equivalence; VC-X is of efficiency."""
    return discharged.group is not Group.EFFICIENCY


def counted(obligations: Sequence[Discharged]) -> dict[Group, dict[Answer, int]]:
    """How many obligations of each group have each answer; in the order of `ABOUT`."""
    found: dict[Group, dict[Answer, int]] = {}
    for group in ABOUT:
        own = [d for d in obligations if d.group is group]
        if own:
            found[group] = {a: sum(d.answer is a for d in own) for a in Answer}
    return found
