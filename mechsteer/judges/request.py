"""Which judge is asked for: its name, the model that it is, and where that answers. Needs no PyTorch."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import InputError, shown
from ..families import JUDGES
from ..paths import resolved
from ..store.keys import digest
from ..store.units import label
from .scale import read_scale

EXAMPLE = "Write rules, local=./model.gguf or endpoint=NAME@http://localhost:8000/v1"


@dataclass(frozen=True)
class Request:
    """Written NAME, NAME=MODEL or NAME=MODEL@URL."""

    name: str
    which: str = ""
    """The model by the content of its files where they lie on this disk; else its name, which may mean another tomorrow."""
    url: str = ""
    prompts: str = ""
    """Version and content of the scale, of a judge that is asked in words."""
    model: str = label()
    scale: str = label()
    asked: str = label()
    """As it was written."""

    @classmethod
    def parse(cls, text: str, scale: str) -> "Request":
        """Read what was written; the judge must be known. Its model may be gone from this disk since a study was judged."""
        name, _, rest = text.partition("=")
        where = rest.find("@http")
        model, url = (rest, "") if where < 0 else (rest[:where], rest[where + 1 :])
        member = JUDGES[name]
        try:
            parts = urlsplit(url)
            secret = parts.username or parts.password or parts.query or parts.fragment
        except ValueError as error:
            raise InputError(f"The judge's URL {shown(url)} is none ({error}). {EXAMPLE}.") from error
        if secret:
            raise InputError(
                "The judge's URL holds a user, a password, a query or a fragment, which would be written down. Leave it out, and "
                "put the key into MECHSTEER_JUDGE_KEY."
            )
        if url and not member.get("ENDPOINT"):
            raise InputError(f"The judge {name!r} asks nobody, and a URL came ({shown(url)}). Only endpoint takes one.")
        if member.get("ENDPOINT") and not (model and parts.hostname):
            raise InputError(f"The judge {shown(text)!r} needs a model and a URL. {EXAMPLE}.")
        model, prompts = model or member.get("MODEL", ""), ""
        if member.get("ASKED"):
            asked = read_scale(scale)
            prompts = f"{asked.version} {asked.content}"
        return cls(name, (not url and content_of(model)) or model, url, prompts, model, scale, text)

    @property
    def label(self) -> str:
        """How it is called in tables."""
        return f"{self.name} ({Path(self.model).name})" if self.model else self.name

    def check_is_there(self) -> None:
        """One sentence if the model's name is a path, which no name of the hub is, and nothing lies there."""
        is_path = self.model.startswith(("/", "./", "../", "$")) or (
            self.model.endswith(".gguf") and self.model.count("/") < 2
        )
        if is_path and not self.url and not Path(resolved(self.model)).exists():
            raise InputError(
                f"There is no file {shown(self.model)!r} for the judge {self.name!r}. Name one that is there."
            )

    @property
    def id(self) -> str:
        """Under which its answers are kept."""
        return digest([self.name, self.which, self.url])[:32]


def content_of(model: str) -> str:
    """Sixteen digits of a model's files; "" of what is not on this disk."""
    path = Path(resolved(model)) if model else Path()
    if not model or not path.exists():
        return ""
    files = sorted(item for item in path.iterdir() if item.is_file()) if path.is_dir() else [path]
    return digest([[item.name, _hash(item, item.stat().st_size, item.stat().st_mtime_ns)] for item in files])[:16]


@cache  # a second for a model of a gigabyte, and settings are made often
def _hash(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
