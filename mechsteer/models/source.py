"""Where a model's files lie: a folder or a file on this disk, or a repository of the hub, listed before anything is read."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import HTTPError, NotASafetensorsRepoError, OfflineModeIsEnabled, SafetensorsParsingError

from ..errors import InputError

WHERE = ("revision", "token", "cache_dir", "subfolder", "local_files_only")
"""What says which files of a hub's repository; all of `from_pretrained`'s."""
GGUF = ".gguf"
DTYPES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}
"""Bytes of a number."""


@dataclass(frozen=True)
class Source:
    """The files of one model, by name, in a folder or a repository."""

    name: str
    files: tuple[str, ...]
    where: Mapping[str, Any]

    @classmethod
    def at(cls, name: str, options: Mapping[str, Any]) -> "Source":
        """Look, and download nothing: at FOLDER, FILE.gguf, OWNER/REPOSITORY or OWNER/REPOSITORY/FILE.gguf."""
        where = {key: options[key] for key in WHERE if options.get(key)}
        place, file = Path(name), options.get("gguf_file")
        if place.is_file() and not name.endswith(GGUF):
            raise InputError(
                f"{name!r} is a file, not a model. Pass a .gguf file, or the folder that holds config.json."
            )
        if name.endswith(GGUF) and (place.is_file() or (name.count("/") > 1 and not place.parent.is_dir())):
            name, file = str(place.parent), place.name
        subfolder, is_here = where.get("subfolder", ""), Path(name).is_dir()
        if is_here and "revision" in where:
            raise InputError(
                f"{name!r} is a folder, which has no revisions. Leave the revision {where['revision']} out, or pass a hub name."
            )
        found = _in_folder(Path(name, subfolder)) if is_here else _on_hub(name, subfolder, where)
        source = cls(name, tuple(sorted(found)), where)
        if file is None:
            return source
        if file not in found:
            others = source.ending(GGUF)
            raise InputError(
                f"{name!r} holds no {file}" + f", but {', '.join(others)}" * bool(others) + ". Name what it holds."
            )
        return replace(source, files=(file,))

    @property
    def folder(self) -> Path | None:
        """The folder on this disk, if it is one."""
        return Path(self.name, self.where.get("subfolder", "")) if Path(self.name).is_dir() else None

    @property
    def gguf(self) -> str | None:
        """The GGUF file that holds the weights; None where other files do."""
        found = self.ending(GGUF)
        if not found or self.ending(".safetensors", ".bin"):
            return None
        if len(found) > 1:
            raise InputError(f"{self.name!r} holds several GGUF files: {', '.join(found)}. Name one: {self.name}/FILE.")
        return found[0]

    def ending(self, *suffixes: str) -> list[str]:
        """The files with one of these endings."""
        return [name for name in self.files if name.endswith(suffixes)]

    def path(self, file: str) -> Path:
        """One of the files on this disk, downloaded if need be."""
        return self.folder / file if self.folder else Path(hf_hub_download(self.name, file, **self.where))


def weights_size(name: str, dtype: str | None = None) -> int:
    """Bytes of memory that opening a model takes, in a dtype or its own, by its files' headers, before anything is opened or
    fetched; 0 where nobody can say.

    While a GGUF file is unpacked, to float32 if no dtype is named, the file and twice its largest tensor in float32 stand beside
    the weights: the peaks that were measured (LOG.md, GGUF).
    """
    place, n_bytes = Path(name), DTYPES.get(dtype or "")
    if place.is_file():
        from gguf import GGUFReader  # which costs help a tenth of its time

        with suppress(OSError, ValueError, IndexError):
            sizes = [int(tensor.n_elements) for tensor in GGUFReader(place).tensors]
            return (n_bytes or 4) * sum(sizes) + place.stat().st_size + 2 * 4 * max(sizes)
        return 0
    with suppress(OSError, ValueError):
        folder = place if place.is_dir() else Path(snapshot_download(name, local_files_only=True))
        if fetched := sum(_weights(_header(path), n_bytes) for path in folder.glob("*.safetensors")):
            return fetched
    with suppress(HTTPError, OSError, ValueError, SafetensorsParsingError, NotASafetensorsRepoError):
        files = HfApi().get_safetensors_metadata(name).files_metadata.values()
        return sum(_weights({key: vars(tensor) for key, tensor in file.tensors.items()}, n_bytes) for file in files)
    return 0


def _header(path: Path) -> dict[str, Any]:
    """What a file of the safetensors format says of its tensors: eight bytes of length, and so much JSON."""
    with path.open("rb") as file:
        found = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return {name: tensor for name, tensor in found.items() if name != "__metadata__"}


def _weights(header: Mapping[str, Any], n_bytes: int | None) -> int:
    """Bytes of a header's tensors, with so many for each number, or as they lie in the file."""
    if n_bytes is None:
        return sum(end - begin for begin, end in (tensor["data_offsets"] for tensor in header.values()))
    return sum(n_bytes * math.prod(tensor["shape"]) for tensor in header.values())


def first_line(error: Exception) -> str:
    """What a library says, as a part of a sentence."""
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__


def _in_folder(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _on_hub(name: str, subfolder: str, where: Mapping[str, Any]) -> list[str]:
    """What the hub says that a repository holds; if it cannot be asked, what was fetched from it before."""
    revision = where.get("revision")
    try:
        if where.get("local_files_only"):
            raise OfflineModeIsEnabled("the hub was not to be asked")
        listed = HfApi(token=where.get("token")).model_info(name, revision=revision, timeout=10).siblings or ()
        paths = [PurePosixPath(file.rfilename) for file in listed]
        return [path.name for path in paths if path.parent == PurePosixPath(subfolder)]
    except (HTTPError, OSError, ValueError) as error:
        try:
            fetched = snapshot_download(
                name, revision=revision, cache_dir=where.get("cache_dir"), local_files_only=True
            )
        except (OSError, ValueError):
            if name.startswith((".", "/", "~")) and not subfolder:
                raise InputError(
                    f"There is no folder {name!r}. Name one with a Hugging Face model, a .gguf file, or 'guestbook'."
                ) from error
            raise InputError(
                f"No model could be opened at {name!r} ({first_line(error)}). Pass 'guestbook', a folder with a Hugging "
                "Face model, a .gguf file, or a hub name that this machine can reach."
            ) from error
        return _in_folder(Path(fetched, subfolder))
