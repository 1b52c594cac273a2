"""Opening a checkpoint as what it is: what the loader says of it is looked at, and what it does not say is tried."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from ..errors import InputError
from .model import embedding
from .source import WHERE, Source, first_line

POINTER = b"version https://git-lfs.github.com/spec/"
"""How a Git LFS pointer begins, which lies where a large file was not fetched."""
LOADING = (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError)
"""What libraries raise for files that are not what they should be."""


def open_checkpoint(source: Source, dtype: torch.dtype | None, options: Mapping[str, Any]) -> PreTrainedModel:
    """The model that the files hold, whole and as its configuration says; else one sentence.

    Args:
        options: `from_pretrained`'s. Neither pickles nor code of the checkpoint's own are run unless these ask for it, by
            `use_safetensors=False` or `trust_remote_code=True`.
    """
    options = {"trust_remote_code": False, "use_safetensors": True, **options}
    _check_weights(source, options)
    with quiet():
        try:
            kept = {key: options[key] for key in (*WHERE, "trust_remote_code", "code_revision") if key in options}
            _check_kind(source, AutoConfig.from_pretrained(source.name, **kept))
            # "auto" is the checkpoint's own dtype. Weights of another shape come back as such, rather than as an exception.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                source.name,
                dtype="auto" if dtype is None else dtype,
                **options | {"output_loading_info": True, "ignore_mismatched_sizes": True},
            )
        except InputError:
            raise
        except LOADING as error:
            raise InputError(why_not(source, error, "model")) from error
    hf, told = loaded
    check_loaded(source.name, told)
    _check_architecture(source, hf)
    return hf


def check_loaded(name: str, told: dict[str, Any]) -> None:
    """Refuse weights that would be random numbers, and weights that would be left out."""
    if told["error_msgs"]:
        raise InputError(f"The weights at {name!r} do not load ({told['error_msgs'][0]}). Fetch them again.")
    if wrong := sorted(told["mismatched_keys"]):
        key, there, asked = wrong[0]
        raise InputError(
            f"Of the weights at {name!r}, {len(wrong)} are not of the size that config.json says, such as {key}: "
            f"{tuple(there)}, not {tuple(asked)}. Pass the checkpoint with its own config.json."
        )
    if missing := sorted(told["missing_keys"]):
        raise InputError(
            f"The checkpoint at {name!r} lacks {missing[0]}{_and_others(missing)}, which would be random numbers. "
            "Pass a whole one."
        )
    if unexpected := sorted(told["unexpected_keys"]):
        raise InputError(
            f"The checkpoint at {name!r} holds {unexpected[0]}{_and_others(unexpected)}, for which the model that "
            "config.json describes has no place. Pass the checkpoint with its own config.json; a model that may do without "
            "can be opened in transformers and passed to load_model."
        )


def check_causal(hf: PreTrainedModel, name: str) -> None:
    """Raise one sentence unless what stands later in a text leaves the logits before it alone."""
    if hf.config.is_encoder_decoder:
        raise InputError(f"{name!r} is an encoder with a decoder ({type(hf).__name__}). Pass a causal language model.")
    tokens = torch.tensor([[0, 1, 0], [0, 1, 1]], device=embedding(hf).device)
    with torch.no_grad():
        logits = hf(input_ids=tokens, use_cache=False).logits[:, :2].float()
    # Rows of one batch differ by rounding at most: half the digits of a dtype are far from it, and from any attention.
    if (logits[0] - logits[1]).abs().max() > torch.finfo(hf.dtype).eps ** 0.5 * logits.abs().max():
        raise InputError(
            f"{name!r} lets a token see what comes after it ({type(hf).__name__}), so its probabilities are not those of a "
            "text. Pass a causal language model."
        )


def why_not(source: Source, error: Exception, what: str) -> str:
    """Why a source could not be opened, in one sentence that says what to do."""
    for path in (source.folder / name for name in source.files) if source.folder else ():
        if is_pointer(path):
            return f"{str(path)!r} is a Git LFS pointer and not the file itself. Run `git lfs pull` in its folder."
        if path.suffix == ".safetensors" and (damage := _damage(path)):
            return f"{str(path)!r} is cut short or damaged ({damage}). Fetch it again."
    # transformers names the option where code of a checkpoint's own would have to run.
    if "trust_remote_code" in str(error):
        return (
            f"The {what} at {source.name!r} needs Python code that lies beside it, which is not run unasked. Read it, then "
            "open it with load_model(..., trust_remote_code=True) if you trust it."
        )
    return (
        f"No {what} could be opened at {source.name!r} ({first_line(error)}). Pass another {what}, or mend its files."
    )


def is_pointer(path: Path) -> bool:
    """Whether a file only names, for Git LFS, what should lie there."""
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER


@contextmanager
def quiet() -> Iterator[None]:
    """Hugging Face's progress bars for loading weights say nothing about a study."""
    was_enabled = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_enabled:
            transformers.utils.logging.enable_progress_bar()


def _check_weights(source: Source, options: Mapping[str, Any]) -> None:
    if source.folder and "config.json" not in source.files:
        raise InputError(f"The folder {source.name!r} holds no config.json, so it is no Hugging Face model.")
    pickles = source.ending(".bin", ".pt", ".pth")
    if options["use_safetensors"] and pickles and not source.ending(".safetensors"):
        raise InputError(
            f"The weights at {source.name!r} are a pickle ({pickles[0]}), which can run code when it is read. Convert them to "
            "safetensors, or open them with load_model(..., use_safetensors=False) if you trust them."
        )


def _check_kind(source: Source, config: PreTrainedConfig) -> None:
    if config.is_encoder_decoder:
        raise InputError(
            f"{source.name!r} is an encoder with a decoder ({config.model_type}). Pass a causal language model."
        )
    known = type(config) in transformers.MODEL_FOR_CAUSAL_LM_MAPPING
    if not known and "AutoModelForCausalLM" not in getattr(config, "auto_map", {}):
        raise InputError(
            f"{source.name!r} is no causal language model: transformers {transformers.__version__} has none of the type "
            f"{config.model_type!r}. Pass one that it can open."
        )


def _check_architecture(source: Source, hf: PreTrainedModel) -> None:
    """Weights of one architecture can fill another without a word: Gemma's fill a Llama, whose norms work otherwise."""
    if type(hf).__module__.split(".")[0] != "transformers":
        return
    for named in hf.config.architectures or ():
        family = getattr(getattr(transformers, named, None), "config_class", None)
        configs = () if family is None else (family, *family.sub_configs.values())
        if named.lower() != type(hf).__name__.lower() and not isinstance(hf.config, configs):
            raise InputError(
                f"{source.name!r} names the architecture {named}, and transformers {transformers.__version__} would open it as "
                f"{type(hf).__name__}, by its type {hf.config.model_type!r}. Pass the checkpoint with its own config.json."
            )


def _and_others(names: Iterable[Any]) -> str:
    others = len(list(names)) - 1
    return f" and {others} other{'s' * (others > 1)}" if others else ""


def _damage(path: Path) -> str:
    """What safetensors says of a file that it cannot read."""
    try:
        with safe_open(path, framework="numpy"):
            return ""
    except (SafetensorError, OSError) as error:
        return first_line(error)
