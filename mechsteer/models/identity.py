"""Which model: what decides its numbers, hashed, and what it is called; told apart without PyTorch once a store knows it."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..store.keys import digest
from ..store.store import Store
from ..store.units import label

if TYPE_CHECKING:
    from .model import Model


VERSION = 2
"""Raised when a model's fingerprint is taken otherwise, so that what a store has noted of models is not read."""


@dataclass(frozen=True)
class ModelReference:
    """A model by its contents; a name, a revision and a size are for reading."""

    weights: str
    """Of every weight and the configuration (fingerprint.py)."""
    tokenizer: str
    """Of the vocabulary, the special tokens and the chat template."""
    dtype: str
    quantisation: str = ""
    name: str = label()
    revision: str | None = label(None)
    n_layers: int = label(0)
    d_model: int = label(0)
    has_layer_norm: bool = label(False)
    asks_for_the_date: bool = label(False)
    """Whether the chat template may, so that a dialogue differs from one day to the next."""

    @property
    def precision(self) -> str:
        """Its dtype, and by what it was quantised, if it was."""
        return self.dtype + (f" quantised as {self.quantisation}" if self.quantisation else "")


def identify(model: "Model") -> ModelReference:
    """The reference of an open model."""
    quantisation = getattr(model.hf.config, "quantization_config", None)
    if quantisation is not None and not isinstance(quantisation, dict):
        quantisation = quantisation.to_dict()
    return ModelReference(
        weights=model.fingerprint,
        tokenizer=tokenizer_hash(model.tokenizer),
        dtype=str(model.dtype).removeprefix("torch."),
        quantisation="" if quantisation is None else digest(json.loads(json.dumps(quantisation, default=str)))[:16],
        name=model.name,
        revision=model.revision,
        n_layers=model.n_layers,
        d_model=model.d_model,
        has_layer_norm=model.has_layer_norm,
        asks_for_the_date="strftime_now" in str(getattr(model.tokenizer, "chat_template", None)),
    )


def tokenizer_hash(tokenizer: Any) -> str:
    """Sixteen digits of all that turns text into tokens; "" where there is no tokenizer."""
    if tokenizer is None:
        return ""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    rules = backend.to_str() if backend is not None else json.dumps(sorted(tokenizer.get_vocab().items()))
    # A fast tokenizer remembers how it was last asked to pad and cut.
    if backend is not None:
        rules = json.dumps(json.loads(rules) | {"padding": None, "truncation": None}, sort_keys=True)
    told = {
        "special": {name: str(token) for name, token in sorted(tokenizer.special_tokens_map.items())},
        "template": tokenizer.chat_template,
        "kind": type(tokenizer).__name__,
    }
    return hashlib.sha256((rules + json.dumps(told, sort_keys=True)).encode()).hexdigest()[:16]


def remembered(store: Store, source: Path, dtype: str | None) -> ModelReference | None:
    """What a folder or a file was found to be when it was last opened, if its files are still the same."""
    name = _where(source, dtype)
    if name is None or not (path := store.folder / name).is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return ModelReference(**found) if found.pop("checksum") == digest(found) else None
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def remember(store: Store, source: Path, dtype: str | None, reference: ModelReference) -> None:
    """Let the next study of these files know their model without opening it."""
    name = _where(source, dtype)
    if name is not None and remembered(store, source, dtype) is None:
        said = asdict(reference)
        store.note(name, said | {"checksum": digest(said)})


def _where(source: Path, dtype: str | None) -> str | None:
    """The note's name, by the files, their sizes and times, and what is told of a model; None for what is not on this disk."""
    if not source.exists():
        return None
    paths = sorted(source.iterdir()) if source.is_dir() else [source]
    stats = {path.name: path.stat() for path in paths if path.is_file()}
    files = {name: [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()}
    told = [item.name for item in fields(ModelReference)]
    return f"models/{digest([VERSION, str(source.resolve()), dtype, files, told])[:32]}.json"
