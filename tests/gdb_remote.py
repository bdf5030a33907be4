"""A client of the GDB remote serial protocol that drives one `qemu-system-*` process.

    with QemuGdb("qemu-system-riscv32", ["-M", "virt", "-bios", "none"]) as qemu:
        qemu.write_memory(0x80000000, code)
        qemu.write("pc", 0x80000000)
        if qemu.step():
            print(qemu.read("a0"))

The processor is stopped whenever no call is under way. Register names are those of the target's
XML description; a target without one (mips, sparc ...) names them by number, `"0"`, `"1"` ..., if
`flat_register_bytes` says how wide the registers of its `g` packet are.

Several requests cost one round trip with `exchange`, `read_many`, `write_many`, `read_places` and
`write_places`.
"""

import re
import select
import shutil
import socket
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

_START_SECONDS = 10.0
_REPLY_SECONDS = 10.0
_CHUNK_BYTES = 1024
_PACKET = re.compile(rb"\$([^#]*)#[0-9a-fA-F]{2}", re.DOTALL)


class EmulatorDied(Exception):
    """The process ended or stopped answering; the text holds what it wrote to stderr."""


@dataclass(frozen=True, slots=True)
class RemoteRegister:
    """Where the stub keeps a register: its number and its size."""

    number: int
    size_bytes: int


class QemuGdb:
    """One emulator process, its processor stopped, and a connection to its GDB stub."""

    def __init__(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        byteorder: Literal["little", "big"] = "little",
        flat_register_bytes: int = 0,
    ) -> None:
        self._command = [program, *arguments]
        self._byteorder: Literal["little", "big"] = byteorder
        self._flat_register_bytes = flat_register_bytes
        self.registers: dict[str, RemoteRegister] = {}
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._socket.close()
        self._stderr.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def restart(self) -> None:
        """Replace the process by a fresh one (a halted processor stays halted for good)."""
        self.close()
        self._start()

    # ----------------------------------------------------------------- registers

    def read(self, name: str) -> int:
        """The register as an unsigned number; `KeyError` if the target has none so named."""
        return self.read_many([name])[name]

    def write(self, name: str, value: int) -> None:
        """Set the register to `value`, cut to its size; the target may ignore bits silently."""
        self.write_many({name: value})

    def read_many(self, names: Iterable[str]) -> dict[str, int]:
        """The registers as unsigned numbers, in one round trip."""
        wanted = list(names)
        if self._flat_register_bytes:
            image = bytes.fromhex(self.exchange(["g"])[0])
            size = self._flat_register_bytes
            return {
                name: int.from_bytes(image[int(name) * size :][:size], self._byteorder)
                for name in wanted
            }
        replies = self.exchange([f"p{self.registers[name].number:x}" for name in wanted])
        return {
            name: int.from_bytes(_bytes(reply, f"register {name}"), self._byteorder)
            for name, reply in zip(wanted, replies, strict=True)
        }

    def write_many(self, values: Mapping[str, int]) -> None:
        """Set the registers, in the order given, in one round trip."""
        if self._flat_register_bytes:
            image = bytearray.fromhex(self.exchange(["g"])[0])
            size = self._flat_register_bytes
            for name, value in values.items():
                image[int(name) * size : (int(name) + 1) * size] = self._image(value, size)
            self._expect_ok(["G" + image.hex()])
            return
        self._expect_ok([self._write_request(name, value) for name, value in values.items()])

    # ----------------------------------------------------------------- memory

    def read_memory(self, address: int, count: int) -> bytes:
        """`count` bytes as the debugger sees them: virtual, unless `use_physical_memory`."""
        return self.read_places([range(address, address + count)])[0]

    def write_memory(self, address: int, content: bytes) -> None:
        """Deposit bytes as the debugger sees memory."""
        self.write_places([(address, content)])

    def read_places(self, places: Iterable[range]) -> list[bytes]:
        """The bytes at each of these addresses, in one round trip."""
        chunks = [list(_chunks(place)) for place in places]
        replies = iter(
            self.exchange([f"m{c.start:x},{len(c):x}" for place in chunks for c in place])
        )
        return [
            b"".join(_bytes(next(replies), f"memory at {c.start:#x}") for c in place)
            for place in chunks
        ]

    def write_places(self, contents: Iterable[tuple[int, bytes]]) -> None:
        """Deposit bytes from each address on, in the order given, in one round trip."""
        self._expect_ok(
            f"M{c.start:x},{len(c):x}:{content[c.start - address :][: len(c)].hex()}"
            for address, content in contents
            for c in _chunks(range(address, address + len(content)))
        )

    def use_physical_memory(self, physical: bool) -> None:
        """Whether memory addresses mean physical ones from now on (they mean virtual at start)."""
        self._expect_ok([f"Qqemu.PhyMemMode:{int(physical)}"])

    # ----------------------------------------------------------------- execution

    def step(self, timeout_seconds: float = 0.25) -> bool:
        """Execute one instruction, or take one trap.

        False: the processor went to sleep (STOP, HLT, WFI) and was broken in upon; it has to be
        replaced with `restart`, since the sleep outlives every register write.
        """
        self._send("s")
        if self._ready(timeout_seconds):
            self._receive()
            return True
        self._socket.sendall(b"\x03")
        self._receive()
        return False

    def set_breakpoints(self, addresses: Iterable[int], size_bytes: int = 4) -> None:
        """Where `proceed` stops from now on; memory stays as it is."""
        self._expect_ok(f"Z1,{address:x},{size_bytes}" for address in addresses)

    def proceed(self, timeout_seconds: float) -> None:
        """Run to a breakpoint. `EmulatorDied` if none is reached in time."""
        self._send("c")
        if not self._ready(timeout_seconds):
            raise self._death("reached no breakpoint")
        self._receive()

    def mask_interrupts_while_stepping(self) -> None:
        """Keep interrupts and timers still during `step`."""
        self._expect_ok(["Qqemu.sstep=0x7"])

    def take_interrupts_while_stepping(self) -> None:
        """Let `step` take interrupts (timers stay still)."""
        self._expect_ok(["Qqemu.sstep=0x5"])

    def monitor(self, command: str) -> str:
        """The output of a command of QEMU's monitor, such as `system_reset`."""
        self._send("qRcmd," + command.encode().hex())
        output = b""
        while (reply := self._receive()).startswith("O") and reply != "OK":
            output += bytes.fromhex(reply[1:])
        return output.decode("latin-1")

    # ----------------------------------------------------------------- packets

    def exchange(self, requests: Sequence[str]) -> list[str]:
        """The replies to `requests`, sent together (none of them may let the processor run)."""
        self._socket.sendall(b"".join(map(_packet, requests)))
        return [self._receive() for _ in requests]

    def _start(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="gdb-remote-"))
        path = self._directory / "socket"
        self._stderr = (self._directory / "stderr").open("w+b")
        quiet = ["-S", "-display", "none", "-monitor", "none", "-serial", "none"]
        chardev = f"socket,path={path},server=on,wait=off,id=gdb"
        self._process = subprocess.Popen(
            [*self._command, *quiet, "-chardev", chardev, "-gdb", "chardev:gdb"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._stderr,
        )
        self._socket = socket.socket(socket.AF_UNIX)
        self._received = bytearray()
        try:
            self._connect(path)
            self._greet()
        except BaseException:
            self.close()
            raise

    def _connect(self, path: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._socket.connect(str(path))
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise self._death("did not start") from None
                time.sleep(0.01)

    def _greet(self) -> None:
        self.exchange(["qSupported:multiprocess-;qXfer:features:read+;xmlRegisters=i386"])
        if self._flat_register_bytes:
            return
        if self.registers:
            self._read_annex("target.xml")  # QEMU knows `P` only after this was asked for
        else:
            self.registers = self._read_description()

    def _read_description(self) -> dict[str, RemoteRegister]:
        registers: dict[str, RemoteRegister] = {}
        number = 0

        def visit(document: str) -> None:
            nonlocal number
            for element in ElementTree.fromstring(_without_doctype(document)).iter():
                tag = element.tag.rpartition("}")[2]
                if tag == "include":
                    visit(self._read_annex(element.attrib["href"]))
                elif tag == "reg":
                    number = int(element.get("regnum", number))
                    size = int(element.attrib["bitsize"]) // 8
                    registers.setdefault(element.attrib["name"], RemoteRegister(number, size))
                    number += 1

        visit(self._read_annex("target.xml"))
        return registers

    def _read_annex(self, annex: str) -> str:
        text = ""
        offset = 0
        while True:
            reply = self.exchange([f"qXfer:features:read:{annex}:{offset:x},ffb"])[0]
            if reply[:1] not in ("l", "m"):
                raise LookupError(f"{self._command[0]} has no register description {annex!r}")
            text += re.sub(r"\}(.)", lambda m: chr(ord(m[1]) ^ 0x20), reply[1:], flags=re.DOTALL)
            offset += len(reply) - 1
            if reply[0] == "l":
                return text

    def _write_request(self, name: str, value: int) -> str:
        register = self.registers[name]
        return f"P{register.number:x}={self._image(value, register.size_bytes).hex()}"

    def _image(self, value: int, size: int) -> bytes:
        return (value & ((1 << 8 * size) - 1)).to_bytes(size, self._byteorder)

    def _expect_ok(self, requests: Iterable[str]) -> None:
        wanted = list(requests)
        for request, reply in zip(wanted, self.exchange(wanted), strict=True):
            if reply != "OK":
                raise ValueError(f"{self._command[0]} answered {reply!r} to {request[:60]!r}")

    def _send(self, request: str) -> None:
        self._socket.sendall(_packet(request))

    def _ready(self, timeout_seconds: float) -> bool:
        if _PACKET.search(self._received):
            return True
        deadline = time.monotonic() + timeout_seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self._socket], [], [], left)[0]:
                return False
            self._fill()
            if _PACKET.search(self._received):
                return True
        return False

    def _receive(self) -> str:
        if not self._ready(_REPLY_SECONDS):
            raise self._death("does not answer")
        packet = _PACKET.search(self._received)
        assert packet is not None
        body = packet[1].decode("latin-1")
        del self._received[: packet.end()]
        return body

    def _fill(self) -> None:
        try:
            received = self._socket.recv(1 << 16)
        except ConnectionError:
            received = b""
        if not received:
            raise self._death("ended")
        self._received += received

    def _death(self, how: str) -> EmulatorDied:
        self._process.kill()
        self._process.wait()
        self._stderr.seek(0)
        words = self._stderr.read().decode("latin-1").strip()
        return EmulatorDied(f"{' '.join(self._command)} {how}: {words}")


def _packet(request: str) -> bytes:
    body = request.encode("latin-1")
    return b"$" + body + b"#%02x" % (sum(body) & 0xFF)


def _chunks(place: range) -> Iterator[range]:
    """What one packet can hold."""
    return (place[at : at + _CHUNK_BYTES] for at in range(0, len(place), _CHUNK_BYTES))


def _bytes(reply: str, what: str) -> bytes:
    try:
        return bytes.fromhex(reply)
    except ValueError:
        raise LookupError(f"{what} cannot be read: {reply!r}") from None


def _without_doctype(document: str) -> str:
    return re.sub(r"<!DOCTYPE[^>]*>", "", document).replace("xi:include", "include")
