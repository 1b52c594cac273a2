"""Checkpoints in Hugging Face format whose own weights are changed; the change is read by comparing two of them."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..errors import InputError
from ..interventions.base import Intervention, Origin, Shift
from ..interventions.joint import join
from ..interventions.local_weight import LocalWeight
from ..interventions.vector import SteeringVector
from ..models.opening import BUILT_IN, files_of
from ..models.sites import Site
from ..models.source import Source
from ..store.atomic import write_atomically
from ..store.reading import damaged, read_json
from .modules import sites_of_modules
from .pickles import FLOATS, strange

NAME = "merged"
TITLE = "a checkpoint with changed weights"
ORDER = 110
SUFFIXES = ()
ASKS = {"base": "the checkpoint before the change: a folder, or a hub name"}
MAY = {"revision": "which branch, tag or commit of the base; by default the newest that the hub has"}
SAYS = {"forms": None, "places": ("mlp.out", "attn.o"), "several": True}
NEEDS_MODEL = True
CONFIG = "config.json"
AXES = {"weight": 2, "bias": 1}
TRANSPOSED = ("gpt2", "openai-gpt")
"""Types of models that keep these weights as [in, out]."""


def recognises(path: Path) -> bool:
    """Whether the folder holds a model."""
    return (path / CONFIG).is_file()


def read(path: Path, base: str, revision: str = "") -> Intervention:
    """A local weight at each site whose weight or bias differs."""
    before = _files(base, revision=revision)
    after = Source.at(str(path), {})
    is_transposed = read_json(path / CONFIG, {str: object}).get("model_type") in TRANSPOSED
    changes: dict[Site, dict[str, Tensor]] = {}
    changed: list[str] = []
    dtypes: set[tuple[str, str]] = set()
    with ExitStack() as stack:
        old, new = (_Tensors.of(source, stack) for source in (before, after))
        if differing := sorted(old.names ^ new.names):
            raise InputError(
                f"Only one of {base!r} and {str(path)!r} has {differing[0]!r}. Pass two checkpoints of one model."
            )
        for name in sorted(new.names):
            one, other = old.get(name), new.get(name)
            if one.shape != other.shape:
                raise InputError(
                    f"{name!r} has another shape in {base!r} than in {str(path)!r}. Pass two of one model."
                )
            if one.dtype != other.dtype:
                dtypes.add((_called(one.dtype), _called(other.dtype)))
            if not _are_equal(one, other):
                changed.append(name)
        if not changed:
            raise InputError(f"{str(path)!r} has the same weights as {base!r}, so that it holds no steer.")
        try:
            sites = _sites_of(changed)
        except InputError as error:
            if not dtypes:
                raise
            ((ours, theirs), *_) = sorted(dtypes)
            raise InputError(
                f"{base!r} is in {ours} and {str(path)!r} in {theirs}, so that weights differ by rounding alone. Pass two "
                f"checkpoints of one dtype. ({error})"
            ) from error
        for name, (site, what) in sites.items():
            one, other = old.get(name), new.get(name)
            _check(name, one, what)
            _check(name, other, what)
            changes.setdefault(site, {})[what] = other.float() - one.float()
    origin = Origin(positions="every", model=base, revision=revision)
    return join([_shift(site, change, is_transposed, origin) for site, change in changes.items()])


def _are_equal(one: Tensor, other: Tensor) -> bool:
    if one.dtype in FLOATS and other.dtype in FLOATS:
        return torch.equal(one.float(), other.float())
    # Others have no arithmetic, or one in which numbers that differ are equal.
    return one.dtype == other.dtype and torch.equal(*(tensor.flatten().view(torch.uint8) for tensor in (one, other)))


def _check(name: str, tensor: Tensor, what: str) -> None:
    """Raise one sentence if it is no weight or bias that a shift can be the change of."""
    n_axes = AXES[what]
    wrong = strange(tensor) or (f"of shape {tuple(tensor.shape)}" if tensor.ndim != n_axes else "")
    if wrong:
        raise InputError(
            f"{name!r} is changed and {wrong}, where a {what} of floats with {n_axes} axes should be. Pass two checkpoints in "
            "float32, bfloat16 or float16."
        )


def _called(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _shift(site: Site, change: Mapping[str, Tensor], is_transposed: bool, origin: Origin) -> Shift:
    if "weight" not in change:
        return SteeringVector(site, change["bias"], origin=origin)
    weight = change["weight"].T.contiguous() if is_transposed else change["weight"]
    return LocalWeight(site, weight, change.get("bias", torch.zeros(len(weight))), origin=origin)


def _sites_of(names: Sequence[str]) -> dict[str, tuple[Site, str]]:
    """The sites of tensors that are changed, and whether each is a weight or a bias."""
    parts = {name: name.rpartition(".")[::2] for name in names}
    if others := [name for name, (_, what) in parts.items() if what not in AXES]:
        raise InputError(
            f"{others[0]!r} is changed, which is no weight or bias of a site. Steer by the merged model itself."
        )
    sites = sites_of_modules(sorted({module for module, _ in parts.values()}))
    return {name: (sites[module], what) for name, (module, what) in parts.items()}


def _files(name: str, dtype: torch.dtype | None = None, revision: str = "") -> Source:
    """Where a model's checkpoint lies; one that is in memory alone lies nowhere."""
    return files_of(str(BUILT_IN.get(name, name)), dtype, {"revision": revision} if revision else {})[0]


class _Tensors:
    """The tensors of a checkpoint by name, each read when it is asked for."""

    def __init__(self, where: dict[str, Any]):
        self._where, self.names = where, set(where)

    @classmethod
    def of(cls, source: Source, stack: ExitStack) -> "_Tensors":
        where = {}
        for path in _shards(source):
            try:
                file = stack.enter_context(safe_open(path, framework="pt"))
            except (SafetensorError, OSError) as error:
                raise damaged(path, f"it is no safetensors file that can be read ({error})") from error
            where |= dict.fromkeys(file.keys(), file)
        return cls(where)

    def get(self, name: str) -> Tensor:
        return self._where[name].get_tensor(name)


def _shards(source: Source) -> Iterator[Path]:
    names = source.ending(".safetensors")
    if not names:
        raise InputError(f"{source.name!r} holds no weights in safetensors. Save them so, by save_pretrained.")
    yield from (source.path(name) for name in names)


def write(intervention: Intervention, path: Path, model: Any) -> list[Path]:
    """The model's own checkpoint, shard by shard, with the weights at the sites changed; all else is copied as it is."""
    source = _files(model.name, model.dtype, model.revision or "")
    if source.folder is not None and source.folder.resolve() == path.resolve():
        raise InputError(f"--out is {str(path)!r}, the model itself. Name another folder.")
    left = _changes(intervention, model, model.hf.config.model_type in TRANSPOSED)
    with ExitStack() as stack:
        known = {_key(name) for name in _Tensors.of(source, stack).names}
    if missing := [place for place in left if place not in known]:
        site, what = missing[0]
        raise InputError(
            f"The map at {site} of {model.name} has no {what} of its own, so nothing is added to it. Export the steer as peft."
        )
    if stale := sorted({file.name for file in path.glob("*.safetensors")} - {shard.name for shard in _shards(source)}):
        raise InputError(
            f"{str(path)!r} holds {stale[0]} already, which is no file of {model.name}. Name another --out."
        )
    path.mkdir(parents=True, exist_ok=True)
    written = []
    for shard in _shards(source):
        with safe_open(shard, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name, tensor in tensors.items():
            if (place := _key(name)) in left:
                tensors[name] = (tensor.float() + left.pop(place)).to(tensor.dtype).contiguous()
        written.append(
            write_atomically(
                path / shard.name, lambda to, tensors=tensors, metadata=metadata: save_file(tensors, to, metadata)
            )
        )
    for name in source.files:
        if not name.endswith((".safetensors", ".bin", ".pt", ".pth", ".gguf")):
            written.append(Path(shutil.copyfile(source.path(name), path / name)))
    return written


def _changes(intervention: Intervention, model: Any, is_transposed: bool) -> dict[tuple[Site, str], Tensor]:
    found: dict[tuple[Site, str], Tensor] = {}
    for site, shift in intervention.shifts.items():
        weight, bias = shift.as_weights(*site.widths(model))
        parts = {"weight": weight.T if is_transposed else weight, "bias": bias}
        found |= {(site, what): part for what, part in parts.items() if part.any()}
    return found


def _key(name: str) -> tuple[Site, str] | None:
    try:
        return _sites_of([name])[name]
    except InputError:
        return None
