"""Spike as an oracle for RISC-V, through the Python bindings of the `spike` package.

Spike runs in a process of its own, since its assertions end the process. Registers are written
directly; what the bindings cannot write is reached by executing instructions of the harness page:
the privilege mode by MRET and an interrupt, memory by LR and SC, the timer by SW. While V is 1, the
numbers of supervisor CSRs name those of VS mode: HS mode's are written before and read afterwards.
"""

import multiprocessing
import re
import subprocess
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.oracle_riscv import (
    CODE_PAGE,
    DATA_PAGES,
    HARNESS_PAGE,
    PAGE_BYTES,
    RAM,
    RAM_BYTES,
    WATCHED_PAGES,
    Case,
    Snapshot,
    background_word,
)
from tests.oracle_riscv_target import GRAIN, RV32, RV64, RV64H, Target

ISA = {
    "rv32": "rv32ima_zicsr_zifencei_zicntr_svade",
    "rv64": "rv64ima_zicsr_zifencei_zicntr_zihpm_svade_sstc",
    "rv64h": "rv64imah_zicsr_zifencei_zicntr_zihpm_svade",
}
ANSWER_SECONDS = 60.0

_MRET, _FENCE_I, _SW_A1_A0 = 0x30200073, 0x0000100F, 0x00B52023
_HARNESS = {HARNESS_PAGE + 4 * i: w for i, w in enumerate((_MRET, _FENCE_I, _SW_A1_A0))}
_AT_MRET, _AT_FENCE_I, _AT_SW = _HARNESS
_CLINT_MSIP, _CLINT_MTIMECMP = 0x0200_0000, 0x0200_4000
_MISA = 0x301
_EXTENSIONS = {
    "rv32": 0x4014_1101, "rv64": 0x8000_0000_0014_1101, "rv64h": 0x8000_0000_0014_1181,
}  # fmt: skip
_MPV = 1 << 39
_SUBSTITUTED = ("stvec", "sscratch", "sepc", "scause", "stval", "satp")
_LOCKS = 0x8080_8080_8080_8080
_WORD = 0xFFFF_FFFF

Answer = tuple[list[Snapshot], dict[int, int]]
"""The snapshot after each step, and the words of watched pages that differ from before."""


class SpikeDied(Exception):
    """The process ended while it ran a case."""


class Spike:
    """A process with one hart. `answers` runs cases."""

    def __init__(self, target: Target) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, target.name), daemon=True)
        self._process.start()
        theirs.close()
        self._receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.join()
        self._connection.close()

    def answers(self, cases: Sequence[Case]) -> list[Answer]:
        """What Spike does in each case."""
        self._connection.send([(dict(c.before), dict(c.memory), c.steps) for c in cases])
        return [self._receive() for _ in cases]

    def _receive(self) -> Any:
        try:
            if self._connection.poll(ANSWER_SECONDS):
                return self._connection.recv()
        except EOFError:
            pass
        raise SpikeDied(f"exit code {self._process.exitcode}")


def _serve(connection: Connection, name: str) -> None:
    (target,) = [target for target in (RV32, RV64, RV64H) if target.name == name]
    hart = _Hart(target)
    connection.send(None)
    while True:
        for before, memory, steps in connection.recv():
            connection.send(hart.run(before, memory, steps))


class _Hart:
    def __init__(self, target: Target) -> None:
        from riscv._riscv import cfg, sim  # absent where there is no Spike

        self._target = target
        layout = [cfg.mem_cfg_t(RAM, RAM_BYTES)]
        made = {
            "cfg": cfg.cfg_t(isa=ISA[target.name], priv="msu", mem_layout=layout),
            "halted": False,
            "plugin_device_factories": [],
            "args": ["none"],
        }
        self._sim = sim.sim_t(**made)
        if target is not RV32:
            with tempfile.TemporaryDirectory() as folder:
                tree = _with_grain(self._sim.get_dts(), Path(folder), target)
                self._sim = sim.sim_t(**made, dtb_file=str(tree))
        self._hart = self._sim.get_core(0)
        self._state, self._mmu = self._hart.state, self._hart.mmu
        for address, word in _HARNESS.items():
            self._put(address, word)
        self._pages = {
            page: [background_word(page + at) for at in range(0, PAGE_BYTES, 4)]
            for page in WATCHED_PAGES
        }
        self._watched = {page + at for page in WATCHED_PAGES for at in range(0, PAGE_BYTES, 4)}
        for page in DATA_PAGES:
            for index, word in enumerate(self._pages[page]):
                self._put(page + 4 * index, word)

    def run(self, before: dict[str, int], memory: dict[int, int], steps: int) -> Answer:
        self._go_to_machine_mode()
        self._hart.put_csr(
            _MISA, _EXTENSIONS[self._target.name]
        )  # the case before may have switched some off
        for address, word in memory.items():
            self._put(address, word)
        self._signals(before["mip"])
        self._step_at(_AT_FENCE_I)
        self._go_to(before)
        for index in range(1, 32):
            self._state.XPR.write(index, self._register(before[f"x{index}"]))
        self._state.pc = self._register(before["pc"])
        snapshots = []
        for _ in range(steps):
            self._hart.step(1)
            snapshots.append(self._snapshot(before))
        virtual = self._state.v
        changed = self._changes(memory)
        if virtual:
            snapshots[-1] |= {name: self._csr(name) for name in _SUBSTITUTED}
        return snapshots, changed

    def _snapshot(self, before: dict[str, int]) -> Snapshot:
        """What can be read now; while V is 1, HS mode's CSRs are what they were."""
        ones = self._target.ones
        snapshot = {"pc": self._state.pc & ones, "priv": self._state.prv}
        if self._target.has_hypervisor:
            snapshot["virt"] = int(self._state.v)
        for index in range(1, 32):
            snapshot[f"x{index}"] = self._state.XPR[index] & ones
        for name in self._target.csr_numbers:
            hidden = self._state.v and name in _SUBSTITUTED
            snapshot[name] = before[name] if hidden else self._csr(name)
        return snapshot

    def _csr(self, name: str) -> int:
        value: int = self._hart.get_csr(self._target.csr_numbers[name])
        return value & self._target.ones

    def _put_csr(self, name: str, value: int) -> None:
        self._hart.put_csr(self._target.csr_numbers[name], value)

    def _changes(self, memory: dict[int, int]) -> dict[int, int]:
        """What the case changed; puts the background back."""
        self._go_to_machine_mode()
        changed: dict[int, int] = {}
        for page, words in self._pages.items():
            for index, word in enumerate(words):
                address = page + 4 * index
                self._compare(address, memory.get(address, word), word, changed)
        for address in memory.keys() - self._watched:
            self._compare(address, memory[address], 0, changed)
        return changed

    def _compare(self, address: int, before: int, rest: int, changed: dict[int, int]) -> None:
        now = self._mmu.load_reserved_32(address) & _WORD
        if now != before:
            changed[address] = now
        if now != rest:
            self._put(address, rest)

    def _go_to_machine_mode(self) -> None:
        """Let an interrupt come, which also ends WFI; in M mode it stays pending."""
        self._unlock()
        if self._state.prv == 3:
            self._hart.put_csr(self._target.csr_numbers["mstatus"], 0)
        for name, value in {"satp": 0, "mideleg": 0, "mtvec": HARNESS_PAGE, "mip": 2}.items():
            self._hart.put_csr(self._target.csr_numbers[name], value)
        self._hart.put_csr(self._target.csr_numbers["mie"], 2)
        self._step_at(_AT_FENCE_I)
        assert self._state.prv == 3
        self._hart.put_csr(self._target.csr_numbers["mstatus"], 0)
        self._hart.put_csr(self._target.csr_numbers["mie"], 0)

    def _go_to(self, before: dict[str, int]) -> None:
        """Into the mode, with every CSR as it was before."""
        mode, virtual = before["priv"], before.get("virt", 0)
        for name in self._target.csr_numbers:
            self._put_csr(name, before[name] if name not in ("mie", "mstatus") else 0)
        self._put_csr("mstatus", mode << 11 | _MPV * virtual)
        self._put_csr("mepc", CODE_PAGE)
        self._step_at(_AT_MRET)
        assert self._state.prv == mode and self._state.v == bool(virtual)
        for name in self._target.csr_numbers:
            if not (virtual and name in _SUBSTITUTED):
                self._put_csr(name, before[name])

    def _signals(self, pending: int) -> None:
        self._store(_CLINT_MSIP, pending >> 3 & 1)
        for half in (0, 4):
            self._store(_CLINT_MTIMECMP + half, 0 if pending >> 7 & 1 else _WORD)

    def _store(self, address: int, word: int) -> None:
        self._state.XPR.write(10, address)
        self._state.XPR.write(11, self._register(word))
        self._step_at(_AT_SW)

    def _put(self, address: int, word: int) -> None:
        self._mmu.load_reserved_32(address)
        assert self._mmu.store_conditional_32(address, word)

    def _unlock(self) -> None:
        """PMP entries that are locked stay so until reset."""
        numbers = self._target.csr_numbers
        words = [numbers[name] for name in ("pmpcfg0", "pmpcfg2") if name in numbers]
        if any(self._hart.get_csr(number) & _LOCKS for number in words):
            self._hart.reset()

    def _register(self, word: int) -> int:
        """Spike keeps 32-bit registers sign-extended to 64 bits."""
        short = self._target.xlen == 32 and word >> 31
        return word | 0xFFFF_FFFF_0000_0000 if short else word

    def _step_at(self, pc: int) -> None:
        self._state.pc = self._register(pc)
        self._hart.step(1)


def _with_grain(source: str, folder: Path, target: Target) -> Path:
    """The device tree with a coarser grain of PMP, or without entries, and Sv39 only, compiled."""
    properties = {"riscv,pmpgranularity": f"<{GRAIN:#x}>", "mmu-type": '"riscv,sv39"'}
    if not target.has_protection:
        properties["riscv,pmpregions"] = "<0>"
    for name, value in properties.items():
        source, count = re.subn(f"{name} = [^;]*;", f"{name} = {value};", source)
        assert count == 1, name
    tree = folder / "tree.dtb"
    command = ["dtc", "-I", "dts", "-O", "dtb", "-q", "-o", str(tree)]
    subprocess.run(command, input=source.encode(), check=True)
    return tree
