"""The client of QEMU's GDB stub, which the oracle tests stand on."""

import shutil
from collections.abc import Iterator

import pytest

from tests.gdb_remote import EmulatorDied, QemuGdb

PROGRAM = "qemu-system-riscv32"
ARGUMENTS = ["-M", "virt", "-bios", "none", "-m", "32M", "-cpu", "rv32,pmp=false"]
RAM = 0x8000_0000
ADDI_A0_A0_1 = (0x00150513).to_bytes(4, "little")
WFI = (0x10500073).to_bytes(4, "little")

pytestmark = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not here")


@pytest.fixture
def qemu() -> Iterator[QemuGdb]:
    with QemuGdb(PROGRAM, ARGUMENTS) as emulator:
        yield emulator


def test_what_is_written_to_registers_and_memory_is_read_back(qemu: QemuGdb) -> None:
    content = bytes(range(256)) * 9

    qemu.write_many({"a0": 0x1234_5678, "a1": -1})
    qemu.write_memory(RAM + 3, content)

    assert qemu.read_many(["a1", "a0"]) == {"a1": 0xFFFF_FFFF, "a0": 0x1234_5678}
    assert qemu.read_memory(RAM + 3, len(content)) == content


def test_a_step_executes_one_instruction(qemu: QemuGdb) -> None:
    qemu.write_memory(RAM, ADDI_A0_A0_1 * 2)
    qemu.write_many({"pc": RAM, "a0": 41})

    assert qemu.step()

    assert qemu.read_many(["pc", "a0"]) == {"pc": RAM + 4, "a0": 42}


def test_a_step_into_sleep_says_so_and_a_restarted_emulator_steps_again(qemu: QemuGdb) -> None:
    qemu.write_memory(RAM, WFI)
    qemu.write("pc", RAM)

    assert not qemu.step()

    qemu.restart()
    qemu.write_memory(RAM, ADDI_A0_A0_1)
    qemu.write("pc", RAM)
    assert qemu.step()


def test_an_emulator_that_does_not_start_tells_why() -> None:
    with pytest.raises(EmulatorDied, match="no-such-machine"):
        QemuGdb(PROGRAM, ["-M", "no-such-machine"])


def test_a_register_that_the_target_lacks_is_a_key_error(qemu: QemuGdb) -> None:
    with pytest.raises(KeyError, match="no_such_register"):
        qemu.read("no_such_register")
