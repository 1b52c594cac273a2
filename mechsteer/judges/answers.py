"""Answers of judges, kept as soon as each is there, so that nothing is asked twice: lines of JSON, in a file for each process."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock


@dataclass(frozen=True)
class Answers:
    """What has been answered, by the question's key."""

    folder: Path

    def known(self) -> dict[str, str]:
        """Every answer that is whole; the last line of a process that was killed may not be."""
        found: dict[str, str] = {}
        for path in sorted(self.folder.glob("*.jsonl")):
            for line in path.read_text(encoding="utf-8", errors="replace").split("\n"):
                with suppress(ValueError, TypeError):
                    key, raw = json.loads(line)
                    found[key] = raw
        return found

    @contextmanager
    def keeping(self) -> Iterator[Callable[[str, str], None]]:
        """Gives what keeps an answer under its key, from any thread."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = Lock()
        with (self.folder / f"{os.getpid()}-{os.urandom(4).hex()}.jsonl").open("a", encoding="utf-8") as file:

            def keep(key: str, raw: str) -> None:
                with lock:
                    file.write(json.dumps([key, raw]) + "\n")
                    file.flush()

            yield keep
