"""System/370 twice: as described, and in a Hercules that runs many cases without stopping.

A small driver in the simulated machine takes a case after the other from memory: it fills a window, a
segment and a page table, keys and registers, and loads the PSW of the case. What comes of it is an
interruption; all new PSWs lead back to the driver, which stores what it finds.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spec.encoding import Codec
from spec.ir import Isa
from spec.machine import Machine
from spec.state import MachineState
from tests.hercules import Hercules

MAIN_STORAGE = 0x20_0000
WINDOW, WINDOW_BYTES = 0x2780, 256  # over the boundary of blocks 4 and 5
TABLES, TABLE_BYTES = 0x3000, 128  # 16 segments, 32 pages
PAGE_TABLE = TABLES + 64
KEYED = (4, 5, 6)  # blocks with keys of the case
HANDLER, START = 0x1_0000, 0x1_0100
_SAVED, _CONSTANTS = 0xE00, 0xF00
_RECORDS, _RECORD = 0x2_0000, 528
_RESULTS, _RESULT = 0x12_0000, 672
_FIXED = range(0x18, 0xA8)
_INTERVAL_TIMER = range(0x50, 0x54)
NEW_PSW = 0x0008_0000_0001_0000
_DONE = 0x000A_0000_0000_D0DE
_MOST = 500
_PATIENCE = (0.5, 2.0, 8.0)  # seconds
_HERCULES = Hercules("S/370", ("CPUMODEL 3033", "DIAG8CMD DISABLE"))
_MOST_STEPS = 80

_PSW_PARTS = {"SM": (56, 8), "KEY": (52, 4), "EC": (51, 1), "MCK": (50, 1), "WAIT": (49, 1)}


@dataclass(frozen=True, slots=True)
class Case:
    gr: tuple[int, ...]
    cr: tuple[int, ...]
    psw: int
    keys: tuple[int, ...]  # of the blocks `KEYED`: access-control bits and fetch protection
    window: bytes
    tables: bytes

    def record(self) -> bytes:
        return (
            struct.pack(">16IQ", *self.gr, self.psw)
            + bytes(key << 3 for key in self.keys)
            + bytes(5)
            + struct.pack(">16I", *self.cr)
            + self.window
            + self.tables
        )


@dataclass(frozen=True, slots=True)
class After:
    """What an interruption leaves: registers, keys, and the memory that counts.

    `fetching`: the instruction could not be fetched; its length, and with it the address in the old
    PSW, are then left open (GA22-7000, "instruction-length code").
    """

    gr: tuple[int, ...]
    cr: tuple[int, ...]
    keys: tuple[int, ...]
    fixed: bytes
    window: bytes
    tables: bytes
    fetching: bool = False

    def differences(self, other: "After") -> dict[str, str]:
        found = {}
        for kind in ("gr", "cr", "keys"):
            for n, (mine, theirs) in enumerate(
                zip(getattr(self, kind), getattr(other, kind), strict=True)
            ):
                if mine != theirs:
                    found[f"{kind}{n}"] = f"described {mine:x}, Hercules {theirs:x}"
        for kind, start in (("fixed", _FIXED.start), ("window", WINDOW), ("tables", TABLES)):
            for n, (mine, theirs) in enumerate(
                zip(getattr(self, kind), getattr(other, kind), strict=True)
            ):
                if (mine ^ theirs) & ~self._left_open(start + n):
                    found[f"[{start + n:x}]"] = f"described {mine:02x}, Hercules {theirs:02x}"
        return found

    def _left_open(self, place: int) -> int:
        """Bits of a byte that the manual leaves open, or that time decides."""
        if place in _INTERVAL_TIMER or (self.fetching and place in (0x2F, 0x8D)):
            return 0xFF
        if self.fetching and place == 0x2C and not self.fixed[0x29 - _FIXED.start] & 8:
            return 0xC0
        return {0x92: 0x0F, 0x93: 0xFF}.get(place, 0)  # within the page


class Described:
    """The description's machine."""

    def __init__(self, isa: Isa) -> None:
        self.isa = isa
        self.codec = Codec(isa)
        self._base = MachineState(isa)
        for new in range(0x58, 0x80, 8):
            self._base.load_cells(new, NEW_PSW.to_bytes(8, "big"))

    def state(self, case: Case) -> MachineState:
        state = self._base.copy()
        state.own_array("GR")[:] = case.gr
        for number, value in enumerate(case.cr):
            self._set_control(state, number, value)
        keys = state.own_array("storage_key")
        for block, key in zip(KEYED, case.keys, strict=True):
            keys[block] = key << 2
        psw = case.psw
        values = {name: psw >> low & (1 << width) - 1 for name, (low, width) in _PSW_PARTS.items()}
        values |= {"P": psw >> 48 & 1, "IA": psw & 0xFF_FFFF, "E.size": MAIN_STORAGE}
        if values["EC"]:
            values |= {"AS": psw >> 47 & 1, "CC": psw >> 44 & 3, "PM": psw >> 40 & 15}
        else:
            values |= {"CC": psw >> 28 & 3, "PM": psw >> 24 & 15}
        state.update(values)
        state.load_cells(WINDOW, case.window)
        state.load_cells(TABLES, case.tables)
        return state

    def run(self, case: Case) -> After | None:
        """Until an interruption; None if there is none for long."""
        machine = Machine(self.isa, self.state(case), self.codec.decode)
        for _ in range(_MOST_STEPS):
            step = machine.step()
            if machine.pc == HANDLER:
                fetching = step.decoded is None and step.interrupt is None
                return self._after(machine.state, fetching)
        return None

    def _fields(self, number: int) -> list[tuple[str, int]]:
        """The elements of a control register, the lowest first."""
        names = [e for e in self.isa.elements if e.name.startswith(f"CR{number}.")]
        return [(e.name, e.width) for e in reversed(names)]

    def _set_control(self, state: MachineState, number: int, value: int) -> None:
        if f"CR{number}" in state.scalars:
            state.scalars[f"CR{number}"] = value
        elif fields := self._fields(number):
            for name, width in fields:
                state.scalars[name] = value & (1 << width) - 1
                value >>= width
        else:
            state.own_array("CR")[number] = value

    def _control(self, state: MachineState, number: int) -> int:
        if f"CR{number}" in state.scalars:
            return state.scalars[f"CR{number}"]
        value, shift = 0, 0
        for name, width in self._fields(number):
            value |= state.scalars[name] << shift
            shift += width
        return value if shift else state.arrays["CR"][number]

    def _after(self, state: MachineState, fetching: bool) -> After:
        def cells(start: int, count: int) -> bytes:
            return bytes(state.cells[start + i] for i in range(count))

        return After(
            tuple(state.arrays["GR"]),
            tuple(self._control(state, n) for n in range(16)),
            tuple(state.arrays["storage_key"][block] >> 2 for block in KEYED),
            cells(_FIXED.start, len(_FIXED)),
            cells(WINDOW, WINDOW_BYTES),
            cells(TABLES, TABLE_BYTES),
            fetching,
        )


# --------------------------------------------------------------------------- the driver


def _rr(code: int, first: int, second: int) -> bytes:
    return bytes([code, first << 4 | second])


def _rx(code: int, register: int, base: int, displacement: int, index: int = 0) -> bytes:
    return struct.pack(">BBH", code, register << 4 | index, base << 12 | displacement)


def _ss(code: int, length: int, to: tuple[int, int], source: tuple[int, int]) -> bytes:
    ends = (base << 12 | displacement for base, displacement in (to, source))
    return struct.pack(">BBHH", code, length - 1, *ends)


_L, _ST, _LA, _IC, _STC = 0x58, 0x50, 0x41, 0x43, 0x42
_LM, _STM, _LCTL, _STCTL, _LPSW = 0x98, 0x90, 0xB7, 0xB6, 0x82
_MVC, _XC, _SSK, _ISK = 0xD2, 0xD7, 0x08, 0x09
_RESULT_AT, _WINDOW_AT, _TABLES_AT, _RECORD_AT, _LEFT, _START_AT = range(
    _CONSTANTS, _CONSTANTS + 24, 4
)
_BLOCKS, _DONE_AT, _PSW_AT = _CONSTANTS + 24, _CONSTANTS + 40, _CONSTANTS + 48


def _handler() -> bytes:
    """Stores what there is, and goes on to the next case or to an end."""
    code = _rx(_STM, 0, 0, _SAVED, 15)
    for register, place in ((1, _RESULT_AT), (2, _WINDOW_AT), (3, _TABLES_AT), (4, _RECORD_AT)):
        code += _rx(_L, register, 0, place)
    code += _ss(_MVC, 64, (1, 0), (0, _SAVED))
    code += _ss(_MVC, len(_FIXED), (1, 64), (0, _FIXED.start))
    code += _rx(_STCTL, 0, 1, 208, 15)
    code += _ss(_MVC, WINDOW_BYTES, (1, 272), (2, 0))
    code += _ss(_MVC, TABLE_BYTES, (1, 528), (3, 0))
    for number in range(len(KEYED)):
        code += _rx(_L, 5, 0, _BLOCKS + 4 * number) + _rr(_ISK, 6, 5)
        code += _rx(_STC, 6, 1, 656 + number)
    code += _rx(_LA, 1, 1, _RESULT) + _rx(_ST, 1, 0, _RESULT_AT)
    code += _rx(_LA, 4, 4, _RECORD) + _rx(_ST, 4, 0, _RECORD_AT)
    code += _rx(_L, 8, 0, _START_AT) + _rx(_L, 7, 0, _LEFT)
    code += _rr(0x06, 7, 0) + _rx(_ST, 7, 0, _LEFT)  # BCTR
    code += _rr(0x12, 7, 7) + _rr(0x07, 6, 8)  # LTR, BCR if not zero
    return code + _rx(_LPSW, 0, 0, _DONE_AT)


def _loader() -> bytes:
    """Makes the state of a case and starts it."""
    code = b""
    for register, place in ((2, _WINDOW_AT), (3, _TABLES_AT), (4, _RECORD_AT)):
        code += _rx(_L, register, 0, place)
    code += _ss(_MVC, WINDOW_BYTES, (2, 0), (4, 144))
    code += _ss(_MVC, TABLE_BYTES, (3, 0), (4, 400))
    code += _ss(_XC, 0x40 - 0x18, (0, 0x18), (0, 0x18)) + _ss(
        _XC, 0x58 - 0x40, (0, 0x40), (0, 0x40)
    )
    code += _ss(_XC, 0x28, (0, 0x80), (0, 0x80))
    for number in range(len(KEYED)):
        code += _rx(_L, 5, 0, _BLOCKS + 4 * number) + _rx(_IC, 6, 4, 72 + number)
        code += _rr(_SSK, 6, 5)
    code += _rx(_LCTL, 0, 4, 80, 15) + bytes.fromhex("B20D0000")  # PTLB
    code += _ss(_MVC, 8, (0, _PSW_AT), (4, 64))
    return code + _rx(_LM, 0, 4, 0, 15) + _rx(_LPSW, 0, 0, _PSW_AT)


def _image(cases: Sequence[Case]) -> bytes:
    memory = bytearray(_RECORDS + _RECORD * len(cases))
    for new in range(0x58, 0x80, 8):
        memory[new : new + 8] = NEW_PSW.to_bytes(8, "big")
    words = (_RESULTS, WINDOW, TABLES, _RECORDS, len(cases), START, *(b << 11 for b in KEYED), 0)
    memory[_CONSTANTS:_DONE_AT] = struct.pack(">10I", *words)
    memory[_DONE_AT : _DONE_AT + 8] = _DONE.to_bytes(8, "big")
    for at, code in ((HANDLER, _handler()), (START, _loader())):
        memory[at : at + len(code)] = code
    for number, case in enumerate(cases):
        at = _RECORDS + _RECORD * number
        memory[at : at + _RECORD] = case.record()
    return bytes(memory)


def hercules(cases: Sequence[Case], folder: Path) -> Iterator[After]:
    """What comes of each case in Hercules; at most `_MOST` at a time."""
    for start in range(0, len(cases), _MOST):
        batch = cases[start : start + _MOST]
        saved = range(_RESULTS, _RESULTS + _RESULT * len(batch))
        for patience in _PATIENCE:
            said, results = _HERCULES.run(folder, _image(batch), START, saved, patience)
            if "D0DE" in said.upper() and results:
                break
        assert "D0DE" in said.upper() and results, said[-3000:]
        yield from _results(len(batch), results)


def _results(count: int, content: bytes) -> Iterator[After]:
    for number in range(count):
        part = content[_RESULT * number : _RESULT * (number + 1)]
        yield After(
            struct.unpack(">16I", part[:64]),
            struct.unpack(">16I", part[208:272]),
            tuple(key >> 3 for key in part[656:659]),
            part[64:208],
            part[272:528],
            part[528:656],
        )
