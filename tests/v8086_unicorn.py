"""Runs one instruction in real-address or virtual-8086 mode on Unicorn, which nobody here wrote.

Real-address mode is Unicorn's 16-bit mode. Virtual-8086 mode is entered as on a processor: an IRETD
in ring 0 whose EFLAGS image has VM set. Paging is off, so linear addresses are physical ones.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import unicorn
from unicorn import x86_const

MEMORY = 0x110000  # what programs can reach, in bytes
_ALL = 0x200000
_BOOT, _FRAME, _GDT = 0x180000, 0x181000, 0x182000
_VM = 1 << 17
_FLAT = struct.pack("<3Q", 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF)
_REGISTERS = {
    name: getattr(x86_const, f"UC_X86_REG_{name}")
    for name in ("AX", "CX", "DX", "BX", "SP", "BP", "SI", "DI")
}
_SEGMENTS = {name: getattr(x86_const, f"UC_X86_REG_{name}") for name in ("ES", "CS", "SS", "DS")}


@dataclass(frozen=True, slots=True)
class State:
    """Registers in the order of their numbers; `memory` has what is not 0."""

    registers: tuple[int, ...]  # AX CX DX BX SP BP SI DI
    segments: tuple[int, ...]  # ES CS SS DS
    ip: int
    flags: int
    memory: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What the instruction left; of a trap its vector, and the state before its delivery."""

    vector: int | None
    state: State


class Unicorn:
    """One machine for each mode; `run` may be called any number of times."""

    def __init__(self) -> None:
        self._real = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_16)
        self._protected = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_32)
        self._vector: list[int] = []
        self._written: dict[int, int] = {}
        for machine in (self._real, self._protected):
            machine.mem_map(0, _ALL)
            machine.hook_add(unicorn.UC_HOOK_INTR, self._trapped)
            machine.hook_add(unicorn.UC_HOOK_MEM_WRITE, self._wrote)
        self._protected.mem_write(_GDT, _FLAT)
        self._protected.mem_write(_BOOT, b"\xcf")  # IRETD
        self._to_ring0()
        self._ring0 = self._protected.context_save()
        self._start = self._real.context_save()

    def _trapped(self, machine: unicorn.Uc, vector: int, _: object) -> None:
        self._vector.append(vector)
        machine.emu_stop()

    def _wrote(
        self, machine: unicorn.Uc, access: int, address: int, size: int, value: int, _: object
    ) -> None:
        for offset in range(size):
            self._written[address + offset] = value >> 8 * offset & 0xFF

    def run(self, state: State, virtual: bool) -> Found:
        """One instruction from the state, in virtual-8086 mode (the flags' IOPL counts) or not."""
        machine = self._protected if virtual else self._real
        self._vector.clear()
        self._written.clear()
        machine.ctl_flush_tb()  # or code that was there before is executed
        for address, value in state.memory.items():
            machine.mem_write(address, bytes([value]))
        try:
            if virtual:
                self._enter(state)
                machine.emu_start(_BOOT, 0, count=2)
            else:
                self._load(state)
                machine.emu_start((state.segments[1] << 4) + state.ip, 0, count=1)
        except unicorn.UcError as error:
            if error.errno != unicorn.UC_ERR_INSN_INVALID:
                raise
            self._vector.append(6)
        for address in state.memory.keys() | self._written.keys():
            machine.mem_write(address, b"\0")
        found = self._state(machine, {**state.memory, **self._written})
        return Found(self._vector[0] if self._vector else None, found)

    def _to_ring0(self) -> None:
        machine = self._protected
        machine.reg_write(x86_const.UC_X86_REG_CR0, 0x11)
        machine.reg_write(x86_const.UC_X86_REG_GDTR, (0, _GDT, len(_FLAT) - 1, 0))
        machine.reg_write(x86_const.UC_X86_REG_CS, 8)
        for name in ("SS", "DS", "ES"):
            machine.reg_write(_SEGMENTS[name], 16)

    def _enter(self, state: State) -> None:
        machine = self._protected
        machine.context_restore(self._ring0)
        for name, value in zip(_REGISTERS, state.registers, strict=True):
            machine.reg_write(_REGISTERS[name], value)
        es, cs, ss, ds = state.segments
        frame = (state.ip, cs, state.flags | _VM, state.registers[4], ss, es, ds, 0, 0)
        machine.mem_write(_FRAME, struct.pack("<9I", *frame))
        machine.reg_write(x86_const.UC_X86_REG_ESP, _FRAME)

    def _load(self, state: State) -> None:
        machine = self._real
        machine.context_restore(self._start)
        for name, value in zip(_REGISTERS, state.registers, strict=True):
            machine.reg_write(_REGISTERS[name], value)
        for name, value in zip(_SEGMENTS, state.segments, strict=True):
            machine.reg_write(_SEGMENTS[name], value)
        machine.reg_write(x86_const.UC_X86_REG_EFLAGS, state.flags)

    def _state(self, machine: unicorn.Uc, memory: Mapping[int, int]) -> State:
        return State(
            tuple(machine.reg_read(number) for number in _REGISTERS.values()),
            tuple(machine.reg_read(number) for number in _SEGMENTS.values()),
            machine.reg_read(x86_const.UC_X86_REG_EIP) & 0xFFFF,
            machine.reg_read(x86_const.UC_X86_REG_EFLAGS) & 0x7FFF,
            {address: value for address, value in memory.items() if value},
        )
