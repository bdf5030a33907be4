"""Where an oracle and the description may differ, and what the manual says about it.

Each entry is something that the manual leaves to the implementation, or an error of the oracle; all
else has to agree. Vol. I and II are the volumes of The RISC-V Instruction Set Manual.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.oracle_riscv import STIP, Case, Snapshot, Step
from tests.oracle_riscv_target import PROTECTED

_COUNTERS = frozenset((0xB00, 0xB02, 0xB80, 0xB82, 0xC00, 0xC01, 0xC02, 0xC80, 0xC81, 0xC82))
_IDENTITY = frozenset((0x301, *range(0xF11, 0xF16)))
_ALL = 0xFFFF_FFFF_FFFF_FFFF
_HPM = 0xFFFF_FFF8
_MENVCFG, _HENVCFG, _MSECCFG = 0x30A, 0x60A, 0x747
_TIMERS = (0x14D, 0x24D)
_SGEI, _MISA, _VSATP = 1 << 12, 0x301, 0x280
_FAR_FUTURE = 1 << 48
_PMPCFG, _PMPADDR = (0x3A0, 0x3A2), range(0x3B0, 0x3C0)
_PROTECTION = {
    **{f"pmpaddr{n}": 0xFFC0_0000_0000_03FF for n in range(PROTECTED)},
    **dict.fromkeys(("pmpcfg0", "pmpcfg2"), 7668058320836127338),
}
_FURTHER_PROTECTION = (*range(0x3A4, 0x3B0), *range(0x3C0, 0x3F0))
_PERFORMANCE = (*range(0x323, 0x340), *range(0xB03, 0xB20), *range(0xC03, 0xC20))
_ELSEWHERE = frozenset((0x14D, _MSECCFG, *_FURTHER_PROTECTION, *_PERFORMANCE))
_MPRV, _VS_INTERRUPTS = 1 << 17, 0x444
STORE_FAULTS = (
    "store_address_misaligned", "store_page_fault", "store_access_fault", "store_guest_page_fault",
)  # fmt: skip
_MISALIGNED = ("load_address_misaligned", "store_address_misaligned")


@dataclass(frozen=True, slots=True)
class Context:
    """What our machine did in one step of a case, and in the steps before."""

    case: Case
    step: Step
    earlier: tuple[Step, ...]
    before: Mapping[str, int]  # the snapshot before the step

    @property
    def csr(self) -> int | None:
        """The CSR that the instruction names, if it did not trap."""
        return None if self.step.cause else self.step.operands.get("csr")

    @property
    def pc(self) -> int:
        return self.before["pc"]

    @property
    def address(self) -> int:
        """What a load or store computes from its operands."""
        operands = self.step.operands
        base = operands.get("rs1", 0)
        offset = (operands.get("imm", 0) ^ 0x800) - 0x800 if not self.amo else 0
        return ((self.before[f"x{base}"] if base else 0) + offset) & _ALL

    @property
    def stored(self) -> bool:
        """Whether an earlier step of the case stored."""
        return any((step.instruction or "").startswith(("S", "AMO")) for step in self.earlier)

    @property
    def amo(self) -> bool:
        """Whether the instruction is of the A extension."""
        return (self.step.instruction or "").startswith(("AMO", "LR.", "SC."))


@dataclass(frozen=True, slots=True)
class Difference:
    """`bits` says which bits of which registers may differ; None: nothing is compared from here."""

    oracle: str
    reason: str
    bits: Callable[[Context], Mapping[str, int] | None]


def _of_rd(context: Context, numbers: frozenset[int]) -> dict[str, int]:
    return {f"x{context.step.operands['rd']}": _ALL} if context.csr in numbers else {}


def _always(**bits: int) -> Callable[[Context], Mapping[str, int]]:
    return lambda _: bits


def _all_if(condition: Callable[[Context], bool]) -> Callable[[Context], Mapping[str, int] | None]:
    return lambda context: None if condition(context) else {}


def _if(condition: Callable[[Context], bool], **bits: int) -> Callable[[Context], dict[str, int]]:
    return lambda context: bits if condition(context) else {}


def other_cause(context: Context, causes: Sequence[int], bits: int) -> Mapping[str, int] | None:
    """What differs if an oracle takes one of these causes for another; `bits`: of their numbers."""
    before = context.before
    for name in ("medeleg", "hedeleg"):
        if before["priv"] != 3 and len({before.get(name, 0) >> n & 1 for n in causes}) > 1:
            return None
    return dict.fromkeys(("mcause", "scause", "vscause"), bits)


def _lowest_number(context: Context) -> Mapping[str, int] | None:
    """What differs if of several interrupts for one mode that with the lowest number is taken."""
    before, after = context.before, context.step.after
    if not context.step.interrupt:
        return {}
    for_guests = before.get("hideleg", 0)
    delegated = before["mideleg"] | (_VS_INTERRUPTS if "hideleg" in before else 0)
    asked = before["mip"] & before["mie"]
    level = "m" if after["priv"] == 3 else "vs" if after.get("virt") else "s"
    asked &= {"m": ~delegated, "vs": for_guests, "s": delegated & ~for_guests}[level]
    taken = (after[f"{level}cause"] & 0x3F) + (level == "vs")
    if asked & -asked == 1 << taken:
        return {}
    vectored = before[f"{level}tvec"] & 1
    if vectored and context.case.steps > len(context.earlier) + 1:
        return None  # the rest is executed elsewhere
    return {f"{level}cause": 0x3F, "pc": _ALL * vectored}


DIFFERENCES = (
    Difference(
        "both",
        "what the counters count, and when, is the implementation's (Vol. II, 3.1.10)",
        lambda context: _of_rd(context, _COUNTERS),
    ),
    Difference(
        "both",
        "identity registers are the implementation's, and misa tells of extensions left out here",
        lambda context: _of_rd(context, _IDENTITY),
    ),
    Difference(
        "both",
        "with the hypervisor extension the oracles run without Sstc",
        lambda c: (
            {}
            if "hstatus" not in c.before
            else None
            if c.csr in _TIMERS
            else {"menvcfg": 1 << 63, "henvcfg": 1 << 63, "mip": 3 << 5}
            if c.csr in (_MENVCFG, _HENVCFG)
            else {}
        ),
    ),
    Difference(
        "both",
        "SGEI is delegated, and SGEIE can be set, though no guest external interrupt can come; both "
        "are asked for if one can (Vol. II, 8.2.3, 8.4.2)",
        lambda c: (
            {"mideleg": _SGEI, "mie": _SGEI}
            | ({f"x{c.step.operands['rd']}": _SGEI} if c.csr in (0x303, 0x304, 0x604) else {})
        ),
    ),
    Difference(
        "both",
        "registers of PMP need not be there if it has no entries; here they read 0 (Vol. II, 3.7.1)",
        _all_if(lambda c: "hstatus" in c.before and c.csr in range(0x3A0, 0x3F0)),
    ),
    Difference(
        "spike",
        "FS may be writable without F when there is S mode, and SD follows it (Vol. II, 3.1.6.6)",
        _always(mstatus=0x8000_0000_8000_6000, vsstatus=0x8000_0000_0000_6000),
    ),
    Difference(
        "spike",
        "the bits of hardware performance counters in mcounteren, scounteren and mcountinhibit can "
        "be set with Zihpm, as they may (Vol. II, 3.1.11)",
        _always(mcounteren=_HPM, scounteren=_HPM, hcounteren=_HPM, mcountinhibit=_HPM),
    ),
    Difference(
        "spike",
        "what time it is: a comparison with a time that may have come by now, or not",
        lambda c: {"mip": STIP} if 0 < c.step.after.get("stimecmp", 0) < _FAR_FUTURE else {},
    ),
    Difference(
        "spike",
        "STIP holds the last comparison when Sstc is switched off, here what was written to it; Sstc "
        "does not say",
        _if(lambda c: c.csr == _MENVCFG, mip=STIP),
    ),
    Difference(
        "spike",
        "Spike has mseccfg only with Smepmp; one that reads 0 may be there (Vol. II, 3.1.19)",
        _all_if(lambda c: c.csr == _MSECCFG),
    ),
    Difference(
        "spike",
        "Spike keeps FIOM at 0 (Vol. II, 3.1.18 allows that only without paging); nothing shows it",
        _always(menvcfg=1, senvcfg=1, henvcfg=1),
    ),
    Difference(
        "spike",
        "misa may be written, which switches off what the hypervisor extension adds (Vol. II, 3.1.1)",
        _all_if(lambda c: "hstatus" in c.before and c.csr == _MISA),
    ),
    Difference(
        "spike",
        "medeleg has bits for causes 18 and 19, newer than the version described",
        _always(medeleg=0xC_0000, hedeleg=0xC_0000),
    ),
    Difference(
        "spike",
        "a write of vsatp with a mode that is not there may be ignored, as here, or change the other "
        "fields (Vol. II, 8.2.18)",
        lambda c: (
            {"vsatp": _ALL >> 4}
            if c.csr == _VSATP and c.step.after["vsatp"] == c.before["vsatp"]
            else {}
        ),
    ),
    Difference(
        "qemu",
        "QEMU without AIA takes the interrupt with the lowest number; the order is MEI, MSI, MTI, "
        "SEI, SSI, STI (Vol. II, 3.1.9)",
        _lowest_number,
    ),
    Difference(
        "qemu",
        "after EBREAK xtval is 0 or the address of the instruction (Vol. II, 3.1.16)",
        _if(lambda c: c.step.cause == "breakpoint", mtval=_ALL, stval=_ALL),
    ),
    Difference(
        "qemu",
        "QEMU puts the address of the jump into xtval; it is that of its target (Vol. II, 3.1.16)",
        _if(lambda c: c.step.cause == "instruction_address_misaligned", mtval=_ALL, stval=_ALL),
    ),
    Difference(
        "qemu",
        "QEMU leaves MPRV set; MRET and SRET to a mode less than M clear it (Vol. II, 3.1.6.3)",
        _if(lambda c: c.step.instruction in ("MRET", "SRET"), mstatus=_MPRV),
    ),
    Difference(
        "qemu",
        "QEMU reports the load of an AMO; its faults are those of a store (Vol. II, table 3.6)",
        lambda c: (
            other_cause(c, (4, 5, 6, 7, 13, 15, 21, 23), 0x1F)
            if c.amo and c.step.cause in STORE_FAULTS
            else {}
        ),
    ),
    Difference(
        "qemu",
        "QEMU does misaligned loads and stores, as it may (Vol. I, 2.6)",
        _all_if(lambda c: not c.amo and c.step.cause in _MISALIGNED),
    ),
    Difference(
        "qemu",
        "an SC that fails for lack of a reservation does not look at the page; it may not retire "
        "unless it passes the permission checks (Vol. I, Zalrsc)",
        _all_if(lambda c: c.step.instruction in ("SC.W", "SC.D") and c.step.cause in STORE_FAULTS),
    ),
    Difference(
        "qemu",
        "QEMU's SC fails if a store of this hart changed the word since the LR: any SC outside a "
        "constrained loop may fail (Vol. I, 8.3)",
        _all_if(lambda c: c.step.instruction in ("SC.W", "SC.D") and c.stored),
    ),
    Difference(
        "qemu",
        "QEMU has one TLB for fetches in M mode and for loads and stores under MPRV, which must not "
        "affect each other (Vol. II, 3.1.6.3): data in the page of the code",
        _all_if(lambda c: c.before["mstatus"] & _MPRV != 0 and c.address >> 12 == c.pc >> 12),
    ),
    Difference(
        "qemu",
        "QEMU takes CSRRS and CSRRC with a register that holds 0 for reads; they write unless the "
        "register is x0 (Vol. I, 9.1), so read-only CSRs trap",
        _all_if(
            lambda c: (
                c.step.instruction in ("CSRRS", "CSRRC")
                and c.step.operands["csr"] >> 10 == 3
                and c.before.get(f"x{c.step.operands['rs1']}") == 0
            )
        ),
    ),
    Difference(
        "qemu",
        "QEMU keeps the low bits of xepc; they are 0 when IALIGN is 32 (Vol. II, 3.1.14)",
        _always(mepc=3, sepc=3, vsepc=3),
    ),
    Difference(
        "qemu",
        "QEMU stores MPP = 2, which is no mode; WARL (Vol. II, 3.1.6.1)",
        lambda c: (
            {"mstatus": 1 << 12} if c.csr == 0x300 and not c.step.after["mstatus"] >> 11 & 3 else {}
        ),
    ),
    Difference(
        "qemu",
        "QEMU stores a UXL that is no length of a register; WARL (Vol. II, 3.1.6.2)",
        _if(lambda c: c.csr in (0x100, 0x300), mstatus=3 << 32),
    ),
    Difference(
        "qemu",
        "QEMU has no more CSRs of PMP than entries, no mseccfg without Smepmp, counters of its own for "
        "hardware performance, and runs without Sstc here",
        _all_if(lambda c: c.csr in _ELSEWHERE),
    ),
    Difference(
        "qemu",
        "QEMU lets STCE and PBMTE be set without the extensions that they enable",
        _if(lambda c: c.csr == _MENVCFG, menvcfg=3 << 62, mip=STIP),
    ),
    Difference(
        "qemu",
        "QEMU has a grain of 4 bytes and keeps what is written to pmpaddr and pmpcfg; both are WARL "
        "(Vol. II, 3.7.1)",
        lambda c: _PROTECTION if c.csr in (*_PMPCFG, *_PMPADDR) else {},
    ),
    Difference(
        "qemu",
        "QEMU ignores a write of xtvec with a reserved MODE: WARL (Vol. II, 3.1.7)",
        lambda c: {"mtvec": _ALL} if c.csr == 0x305 else {"stvec": _ALL} if c.csr == 0x105 else {},
    ),
    Difference(
        "qemu",
        "fields of extensions that are left out here: VS and SD, the hypervisor's interrupts and "
        "exceptions, cache blocks, hardware performance counters",
        _always(
            mstatus=0x8000_00C0_8000_0600,
            mie=0x2444,
            mip=0x2444,
            mideleg=0x2444,
            medeleg=0xF0_0C00,
            menvcfg=0xF0,
            senvcfg=0xF0,
            henvcfg=0xF0,
            mcounteren=_ALL & ~7,
            scounteren=_ALL & ~7,
            mcountinhibit=_ALL & ~5,
        ),
    ),
)


def allowed(
    differences: Sequence[Difference], oracle: str, context: Context
) -> dict[str, int] | None:
    """The bits that may differ after the step, by register; None if nothing is to be compared."""
    bits: dict[str, int] = {}
    for difference in differences:
        if difference.oracle in (oracle, "both"):
            found = difference.bits(context)
            if found is None:
                return None
            for name, mask in found.items():
                bits[name] = bits.get(name, 0) | mask
    return bits


def differing(ours: Snapshot, theirs: Snapshot, may: Mapping[str, int]) -> list[str]:
    """What differs, in words."""
    return [
        f"{name} is {value:#x} here and {theirs[name]:#x} there"
        for name, value in ours.items()
        if (value ^ theirs[name]) & ~may.get(name, 0)
    ]
