"""The registers that the RISC-V oracle tests compare: RV32, RV64, and RV64 with the hypervisor extension.

Where the bits of a CSR lie is said here once more, apart from the descriptions under test.
"""

from collections.abc import Mapping
from dataclasses import dataclass

Layout = Mapping[str, tuple[tuple[str, int, int], ...]]
"""Where the description's elements lie in each CSR: name, lowest bit, width."""

_INTERRUPTS = (("SSI", 1), ("MSI", 3), ("STI", 5), ("MTI", 7), ("SEI", 9), ("MEI", 11))
_STATUS = (
    ("SIE", 1, 1), ("MIE", 3, 1), ("SPIE", 5, 1), ("MPIE", 7, 1), ("SPP", 8, 1), ("MPP", 11, 2),
    ("MPRV", 17, 1), ("SUM", 18, 1), ("MXR", 19, 1), ("TVM", 20, 1), ("TW", 21, 1), ("TSR", 22, 1),
)  # fmt: skip
_COUNTERS = (("CY", 0, 1), ("TM", 1, 1), ("IR", 2, 1))
_WHOLE = ("medeleg", "mepc", "sepc", "mcause", "scause", "mtval", "stval", "mscratch", "sscratch")
_NUMBERS = {
    "stvec": 0x105, "scounteren": 0x106, "senvcfg": 0x10A, "sscratch": 0x140,
    "sepc": 0x141, "scause": 0x142, "stval": 0x143, "satp": 0x180, "mstatus": 0x300,
    "medeleg": 0x302, "mideleg": 0x303, "mie": 0x304, "mtvec": 0x305, "mcounteren": 0x306,
    "menvcfg": 0x30A, "mcountinhibit": 0x320, "mscratch": 0x340, "mepc": 0x341, "mcause": 0x342,
    "mtval": 0x343, "mip": 0x344,
}  # fmt: skip
_RIGHTS = (("R", 0, 1), ("W", 1, 1), ("X", 2, 1), ("A", 3, 2), ("L", 7, 1))
PROTECTED = 16  # entries of physical memory protection
GRAIN = 0x1000
_NAPOT, _BELOW_GRAIN = 3, 9


@dataclass(frozen=True, slots=True)
class Target:
    """One width of RISC-V: how long a register is, which CSRs are compared and where they lie."""

    name: str
    xlen: int
    csr_numbers: Mapping[str, int]  # in an order in which an oracle can be given values
    layout: Layout
    fixed: Mapping[str, int]  # bits that always read 1

    @property
    def ones(self) -> int:
        return (1 << self.xlen) - 1

    @property
    def has_hypervisor(self) -> bool:
        return "hstatus" in self.csr_numbers

    @property
    def has_protection(self) -> bool:
        return "pmpcfg0" in self.csr_numbers

    def reads(self, csr: str, value: int, configuration: int) -> int:
        """What a CSR reads that was given a value; `configuration`: of its PMP entry, if it is
        an address."""
        if not csr.startswith("pmpaddr"):
            return value | self.fixed.get(csr, 0)
        below = (1 << _BELOW_GRAIN) - 1
        return value | below if configuration >> 3 & 3 == _NAPOT else value & ~(2 * below + 1)


def entry(snapshot: Mapping[str, int], number: int) -> int:
    """The configuration of a PMP entry, 8 bits."""
    return snapshot[f"pmpcfg{number // 8 * 2}"] >> 8 * (number % 8) & 0xFF


def _layout(xlen: int) -> dict[str, tuple[tuple[str, int, int], ...]]:
    return {
        "mstatus": tuple((f"mstatus.{name}", low, width) for name, low, width in _STATUS),
        "mie": tuple((f"mie.{name}E", low, 1) for name, low in _INTERRUPTS),
        "mip": (
            ("mip.SSIP", 1, 1), ("msip", 3, 1), ("mip.STIP", 5, 1), ("mtip", 7, 1),
            ("mip.SEIP", 9, 1),
        ),
        "mideleg": (("mideleg.SSI", 1, 1), ("mideleg.STI", 5, 1), ("mideleg.SEI", 9, 1)),
        "mtvec": (("mtvec.MODE", 0, 1), ("mtvec.BASE", 2, xlen - 2)),
        "stvec": (("stvec.MODE", 0, 1), ("stvec.BASE", 2, xlen - 2)),
        "mcounteren": tuple((f"mcounteren.{name}", low, width) for name, low, width in _COUNTERS),
        "scounteren": tuple((f"scounteren.{name}", low, width) for name, low, width in _COUNTERS),
        "mcountinhibit": (("mcountinhibit.CY", 0, 1), ("mcountinhibit.IR", 2, 1)),
        "menvcfg": (("menvcfg.FIOM", 0, 1),),
        "senvcfg": (("senvcfg.FIOM", 0, 1),),
        **{name: ((name, 0, xlen),) for name in _WHOLE},
    }  # fmt: skip


RV32 = Target(
    "rv32",
    32,
    _NUMBERS,
    {**_layout(32), "satp": (("satp.PPN", 0, 22), ("satp.ASID", 22, 9), ("satp.MODE", 31, 1))},
    {},
)
RV64 = Target(
    "rv64",
    64,
    {
        **_NUMBERS,
        "stimecmp": 0x14D,
        **{f"pmpaddr{n}": 0x3B0 + n for n in range(PROTECTED)},
        "pmpcfg0": 0x3A0,
        "pmpcfg2": 0x3A2,
    },
    {
        **_layout(64),
        "menvcfg": (("menvcfg.FIOM", 0, 1), ("menvcfg.STCE", 63, 1)),
        "satp": (("satp.PPN", 0, 44), ("satp.ASID", 44, 16), ("satp.MODE", 63, 1)),
        "stimecmp": (("stimecmp", 0, 64),),
        **{
            f"pmpaddr{n}": ((f"pmpaddr[{n}]", _BELOW_GRAIN, 54 - _BELOW_GRAIN),)
            for n in range(PROTECTED)
        },
        **{
            f"pmpcfg{2 * n}": tuple(
                (f"pmpcfg.{name}[{8 * n + k}]", 8 * k + low, width)
                for k in range(8)
                for name, low, width in _RIGHTS
            )
            for n in range(PROTECTED // 8)
        },
    },
    {"mstatus": 0xA_0000_0000},
)

_VS_INTERRUPTS = (("VSSI", 2), ("VSTI", 6), ("VSEI", 10))
_SATP = (("PPN", 0, 44), ("ASID", 44, 16), ("MODE", 63, 1))
_VS_STATUS = tuple(field for field in _STATUS if field[0] in ("SIE", "SPIE", "SPP", "SUM", "MXR"))
_H_STATUS = (
    ("GVA", 6, 1), ("SPV", 7, 1), ("SPVP", 8, 1), ("HU", 9, 1), ("VTVM", 20, 1), ("VTW", 21, 1),
    ("VTSR", 22, 1),
)  # fmt: skip
_WHOLE_H = (
    "hedeleg", "htimedelta", "htval", "htinst", "mtval2", "mtinst", "vsepc", "vscause", "vstval",
    "vsscratch",
)  # fmt: skip
_UNPROTECTED = {
    name: number
    for name, number in RV64.csr_numbers.items()
    if not name.startswith(("pmpaddr", "pmpcfg", "stimecmp"))
}
# Without Sstc: the oracles lack it, or keep vstimecmp's signal where hvip's is.
RV64H = Target(
    "rv64h",
    64,
    {
        **_UNPROTECTED,
        "hstatus": 0x600,
        "hedeleg": 0x602,
        "hideleg": 0x603,
        "htimedelta": 0x605,
        "hcounteren": 0x606,
        "henvcfg": 0x60A,
        "htval": 0x643,
        "hvip": 0x645,
        "htinst": 0x64A,
        "hgatp": 0x680,
        "mtinst": 0x34A,
        "mtval2": 0x34B,
        "vsstatus": 0x200,
        "vstvec": 0x205,
        "vsscratch": 0x240,
        "vsepc": 0x241,
        "vscause": 0x242,
        "vstval": 0x243,
        "vsatp": 0x280,
    },
    {
        **{name: fields for name, fields in RV64.layout.items() if name in _UNPROTECTED},
        "mstatus": (*RV64.layout["mstatus"], ("mstatus.GVA", 38, 1), ("mstatus.MPV", 39, 1)),
        "mie": (*RV64.layout["mie"], *((f"mie.{name}E", low, 1) for name, low in _VS_INTERRUPTS)),
        "mip": (*RV64.layout["mip"], *((f"hvip.{name}", low, 1) for name, low in _VS_INTERRUPTS)),
        "hvip": tuple((f"hvip.{name}", low, 1) for name, low in _VS_INTERRUPTS),
        "hideleg": tuple((f"hideleg.{name}", low, 1) for name, low in _VS_INTERRUPTS),
        "hstatus": tuple((f"hstatus.{name}", low, width) for name, low, width in _H_STATUS),
        "vsstatus": tuple((f"vsstatus.{name}", low, width) for name, low, width in _VS_STATUS),
        "vstvec": (("vstvec.MODE", 0, 1), ("vstvec.BASE", 2, 62)),
        "hcounteren": tuple((f"hcounteren.{name}", low, width) for name, low, width in _COUNTERS),
        "henvcfg": (("henvcfg.FIOM", 0, 1), ("henvcfg.STCE", 63, 1)),
        "vsatp": tuple((f"vsatp.{name}", low, width) for name, low, width in _SATP),
        "hgatp": (("hgatp.PPN", 2, 42), ("hgatp.VMID", 44, 14), ("hgatp.MODE", 63, 1)),
        **{name: ((name, 0, 64),) for name in _WHOLE_H},
    },
    {
        "mstatus": 0xA_0000_0000,
        "mideleg": 0x444,
        "hstatus": 0x2_0000_0000,
        "vsstatus": 0x2_0000_0000,
    },
)
