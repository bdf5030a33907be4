"""Run batches of test records (see `ia32_bios.s`) on emulators that nobody here wrote.

Each emulator starts a machine with our BIOS, puts the records into its memory, lets it run until
all are done, and takes the results out of its memory. A record that crashes the machine leaves no
result and ends the batch; `run` starts again after it.
"""

import functools
import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

RECORD_BYTES = 0xA80
REGISTER_BYTES = 128
ARENA = 0x1000
ARENA_BYTES = RECORD_BYTES - REGISTER_BYTES
IDT = 0x800
IDT_BYTES = 0x500
HANDLERS = 0xF1000
HANDLER_BYTES = 16
_TESTS = 0x100000
_RESULTS = 0x1000000
_MEMORY_MEGABYTES = 64
_BOCHS_BLOCK = 0x20000
_SECONDS = 20.0
_HERE = Path(__file__).parent

Batch = Callable[[Path, Sequence[bytes]], list[bytes]]


@dataclass(frozen=True, slots=True)
class Emulator:
    """`run_batch` gives the results in order, fewer if the machine stopped at one of them."""

    name: str
    run_batch: Batch
    batch_records: int = 4096

    def run(self, records: Sequence[bytes]) -> list[bytes | None]:
        """A result per record; None where the machine crashed."""
        results: list[bytes | None] = []
        size = self.batch_records
        while len(results) < len(records):
            given = records[len(results) : len(results) + size]
            with tempfile.TemporaryDirectory() as directory:
                place = Path(directory)
                (place / "bios.bin").write_bytes(_bios())
                batch = self.run_batch(place, given)
            results += batch
            size = self.batch_records
            if not batch and len(given) > 1:
                size = len(given) // 2  # a crash may lose the results before it, too
            elif len(batch) < len(given):
                results.append(None)
        return results


def missing_program() -> str | None:
    """What `ia32_bios.s` needs and is not installed."""
    for program in ("as", "objcopy"):
        if shutil.which(program) is None:
            return program
    return None


def qemu(processor: str) -> Emulator | None:
    """None where it is not installed."""
    if shutil.which("qemu-system-i386") is None:
        return None
    return Emulator("QEMU", functools.partial(_qemu_batch, processor))


def bochs(processor: str) -> Emulator | None:
    """None where it (with its debugger and its terminal display) is not installed."""
    if shutil.which("bochs-bin") is None or shutil.which("script") is None:
        return None
    # Bochs loads an image right only within one of its 128 KiB blocks, and at most four images.
    records = 3 * _BOCHS_BLOCK // RECORD_BYTES
    return Emulator("Bochs", functools.partial(_bochs_batch, processor), records)


def v86() -> Emulator | None:
    """None unless `V86_MODULES` names a node_modules folder with v86, or the working folder has it."""
    modules = Path(os.environ.get("V86_MODULES", "node_modules")).resolve()
    if shutil.which("node") is None or not (modules / "v86/build/libv86.mjs").exists():
        return None
    return Emulator("v86", functools.partial(_v86_batch, modules))


def gate(vector: int) -> int:
    """The gates of the IDT: interrupt and trap gates; some for every level, some unusable."""
    offset = HANDLERS + HANDLER_BYTES * vector
    level = 3 if vector in (3, 4, 5, 0x41, 0x42, 0x43, 0x44) else 0
    present = vector != 0x42
    kind = 0xC if vector == 0x44 else 0xF if vector % 4 == 3 else 0xE
    return offset >> 16 << 48 | present << 47 | level << 45 | kind << 40 | 8 << 16 | offset & 0xFFFF


def interrupt_table() -> bytes:
    return struct.pack("<160Q", *map(gate, range(160)))


@functools.cache
def _bios() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        code, image = Path(directory) / "bios.o", Path(directory) / "bios.bin"
        source = _HERE / "ia32_bios.s"
        subprocess.run(["as", "--32", "-o", code, source], check=True)
        subprocess.run(["objcopy", "-O", "binary", "-j", ".text", code, image], check=True)
        return image.read_bytes()


def _low_memory(count: int) -> bytes:
    memory = bytearray(ARENA)
    struct.pack_into("<I", memory, 0x604, count)
    memory[IDT : IDT + IDT_BYTES] = interrupt_table()
    return bytes(memory)


def _split(results: bytes) -> list[bytes]:
    return [results[at : at + RECORD_BYTES] for at in range(0, len(results), RECORD_BYTES)]


def _wait(command: Sequence[str], place: Path) -> None:
    """Run to the end, or for `_SECONDS`: what the memory then holds tells how far it came."""
    with (place / "output").open("w") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "TERM": "vt100"},
        )
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _qemu_batch(processor: str, place: Path, records: Sequence[bytes]) -> list[bytes]:
    memory = place / "memory"
    with memory.open("wb") as file:
        file.write(_low_memory(len(records)))
        file.seek(_TESTS)
        file.write(b"".join(records))
        file.truncate(_MEMORY_MEGABYTES << 20)
    size = f"{_MEMORY_MEGABYTES}M"
    backend = f"memory-backend-file,id=ram,size={size},mem-path={memory},share=on"
    machine = ["-M", "isapc,memory-backend=ram", "-object", backend, "-m", size, "-cpu", processor]
    quiet = ["-display", "none", "-serial", "none", "-monitor", "none", "-nodefaults"]
    leave = ["-no-reboot", "-device", "isa-debug-exit,iobase=0xf4"]
    bios = ["-bios", str(place / "bios.bin")]
    _wait(["qemu-system-i386", *machine, *bios, *quiet, *leave], place)
    with memory.open("rb") as file:
        file.seek(0x600)
        done = int.from_bytes(file.read(4), "little")
        file.seek(_RESULTS)
        return _split(file.read(done * RECORD_BYTES))


def _bochs_batch(processor: str, place: Path, records: Sequence[bytes]) -> list[bytes]:
    (place / "low.bin").write_bytes(_low_memory(len(records)))
    content = b"".join(records)
    images = ""
    for number, at in enumerate(range(0, len(content), _BOCHS_BLOCK), 2):
        (place / f"tests{number}.bin").write_bytes(content[at : at + _BOCHS_BLOCK])
        image = f"file={place}/tests{number}.bin, address=0x{_TESTS + at:x}"
        images += f"optramimage{number}: {image}\n"
    (place / "settings").write_text(
        f"""plugin_ctrl: unmapped=0, biosdev=0, speaker=0, parallel=0, serial=0
config_interface: textconfig
display_library: term
romimage: file={place}/bios.bin, address=0xffff0000
vgaromimage: file=/usr/share/vgabios/vgabios.bin
optramimage1: file={place}/low.bin, address=0x0
{images}cpu: model={processor}, count=1, ips=50000000, reset_on_triple_fault=0
megs: {_MEMORY_MEGABYTES}
log: {place}/log
panic: action=fatal
magic_break: enabled=1
"""
    )
    (place / "commands").write_text(
        f'c\nwritemem "{place}/done.bin" 0x600 4\n'
        f'writemem "{place}/results.bin" 0x{_RESULTS:x} {len(records) * RECORD_BYTES}\nquit\n'
    )
    run = f"bochs-bin -q -f {place}/settings -rc {place}/commands"
    _wait(["script", "-qec", run, str(place / "terminal")], place)
    if not (place / "results.bin").exists():
        return []
    done = int.from_bytes((place / "done.bin").read_bytes(), "little")
    return _split((place / "results.bin").read_bytes()[: done * RECORD_BYTES])


_V86_SCRIPT = """
import fs from "node:fs";
const [modules, place, recordBytes] = process.argv.slice(2);
const {V86} = await import(modules + "/v86/build/libv86.mjs");
const read = name => { const b = fs.readFileSync(place + "/" + name); return b.buffer.slice(b.byteOffset, b.byteOffset + b.length); };
const machine = new V86({wasm_path: modules + "/v86/build/v86.wasm", bios: {buffer: read("bios.bin")}, memory_size: 64 << 20,
  vga_memory_size: 1 << 20, autostart: false, disable_speaker: true, log_level: 0});
const word = at => new DataView(new Uint8Array(machine.read_memory(at, 4)).buffer).getUint32(0, true);
const finish = () => { fs.writeFileSync(place + "/results.bin", machine.read_memory(0x1000000, word(0x600) * recordBytes)); process.exit(0); };
process.on("uncaughtException", finish);
machine.add_listener("emulator-loaded", () => {
  machine.write_memory(new Uint8Array(read("low.bin")), 0);
  machine.write_memory(new Uint8Array(read("tests.bin")), 0x100000);
  machine.run();
  let last = -1, still = 0;
  setInterval(() => {
    const now = word(0x600);
    still = now === last ? still + 1 : 0;
    last = now;
    if (word(0x5f8) === 0x600d || still > 200) finish();
  }, 10);
});
"""


def _v86_batch(modules: Path, place: Path, records: Sequence[bytes]) -> list[bytes]:
    (place / "low.bin").write_bytes(_low_memory(len(records)))
    (place / "tests.bin").write_bytes(b"".join(records))
    (place / "run.mjs").write_text(_V86_SCRIPT)
    _wait(["node", str(place / "run.mjs"), str(modules), str(place), str(RECORD_BYTES)], place)
    if not (place / "results.bin").exists():
        return []
    return _split((place / "results.bin").read_bytes())
