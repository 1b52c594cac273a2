"""GGUF files: turned once into a folder in Hugging Face format, which is kept under the file's hash and opened like any other."""

import hashlib
import os
import re
from contextlib import redirect_stderr
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from gguf import GGUFReader, LlamaFileType
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedModel, PreTrainedTokenizerBase

from ..errors import InputError
from ..progress import say
from ..store.cache import cached
from .checkpoint import check_loaded, is_pointer, quiet
from .source import GGUF, Source, first_line

VERSIONS = {name: version(name) for name in ("transformers", "gguf")}
"""What decides the numbers that a file is turned into."""


def unpacked(source: Source, dtype: torch.dtype | None) -> Source:
    """The folder that a GGUF file stands for: weights of the dtype (float32 by default), configuration and tokenizer."""
    assert source.gguf is not None
    path, dtype = source.path(source.gguf), dtype or torch.float32
    with path.open("rb") as file:
        name = f"{hashlib.file_digest(file, 'sha256').hexdigest()}-{str(dtype).removeprefix('torch.')}"
    return Source.at(str(cached(f"gguf/{name}", VERSIONS, lambda folder: _unpack(path, dtype, folder))), {})


def quantisation(name: str) -> str:
    """How a GGUF file is quantised ("Q4_K_M"), by its name or else by what it says; "" where neither does, and for others."""
    if not name.lower().endswith(GGUF):
        return ""
    # Sooner by its name: to read all that stands before its tensors takes seconds.
    if found := re.search(r"(?<![A-Z0-9])(I?Q\d\w*|TQ\d\w*|B?F\d+)\.GGUF$", name.upper()):
        return found[1]
    try:
        kind = GGUFReader(os.path.expandvars(name)).fields["general.file_type"].contents()
        return LlamaFileType(kind).name.removeprefix("MOSTLY_").removeprefix("ALL_")
    except (ValueError, IndexError, KeyError, OSError, UnicodeDecodeError):
        return ""


def _unpack(path: Path, dtype: torch.dtype, folder: Path) -> None:
    """Read the file, see that nothing of it was left out or said otherwise, and save what was read."""
    said, n_numbers = _metadata(path)
    say(f"unpacking {path.name}, which is done once and takes a minute or so")
    place: dict[str, Any] = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    # The loader of GGUF files has a bar of its own, which no setting hides.
    with quiet(), redirect_stderr(StringIO()):
        try:
            tokenizer = AutoTokenizer.from_pretrained(**place)
            # Without kernels for a file's own blocks, weights are unpacked anyway; with them, hooks would see no weights.
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                **place, dtype=dtype, quantization_config=GgufConfig(dequantize=True), output_loading_info=True
            )
        except Exception as error:  # the tokenizers library raises nothing narrower
            raise InputError(
                f"The GGUF file {str(path)!r} could not be opened ({first_line(error)}). Pass another."
            ) from error
        hf, told = loaded
        check_loaded(str(path), told)
        _check_numbers(path, hf, n_numbers)
        _check_tokenizer(path, tokenizer, said)
        # It is a plain model by now, which its quantiser forbids to save.
        hf.hf_quantizer = None
        hf.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _metadata(path: Path) -> tuple[dict[str, Any], int]:
    """What the file says of itself, by another reader than the one that opens it, and how many numbers it holds."""
    if is_pointer(path):
        raise InputError(
            f"{str(path)!r} is a Git LFS pointer and not the file itself. Run `git lfs pull` in its folder."
        )
    try:
        reader = GGUFReader(path)
    except (ValueError, IndexError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The GGUF file {str(path)!r} is cut short or damaged ({first_line(error)}). Fetch it again."
        ) from error
    said = {
        name: field.contents() for name, field in reader.fields.items() if name.startswith(("tokenizer.", "split."))
    }
    if said.get("split.count", 1) > 1:
        raise InputError(
            f"{str(path)!r} is one of {said['split.count']} parts. Put them together with `llama-gguf-split --merge` first."
        )
    return said, sum(int(tensor.n_elements) for tensor in reader.tensors)


def _check_numbers(path: Path, hf: PreTrainedModel, n_numbers: int) -> None:
    """Tensors that transformers has no use for are left out in silence, such as the factors of Llama 3's long contexts."""
    taken = sum(parameter.numel() for parameter in hf.parameters())
    if taken != n_numbers:
        raise InputError(
            f"Of the {n_numbers:,} numbers in the GGUF file {str(path)!r}, transformers {VERSIONS['transformers']} would use "
            f"{taken:,}, so it would be another model. Open the checkpoint that the file was made from."
        )


def _check_tokenizer(path: Path, tokenizer: PreTrainedTokenizerBase, said: dict[str, Any]) -> None:
    """The tokenizer is put together from the file's parts; what it became must be what the file says."""
    n_tokens = len(said.get("tokenizer.ggml.tokens", ()))
    became = {
        # transformers adds some of its own beyond them.
        "number of tokens": (len({index for index in tokenizer.get_vocab().values() if index < n_tokens}), n_tokens),
        "chat template": (tokenizer.chat_template, said.get("tokenizer.chat_template")),
    }
    for name, key in {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}.items():
        became[f"{key} token"] = getattr(tokenizer, f"{name}_token_id"), said.get(f"tokenizer.ggml.{key}_token_id")
    for what, (ours, its) in became.items():
        if ours != its:
            raise InputError(
                f"transformers {VERSIONS['transformers']} makes another tokenizer of {str(path)!r} than the file describes: the "
                f"{what} is {ours!r}, not {its!r}. Open the checkpoint that the file was made from."
            )
