"""Where QEMU 7.2 and the description differ because of the hypervisor extension.

What is an error of QEMU's is told from the manual: The RISC-V Instruction Set Manual, Vol. II,
version 20211203, chapter 8.
"""

from collections.abc import Mapping

from tests.oracle_riscv import GUEST_ROOT, WATCHED_PAGES
from tests.oracle_riscv_differences import STORE_FAULTS, Context, Difference, other_cause

_ALL = 0xFFFF_FFFF_FFFF_FFFF
_SIP, _SATP, _VSSTATUS, _VSTVEC, _VSIP, _VSATP = 0x144, 0x180, 0x200, 0x205, 0x244, 0x280
_STVEC, _MIP = 0x105, 0x344
_HSTATUS, _HCOUNTEREN, _HENVCFG, _HTINST, _HGATP = 0x600, 0x606, 0x60A, 0x64A, 0x680
_HSTATUS_FIELDS, _VSSTATUS_FIELDS = 0x70_03C0, 0xC_0122
_H_GVA, _M_GVA = 1 << 6, 1 << 38
_SPVP, _SUM = 1 << 8, 1 << 18
_MPP, _MPRV, _MXR, _TVM, _TSR, _MPV = 3 << 11, 1 << 17, 1 << 19, 1 << 20, 1 << 22, 1 << 39
_V, _R, _X = 1, 1 << 1, 1 << 3
_GUEST_LOAD = 21
_GUEST_FAULTS = {"instruction_guest_page_fault": 20, "store_guest_page_fault": 23}
_FAULTS = (
    "load_page_fault", "store_page_fault", "load_access_fault", "store_access_fault",
    "load_guest_page_fault", "store_guest_page_fault",
)  # fmt: skip
_LOADS = ("LB", "LBU", "LH", "LHU", "LW", "LWU", "LD")
_MEMORY = (*_LOADS, "SB", "SH", "SW", "SD")
_WALK = 0x3000


def _reaches(context: Context) -> bool:
    """Is it a load or store of virtual machines?"""
    return (context.step.instruction or "").startswith(("HLV", "HSV"))


def _bits_if(holds: bool, **bits: int) -> Mapping[str, int] | None:
    return bits if holds else {}


def _into_guest(context: Context) -> bool:
    trapped = context.step.cause is not None or context.step.interrupt
    return trapped and context.step.after.get("virt") == 1


def _refused(context: Context) -> bool:
    """Where QEMU does not raise the virtual instruction of VS or VU mode, or another exception."""
    before, instruction = context.before, context.step.instruction
    csr, virtual = context.step.operands.get("csr", 0), context.step.cause == "virtual_instruction"
    if before.get("virt") != 1:
        return False
    if before["priv"] == 0:
        fences = ("SRET", "SFENCE.VMA", "HFENCE.VVMA", "HFENCE.GVMA")
        return virtual and (csr >> 8 & 3 == 1 or instruction in fences)
    bit = _TVM if csr == _SATP else {"SRET": _TSR, "SFENCE.VMA": _TVM}.get(instruction or "", 0)
    return before["mstatus"] & bit != 0 or (virtual and csr == _SATP)


def _as_machine(context: Context) -> bool:
    """Is it a load or store under MPRV as of M mode, and MPV is 1?"""
    before, bits = context.before, _MPRV | _MPV | _MPP
    touches = context.amo or context.step.instruction in _MEMORY
    return before["priv"] == 3 and before["mstatus"] & bits == bits and touches


def _guests_beside(context: Context) -> bool:
    """Is it a load or store as of VS or VU mode, and V is 0?"""
    before = context.before
    previous = before["mstatus"] & _MPRV and before["mstatus"] & _MPV and before["priv"] == 3
    return not before.get("virt") and (_reaches(context) or previous == 1)


def _misreported_walk(context: Context) -> Mapping[str, int] | None:
    """A fault of the second stage, while a table of the first is read, that is no load's."""
    code = _GUEST_FAULTS.get(context.step.cause or "")
    after = context.step.after
    if code is None or after["mtinst" if after["priv"] == 3 else "htinst"] != _WALK:
        return {}
    return other_cause(context, (code, _GUEST_LOAD), 3)


def _misreported_stage(context: Context) -> Mapping[str, int] | None:
    """A fault that QEMU takes for one of another stage, or of none."""
    if context.step.cause not in _FAULTS or not _guests_beside(context):
        return {}
    bits = other_cause(context, (5, 7, 13, 15, 21, 23), 0x1F)
    return None if bits is None else {**bits, "mtval2": _ALL, "htval": _ALL}


def _leaves(context: Context, first: int = 0) -> list[int]:
    """The entries of the case's tables that map pages; those from an address on."""
    pages = [page >> 12 for page in WATCHED_PAGES]
    memory = context.case.memory.items()
    entries = [w for a, w in memory if a % 8 == 0 and a >> 12 not in pages and a >= first]
    return [w for w in entries if w & _V and w & (_R | _X)]


def _odd_rights(context: Context) -> bool:
    """Is it for QEMU to say, and not for the tables, whether a load may read a page?"""
    before, instruction = context.before, context.step.instruction or ""
    if "virt" not in before:
        return False
    if instruction.startswith("HLVX"):
        return any(w & (_R | _X) != _R | _X for w in _leaves(context))
    loads = instruction in _LOADS or context.amo or instruction.startswith("HLV")
    differs = loads and (before["mstatus"] ^ before["vsstatus"]) & _MXR != 0
    secret = any(not w & _R for w in _leaves(context))
    walked = before["mstatus"] & _MXR and any(not w & _R for w in _leaves(context, GUEST_ROOT))
    return (before["virt"] == 1 or _guests_beside(context)) and bool((differs and secret) or walked)


def _users_page(context: Context) -> bool:
    """Is a page fault of HLV or HSV perhaps for want of vsstatus.SUM?"""
    faulted = context.step.cause in ("load_page_fault", "store_page_fault")
    as_supervisor = (
        context.before.get("hstatus", 0) & _SPVP and not context.before["vsstatus"] & _SUM
    )
    return _reaches(context) and faulted and bool(as_supervisor)


def _vsip(context: Context) -> Mapping[str, int]:
    if context.csr != _VSIP and not (context.csr == _SIP and context.before.get("virt") == 1):
        return {}
    return {f"x{context.step.operands['rd']}": 0x222, "hvip": 4, "mip": 4}


GUEST_DIFFERENCES = (
    Difference(
        "qemu",
        "QEMU writes hstatus.GVA, htval and htinst in a trap into VS mode, as in one into HS mode; "
        "such a trap writes vsepc, vscause and vstval (8.6.2)",
        lambda c: _bits_if(_into_guest(c), hstatus=_H_GVA, htval=_ALL, htinst=_ALL),
    ),
    Difference(
        "qemu",
        "QEMU takes 1 from the causes 2 and 6 of exceptions into VS mode; only the numbers of VS "
        "mode's interrupts are told as those of S mode (8.2.2)",
        lambda c: _bits_if(
            _into_guest(c) and c.step.cause is not None and c.step.after["vscause"] in (2, 6),
            vscause=3,
        ),
    ),
    Difference(
        "qemu",
        "QEMU raises an illegal instruction for SRET, SFENCE.VMA, HFENCE and CSRs of supervisors in "
        "VU mode, and lets TSR and TVM of mstatus refuse in VS mode, but not VTVM the use of satp; "
        "these are virtual instructions, and TSR and TVM affect HS mode only (8.6.1, 8.4.1)",
        lambda c: None if _refused(c) else {},
    ),
    Difference(
        "qemu",
        "QEMU gives for HLV, HLVX and HSV where they may not be executed the bits of an instruction "
        "before; xtval holds those of the one that trapped, or 0 (Vol. II, 3.1.16)",
        lambda c: _bits_if(
            _reaches(c) and c.step.cause in ("illegal_instruction", "virtual_instruction"),
            mtval=_ALL,
            stval=_ALL,
            vstval=_ALL,
        ),
    ),
    Difference(
        "qemu",
        "QEMU tells page faults of the first stage from access faults by satp while V is 0, and then "
        "writes mtval2; it is vsatp that counts, and mtval2 is 0 but for guest-page faults, which "
        "QEMU tells as page faults under MPRV (8.5.2, 8.4.4)",
        _misreported_stage,
    ),
    Difference(
        "qemu",
        "QEMU takes loads and stores under MPRV through the second stage if MPV is 1 and MPP is 3; "
        "such an access is not translated (8.4.1)",
        lambda c: None if _as_machine(c) else {},
    ),
    Difference(
        "qemu",
        "QEMU reports the load of an entry; the fault is that of the original access (8.5.1)",
        _misreported_walk,
    ),
    Difference(
        "qemu",
        "QEMU's HLVX needs the right to read; that to execute takes its place (8.3). QEMU looks at one "
        "MXR for both stages, vsstatus's while V is 1, and for reads of tables; mstatus's counts for "
        "both, vsstatus's for the first (8.4.1), and MXR is for loads (Vol. II, 3.1.6.3)",
        lambda c: None if _odd_rights(c) else {},
    ),
    Difference(
        "qemu",
        "QEMU's HLV and HSV reach the pages of VU mode as VS mode does with vsstatus.SUM, which "
        "they must heed (8.3)",
        lambda c: None if _users_page(c) else {},
    ),
    Difference(
        "qemu",
        "the load that QEMU reports of an AMO may be refused by the second stage, the store by the "
        "first: then what is told of it differs too",
        lambda c: _bits_if(
            c.amo and c.step.cause in STORE_FAULTS,
            htval=_ALL,
            mtval2=_ALL,
            htinst=_ALL,
            mtinst=_ALL,
        ),
    ),
    Difference(
        "qemu",
        "QEMU shows of vsip only what can be written, and takes bit 2 of what is written for "
        "bit 1 too; its bits are hip's, shifted (8.2.12)",
        _vsip,
    ),
    Difference(
        "qemu",
        "VSTIP and VSEIP of QEMU's mip can be written; they are read-only, as hip's (8.2.3, 8.4.3)",
        lambda c: _bits_if(c.csr == _MIP, hvip=0x440),
    ),
    Difference(
        "qemu",
        "QEMU sets V in an MRET to M mode if MPV is 1; MPV is ignored when MPP is 3 (8.6.2)",
        lambda c: (
            None
            if c.step.instruction == "MRET" and c.step.cause is None and c.step.after["priv"] == 3
            else {}
        ),
    ),
    Difference(
        "qemu",
        "QEMU's hgatp does not heed TVM; HS mode may not access it if TVM is 1 (8.4.1)",
        lambda c: (
            None
            if c.step.operands.get("csr") == _HGATP and c.step.cause == "illegal_instruction"
            else {}
        ),
    ),
    Difference(
        "qemu",
        "QEMU's WFI is a virtual instruction in VU mode; it is illegal if TW is 1 (8.6.1)",
        lambda c: (
            None
            if c.step.instruction == "WFI"
            and c.step.cause == "illegal_instruction"
            and c.before.get("virt") == 1
            else {}
        ),
    ),
    Difference(
        "qemu",
        "QEMU writes 0 into xtval after EBREAK, which is no guest virtual address, so GVA is 0 "
        "(Vol. II, 3.1.16; 8.2.1)",
        lambda c: _bits_if(
            c.step.cause == "breakpoint", vstval=_ALL, hstatus=_H_GVA, mstatus=_M_GVA
        ),
    ),
    Difference(
        "qemu",
        "QEMU's GVA of a jump to a misaligned address is that of the last translation (8.2.1)",
        lambda c: _bits_if(
            c.step.cause == "instruction_address_misaligned",
            vstval=_ALL,
            hstatus=_H_GVA,
            mstatus=_M_GVA,
        ),
    ),
    Difference(
        "qemu",
        "fields without a meaning here, and WARL fields: QEMU keeps what is written to hstatus, "
        "vsstatus, vstvec, hcounteren, vsatp and hgatp, modes that it lacks too, and nothing that is "
        "written to htinst",
        lambda c: {
            _HSTATUS: {"hstatus": _ALL & ~_HSTATUS_FIELDS},
            _VSSTATUS: {"vsstatus": _ALL & ~_VSSTATUS_FIELDS},
            _VSTVEC: {"vstvec": 3},
            _STVEC: {"vstvec": _ALL} if c.before.get("virt") else {},
            _HCOUNTEREN: {"hcounteren": _ALL & ~7},
            _HENVCFG: {"henvcfg": 1 << 62},
            _HTINST: {"htinst": _ALL},
            _HGATP: {"hgatp": 0xFC00_0000_0000_0003},
            _VSATP: {"vsatp": _ALL} if c.step.after.get("vsatp") == c.before.get("vsatp") else {},
        }.get(c.csr or 0, {}),
    ),
)
