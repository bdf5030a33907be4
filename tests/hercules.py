"""Hercules at an image: it runs for a given time, then what a range of memory holds is saved."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Hercules:
    """`architecture` is as Hercules names it; `configuration` are lines besides the usual ones."""

    architecture: str
    configuration: Sequence[str] = ()

    def run(
        self, folder: Path, image: bytes, start: int, saved: range, patience: float
    ) -> tuple[str, bytes]:
        """What it said, and what `saved` holds after so many seconds; nothing if it stopped too
        late to save. It can only be told how long to run."""
        content, results = folder / "image", folder / "results"
        results.unlink(missing_ok=True)
        content.write_bytes(image)
        lines = (
            f"ARCHMODE {self.architecture}", "MAINSIZE 2", "NUMCPU 1", *self.configuration,
            "OSTAILOR QUIET", "0009 3215-C /",
        )  # fmt: skip
        (folder / "machine.cnf").write_text("".join(f"{line}\n" for line in lines))
        (folder / "run.rc").write_text(
            f"archmode {self.architecture}\nsysclear\nloadcore {content} 0\n"
            f"psw sm=00 pk=0 cmwp=8 cc=0 pm=0 ia={start:x}\n"
            f"start\nsh sleep {patience}\nstop\nsh sleep 0.1\npsw\n"
            f"savecore {results} {saved.start:x} {saved.stop - 1:x}\nexit\n"
        )
        ran = subprocess.run(
            ["hercules", "-d", "-f", str(folder / "machine.cnf")],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "HERCULES_RC": str(folder / "run.rc")},
            check=False,
        )
        return ran.stdout + ran.stderr, results.read_bytes() if results.exists() else b""
