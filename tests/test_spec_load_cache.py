import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spec import ir, source
from spec.load import load
from spec.load_cache import load_cached
from spec.pickled import dumps, loads

ROOT = Path(__file__).resolve().parent.parent
PG74 = ROOT / "isas" / "pg74" / "pg74.isa"

PART = """
instruction NOP () = 8'h00
  asm "nop"
{
}
"""
MAIN = """isa "Tiny"

mode M : bits(1) { user = 0, supervisor = 1 }
pc P : bits(4)
memory E : bits(8)[16] big
fetch 8
cause outside : memory { }
cause undefined : fault { }
undecodable trap undefined : fault
translate(va, access, size, mode) { return paddr(bits(va)) }
include "part.isa"
"""


@pytest.fixture
def description(tmp_path: Path) -> Path:
    (tmp_path / "part.isa").write_text(PART)
    main = tmp_path / "tiny.isa"
    main.write_text(MAIN)
    return main


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def _loads_the_parser(path: Path, kept: Path) -> bool:
    script = (
        "import sys; from pathlib import Path; from spec.load_cache import load_cached;"
        "assert load_cached(sys.argv[1], Path(sys.argv[2])).isa; print('lark' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(path), str(kept)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.strip() == "True"


def test_what_was_kept_equals_what_is_loaded(kept: Path) -> None:
    fresh = load(str(PG74))
    load_cached(str(PG74), kept)

    again = load_cached(str(PG74), kept)

    assert fresh.isa is not None
    assert again == fresh
    assert again.isa is not None
    assert [i.span for i in again.isa.instructions] == [i.span for i in fresh.isa.instructions]
    assert len(list((kept / "descriptions").iterdir())) == 1


def test_a_description_that_did_not_change_needs_no_parser(description: Path, kept: Path) -> None:
    assert _loads_the_parser(description, kept)
    assert not _loads_the_parser(description, kept)


@pytest.mark.parametrize("name", ["tiny.isa", "part.isa"])
def test_an_edit_of_any_file_is_seen(description: Path, kept: Path, name: str) -> None:
    before = load_cached(str(description), kept)
    edited = description.parent / name
    edited.write_text(edited.read_text() + PART.replace("NOP", "NOP2").replace("h00", "h01"))

    after = load_cached(str(description), kept)

    assert before.isa is not None
    assert after.isa is not None
    assert len(after.isa.instructions) == len(before.isa.instructions) + 1


def test_a_file_that_vanished_is_an_error(description: Path, kept: Path) -> None:
    load_cached(str(description), kept)
    (description.parent / "part.isa").unlink()

    assert load_cached(str(description), kept).isa is None


def test_a_description_with_errors_is_not_kept(description: Path, kept: Path) -> None:
    description.write_text(MAIN.replace("fetch 8", "fetch eight"))

    result = load_cached(str(description), kept)

    assert result.isa is None
    assert result == load(str(description))
    assert not kept.exists()


def _cut(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:100])


def _forge(entry: Path) -> None:
    entry.write_bytes(pickle.dumps(subprocess.run))


def _swap(entry: Path) -> None:
    entry.write_bytes(dumps(source.NOWHERE))


@pytest.mark.parametrize("damage", [_cut, _forge, _swap])
def test_a_damaged_entry_is_loaded_afresh(
    description: Path, kept: Path, damage: Callable[[Path], None]
) -> None:
    load_cached(str(description), kept)
    (entry,) = (kept / "descriptions").iterdir()
    damage(entry)

    assert load_cached(str(description), kept) == load(str(description))


def test_a_place_that_cannot_be_written_is_done_without(description: Path) -> None:
    assert load_cached(str(description), description / "below a file").isa is not None


def test_without_a_directory_nothing_is_kept(description: Path, kept: Path) -> None:
    assert load_cached(str(description), None) == load(str(description))
    assert not kept.exists()


def test_reading_refuses_what_is_no_plain_data_of_the_modules_named() -> None:
    span = dumps(source.Span("a", 1, 2))

    assert loads(span, [source]) == source.Span("a", 1, 2)
    for data in (span, pickle.dumps(print), pickle.dumps(pickle.Pickler), dumps(Path("x"))):
        with pytest.raises(pickle.UnpicklingError):
            loads(data, [ir])
