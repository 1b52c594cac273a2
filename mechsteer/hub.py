"""Repositories of steers: on the Hugging Face hub, or a folder in its place."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HTTPError, NotASafetensorsRepoError, SafetensorsParsingError

from .errors import InputError
from .formats.loading import load_intervention
from .formats.mechsteer import says_steer
from .interventions.base import Intervention
from .models.source import first_line
from .store.atomic import write_atomically
from .store.tensors import read_metadata

CARD = "README.md"
SUFFIX = ".safetensors"


class Repository(ABC):
    """Files by name; one of them is a steer."""

    @abstractmethod
    def steers(self) -> list[str]:
        """The files that are steers of ours, found without fetching what is none."""

    @abstractmethod
    def fetched(self, name: str) -> Path:
        """A file on this disk."""

    @abstractmethod
    def put(self, files: Mapping[str, bytes]) -> str:
        """Write files, all or none where the place can do so, and say where they are."""


def repository(name: str, *, revision: str | None = None, private: bool = False) -> Repository:
    """The folder where there is one or the name can be no other ("./steers"), else the hub's OWNER/NAME."""
    place = Path(name).expanduser()
    is_folder = place.is_dir() or place.is_absolute() or name.startswith((".", "~")) or name.count("/") != 1
    if is_folder and revision is not None:
        raise InputError(
            f"{name!r} is a folder, which has no revisions. Leave --revision out, or name the hub's OWNER/NAME."
        )
    if is_folder and private:
        raise InputError(
            f"{name!r} is a folder and cannot be private. Leave --private out, or name the hub's OWNER/NAME."
        )
    return _Folder(place) if is_folder else _Hub(name, revision, private)


def steer_to_push(path: Path) -> Intervention:
    """The steer in a file of ours, which alone says all that its card must; one of another program is refused."""
    steer = load_intervention(path)
    if path.suffix != SUFFIX or not says_steer(read_metadata(path)):
        raise InputError(
            f"{str(path)!r} is of another program. Write it as one of ours first, and push that: mechsteer export {str(path)!r} "
            f"--to mechsteer --out {Path(path.name.partition('#')[0]).stem}{SUFFIX}."
        )
    return steer


def push(steer: Path, card: str, to: Repository, beside: Sequence[Path] = ()) -> str:
    """Put a steer with its card, and what the card shows, into a repository of its own; says where it is."""
    steer_to_push(steer)
    if others := [name for name in to.steers() if name != steer.name]:
        raise InputError(
            f"The repository holds another steer, {others[0]!r}, and a card is of one. Name another repository."
        )
    return to.put({path.name: path.read_bytes() for path in (steer, *beside)} | {CARD: card.encode()})


def pull(source: Repository, out: Path) -> Path:
    """Check that the repository's steer is one and copy it into a folder; a file that is there and differs stays."""
    found = source.steers()
    if len(found) != 1:
        raise InputError(
            f"The repository holds {len(found) or 'no'} steers{': ' * bool(found)}{', '.join(found)}. Name one that holds one."
        )
    content = (path := source.fetched(found[0])).read_bytes()
    load_intervention(path)
    target = out / Path(found[0]).name
    if target.exists() and target.read_bytes() != content:
        raise InputError(f"{str(target)!r} is there already and is another file. Move it away, or name another --out.")
    return write_atomically(target, lambda temporary: temporary.write_bytes(content))


@dataclass(frozen=True)
class _Folder(Repository):
    path: Path

    def steers(self) -> list[str]:
        return sorted(path.name for path in self.path.glob(f"*{SUFFIX}") if says_steer(read_metadata(path)))

    def fetched(self, name: str) -> Path:
        return self.path / name

    def put(self, files: Mapping[str, bytes]) -> str:
        for name, content in files.items():
            write_atomically(self.path / name, lambda temporary, content=content: temporary.write_bytes(content))
        return str(self.path)


@dataclass(frozen=True)
class _Hub(Repository):
    name: str
    revision: str | None
    private: bool

    def steers(self) -> list[str]:
        api = HfApi()
        with self._asked():
            if not api.repo_exists(self.name):
                return []
            names = [name for name in api.list_repo_files(self.name, revision=self.revision) if name.endswith(SUFFIX)]
            # By their headers: a repository may hold a model's weights, too.
            return [name for name in names if says_steer(self._metadata(api, name))]

    def _metadata(self, api: HfApi, name: str) -> Mapping[str, str]:
        try:
            return api.parse_safetensors_file_metadata(self.name, name, revision=self.revision).metadata or {}
        except (SafetensorsParsingError, NotASafetensorsRepoError):
            return {}

    def fetched(self, name: str) -> Path:
        with self._asked():
            return Path(HfApi().hf_hub_download(self.name, name, revision=self.revision))

    def put(self, files: Mapping[str, bytes]) -> str:
        api = HfApi()
        with self._asked():
            made = api.create_repo(self.name, private=self.private, exist_ok=True)
            added = [CommitOperationAdd(name, content) for name, content in files.items()]
            api.create_commit(made.repo_id, added, commit_message=f"Add {next(iter(files))}")
            return str(made)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except (HTTPError, OSError, ValueError) as error:
            raise InputError(
                f"The hub did not do what was asked of {self.name!r} ({first_line(error)}). Look at the name, the network and "
                "`hf auth login`, or name a folder (./steers)."
            ) from error
