"""QEMU's `virt` machine as an oracle for RISC-V, through its GDB stub.

QEMU sets A and D bits by itself, so `prepared` gives every leaf of a case's page tables both. Its PMP
has a grain of 4 bytes, and entries stay locked until it is restarted: `prepared` locks none. Its timer
runs by the clock: Sstc is left out.

The stub does not show V, and while V is 1 the numbers of supervisor CSRs name those of VS mode. So a case
in VS or VU mode is entered by MRET, and with the hypervisor extension each case, of one step, is left by
an ECALL of M mode, which tells V in mstatus.MPV and gives HS mode's CSRs back.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import TracebackType
from typing import Self

from tests.gdb_remote import QemuGdb
from tests.oracle_riscv import (
    CODE_PAGE,
    DATA_PAGES,
    HARNESS_PAGE,
    PAGE_BYTES,
    WATCHED_PAGES,
    Case,
    Snapshot,
    background_word,
)
from tests.oracle_riscv_target import PROTECTED, RV32, Target, entry

PROGRAMS = {
    "rv32": "qemu-system-riscv32", "rv64": "qemu-system-riscv64", "rv64h": "qemu-system-riscv64",
}  # fmt: skip
GUEST_PHYSICAL_BITS = 40  # QEMU 7.2 takes bit 40 of an address in Sv39x4 for a sign
_ABSENT = ("c", "f", "d", "v", "zba", "zbb", "zbc", "zbs", "sstc")
_NAMES = (
    ["zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "fp", "s1"]
    + [f"a{n}" for n in range(8)]
    + [f"s{n}" for n in range(2, 12)]
    + [f"t{n}" for n in range(3, 7)]
)
_SW_A1_A0 = 0x00B52023
_SC_A0 = 0x1805252F  # sc.w a0, zero, (a0)
_MRET, _ECALL = 0x30200073, 0x00000073
_HARNESS = b"".join(word.to_bytes(4, "little") for word in (_SW_A1_A0, _SC_A0, _MRET, _ECALL))
_AT_MRET, _AT_ECALL = HARNESS_PAGE + 8, HARNESS_PAGE + 12
_MPV, _OF_VS = 1 << 39, 0xC_0122  # what mstatus shows of vsstatus while V is 1
_SUBSTITUTED = ("stvec", "sscratch", "sepc", "scause", "stval", "satp")
_PATIENCE_SECONDS = 10.0
_CLINT_MSIP, _CLINT_MTIMECMP = 0x0200_0000, 0x0200_4000
_V, _RWX, _A, _D = 1, 0b1110, 1 << 6, 1 << 7
_LOCKS = 0x8080_8080_8080_8080
_UNSUPPORTED = ("stimecmp",)

Answer = tuple[list[Snapshot], dict[int, int]]
"""The snapshot after each step, and the words of watched pages that differ from before."""


def prepared(case: Case, target: Target) -> Case:
    """The case with A and D set in every leaf entry of its page tables, without Sstc and locks."""
    step = target.xlen // 32 * 4
    memory = {
        a: w | _A | _D if a % step == 0 and not _watched(a) and w & _V and w & _RWX else w
        for a, w in case.memory.items()
    }
    before = dict(case.before)
    if target.has_protection:
        before |= {"menvcfg": 0, "stimecmp": 0}
        before |= {name: before[name] & ~_LOCKS for name in ("pmpcfg0", "pmpcfg2")}
        for number in range(PROTECTED):
            name = f"pmpaddr{number}"
            before[name] = target.reads(name, before[name], entry(before, number))
    steps = 1 if target.has_hypervisor else case.steps
    return replace(case, memory=memory, before=before, steps=steps)


class Qemu:
    """One emulator; `answer` runs a case."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._csrs = [name for name in target.csr_numbers if name not in _UNSUPPORTED]
        absent = _ABSENT if target.has_protection else ("pmp", *_ABSENT)
        cpu = f"rv{target.xlen},h={str(target.has_hypervisor).lower()},"
        cpu += ",".join(f"{extension}=false" for extension in absent)
        machine = ["-M", "virt", "-bios", "none", "-m", "32M", "-cpu", cpu]
        self._gdb = QemuGdb(PROGRAMS[target.name], machine)
        self._pages = {
            page: b"".join(
                background_word(page + at).to_bytes(4, "little") for at in range(0, PAGE_BYTES, 4)
            )
            for page in WATCHED_PAGES
        }
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._gdb.close()

    def answer(self, case: Case, patience_seconds: float = _PATIENCE_SECONDS) -> Answer:
        """What QEMU does. No step may go to sleep."""
        gdb = self._gdb
        self._signals(case.before["mip"])
        gdb.write_places((a, word.to_bytes(4, "little")) for a, word in case.memory.items())
        registers = {_NAMES[index]: case.before[f"x{index}"] for index in range(1, 32)}
        fixed = self._target.fixed
        csrs = {name: case.before[name] | fixed.get(name, 0) for name in self._csrs}
        state = {"priv": case.before["priv"], "pc": case.before["pc"]}
        gdb.write_many({"priv": 3, "mie": 0, "satp": 0})  # another satp flushes the TLB
        if self._target is RV32:
            gdb.write("menvcfgh", 0)
        if self._target.has_hypervisor and gdb.read("htinst"):
            self._clear_htinst()
        if case.before.get("virt"):
            self._enter(case.before, csrs)
        else:
            gdb.write_many({**csrs, **state})
        gdb.write_many({**registers, "pc": case.before["pc"]})
        snapshots = []
        for _ in range(case.steps):
            if not gdb.step(patience_seconds):
                self._restart()
                raise AssertionError("QEMU sleeps, our machine does not")
            snapshots.append(self._left() if self._target.has_hypervisor else self._snapshot())
        changes = self._changes(case)
        if any(snapshots[-1].get(name, 0) & _LOCKS for name in ("pmpcfg0", "pmpcfg2")):
            self._restart()
        return snapshots, changes

    def sleeps(self, case: Case) -> bool:
        """Whether the first step goes to sleep; the emulator is replaced if so."""
        try:
            self.answer(case, patience_seconds=0.5)
        except AssertionError:
            return True
        return False

    def _begin(self) -> None:
        self._gdb.use_physical_memory(True)
        self._gdb.take_interrupts_while_stepping()
        for page in DATA_PAGES:
            self._gdb.write_memory(page, self._pages[page])
        self._signals_up = -1

    def _restart(self) -> None:
        self._gdb.restart()
        self._begin()

    def _signals(self, pending: int) -> None:
        """Set MSIP and MTIP by stores, and let an SC drop any reservation."""
        # A misaligned store below RAM, which QEMU does, may have reached the page.
        self._gdb.write_memory(HARNESS_PAGE, _HARNESS)
        self._gdb.write_many({"priv": 3, "mstatus": 0, "mie": 0})
        self._gdb.write_many({"a0": HARNESS_PAGE + 0x800, "pc": HARNESS_PAGE + 4})
        assert self._gdb.step(_PATIENCE_SECONDS)
        if pending & 0x88 == self._signals_up:
            return
        self._signals_up = pending & 0x88
        timer = 0 if pending & 0x80 else 0xFFFF_FFFF
        stores = {_CLINT_MSIP: pending >> 3 & 1, _CLINT_MTIMECMP: timer, _CLINT_MTIMECMP + 4: timer}
        for address, word in stores.items():
            self._gdb.write_many({"a0": address, "a1": word, "pc": HARNESS_PAGE})
            assert self._gdb.step(_PATIENCE_SECONDS)

    def _clear_htinst(self) -> None:
        """By a trap into HS mode: QEMU ignores writes."""
        self._gdb.write_many({"medeleg": 1 << 9, "stvec": HARNESS_PAGE, "priv": 1})
        self._gdb.write("pc", _AT_ECALL)
        assert self._gdb.step(_PATIENCE_SECONDS)
        self._gdb.write("priv", 3)
        assert self._gdb.read("htinst") == 0, "ECALL did not trap into HS mode"

    def _enter(self, before: Mapping[str, int], csrs: Mapping[str, int]) -> None:
        """Into VS or VU mode; what MRET changes is written again."""
        gdb = self._gdb
        mstatus = csrs["mstatus"] & ~(3 << 11) | before["priv"] << 11 | _MPV
        gdb.write_many({**csrs, "mie": 0, "mstatus": mstatus, "mepc": CODE_PAGE, "pc": _AT_MRET})
        assert gdb.step(_PATIENCE_SECONDS)
        assert gdb.read("pc") == CODE_PAGE, "MRET trapped"
        own = gdb.read("mstatus") & _OF_VS
        rest = {
            "mstatus": csrs["mstatus"] & ~_OF_VS | own,
            "mepc": csrs["mepc"],
            "mie": csrs["mie"],
        }
        gdb.write_many(rest)

    def _left(self) -> Snapshot:
        """The snapshot, V with it; M mode is entered."""
        gdb = self._gdb
        found = self._snapshot()
        shown = {name: found[name] for name in _SUBSTITUTED}
        quiet = {"mie": 0, "hgatp": 0, "satp": 0, "mtvec": HARNESS_PAGE, "priv": 3, "pc": _AT_ECALL}
        gdb.write_many(quiet)
        assert gdb.step(_PATIENCE_SECONDS)
        assert gdb.read("pc") == HARNESS_PAGE, "ECALL did not trap"
        status = gdb.read("mstatus")
        found["virt"] = status >> 39 & 1
        if found["virt"]:
            found["vsstatus"] = found["mstatus"] & _OF_VS | self._target.fixed["vsstatus"]
            found["mstatus"] = found["mstatus"] & ~_OF_VS | status & _OF_VS
            found |= {f"vs{name.removeprefix('s')}": value for name, value in shown.items()}
            found |= gdb.read_many(_SUBSTITUTED)
        return found

    def _snapshot(self) -> Snapshot:
        mode = self._gdb.read("priv")
        self._gdb.write("priv", 3)  # TVM would hide satp
        values = self._gdb.read_many(["pc", *_NAMES[1:], *self._csrs])
        self._gdb.write("priv", mode)
        values["priv"] = mode
        values |= dict.fromkeys(self._target.csr_numbers.keys() - self._csrs, 0)
        for index, name in enumerate(_NAMES):
            if index:
                values[f"x{index}"] = values.pop(name)
        return values

    def _changes(self, case: Case) -> dict[int, int]:
        """What the case changed; puts the background back."""
        changed: dict[int, int] = {}
        images = self._gdb.read_places(range(page, page + PAGE_BYTES) for page in self._pages)
        for (page, content), now in zip(self._pages.items(), images, strict=True):
            if now == content:
                continue
            for at in range(0, PAGE_BYTES, 4):
                rest = content[at : at + 4]
                before = case.memory.get(page + at, int.from_bytes(rest, "little"))
                self._compare(page + at, now[at : at + 4], before, rest, changed)
        others = [address for address in case.memory if not _watched(address)]
        words = self._gdb.read_places(range(address, address + 4) for address in others)
        for address, word in zip(others, words, strict=True):
            self._compare(address, word, case.memory[address], bytes(4), changed)
        return changed

    def _compare(
        self, address: int, now: bytes, before: int, rest: bytes, changed: dict[int, int]
    ) -> None:
        if int.from_bytes(now, "little") != before:
            changed[address] = int.from_bytes(now, "little")
        if now != rest:
            self._gdb.write_memory(address, rest)


def _watched(address: int) -> bool:
    return any(page <= address < page + PAGE_BYTES for page in WATCHED_PAGES)
