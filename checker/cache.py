"""Results kept between runs: one SQLite file, shared by all popek processes of a user.

A cache can only save time. If its file cannot be read or written, or is damaged, one note says so
and the check goes on without it. Nothing is read but plain data of the
modules that the user of the cache names, so a damaged or foreign file cannot run code.
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from checker import answers
from spec.pickled import dumps, loads

FILE = "results.sqlite3"

FLUSH_SECONDS = 0.5
"""At most this much work is lost when the process is killed outright."""

KEEP_DAYS = 60
"""Results not used for so long are dropped."""

_DAY = 86_400
_BUSY_SECONDS = 2.0
_BATCH = 500  # keys in one query

_SCHEMA = "CREATE TABLE IF NOT EXISTS results (key TEXT PRIMARY KEY, day INTEGER, value BLOB)"


class Cache:
    """Results by key; with `directory` None it is empty and forgets everything."""

    def __init__(self, directory: Path | None, plain: Sequence[ModuleType] = (answers,)) -> None:
        """`plain`: the modules whose data it holds."""
        self.notes: list[str] = []
        self._plain = tuple(plain)
        self._path = directory / FILE if directory else None
        self._connection: sqlite3.Connection | None = None
        self._pending: dict[str, bytes] = {}
        self._flushed = time.monotonic()
        if self._path is not None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._connection = _open(self._path)
            except (OSError, sqlite3.Error) as error:
                self._give_up(error)

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """Those of the results that are known."""
        found: dict[str, Any] = {}
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            for key, value in self._select(batch):
                try:
                    found[key] = loads(value, self._plain)
                except Exception as error:  # anything may be wrong with bytes of a damaged file
                    self._note(f"an entry of the cache is damaged ({type(error).__name__})")
        return found

    def put(self, key: str, value: object) -> None:
        """Keep a result, written at once or within `FLUSH_SECONDS` of the next one."""
        if self._connection is None:
            return
        self._pending[key] = dumps(value)
        if time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is pending."""
        self._flushed = time.monotonic()
        if self._connection is None or not self._pending:
            return
        today = int(time.time()) // _DAY
        rows = [(key, today, value) for key, value in self._pending.items()]
        self._pending.clear()
        try:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO results VALUES (?, ?, ?)", rows
                )
                self._connection.execute("DELETE FROM results WHERE day < ?", (today - KEEP_DAYS,))
        except sqlite3.Error as error:
            self._give_up(error)

    def close(self) -> None:
        """Write what is pending and let the file go."""
        self.flush()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _select(self, keys: list[str]) -> list[tuple[str, bytes]]:
        if self._connection is None:
            return []
        marks = ",".join("?" * len(keys))
        today = int(time.time()) // _DAY
        try:
            rows = self._connection.execute(
                f"SELECT key, day, value FROM results WHERE key IN ({marks})", keys
            ).fetchall()
            stale = [(today, key) for key, day, _ in rows if day != today]
            if stale:
                with self._connection:
                    self._connection.executemany("UPDATE results SET day = ? WHERE key = ?", stale)
        except sqlite3.Error as error:
            self._give_up(error)
            return []
        return [(key, value) for key, _, value in rows]

    def _give_up(self, error: Exception) -> None:
        self._note(f"the cache `{self._path}` cannot be used ({error}); going on without it")
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS)
    try:
        connection.execute("PRAGMA synchronous = OFF")  # after a power cut a cache may be damaged
        connection.execute(_SCHEMA)
    except sqlite3.Error:
        connection.close()
        raise
    return connection
