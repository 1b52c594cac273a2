"""llama.cpp by its C functions, as the wheel `xllamacpp` has them: logits of a model file, steered by what a file holds.

Structures are as large as in the version that pyproject.toml pins; of their fields those are set whose places stand here.
"""

import ctypes
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from gguf import MODEL_ARCH_NAMES, GGUFReader, GGUFWriter, get_tensor_name_map


class _ModelParameters(ctypes.Structure):
    _fields_ = [("content", ctypes.c_uint8 * 80)]


class _ContextParameters(ctypes.Structure):
    _fields_ = [("content", ctypes.c_uint32 * 42)]


N_CONTEXT, N_BATCH, N_MICRO_BATCH, N_THREADS, N_BATCH_THREADS, FLASH_ATTENTION, TYPE_K, TYPE_V = (
    0,
    1,
    2,
    7,
    8,
    13,
    26,
    27,
)
"""Places in the context's parameters, by fours."""


class _Batch(ctypes.Structure):
    _fields_ = [
        ("n_tokens", ctypes.c_int32),
        ("token", ctypes.POINTER(ctypes.c_int32)),
        ("embd", ctypes.POINTER(ctypes.c_float)),
        ("pos", ctypes.POINTER(ctypes.c_int32)),
        ("n_seq_id", ctypes.POINTER(ctypes.c_int32)),
        ("seq_id", ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
        ("logits", ctypes.POINTER(ctypes.c_int8)),
    ]


_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
_silent = _LOG(lambda level, text, data: None)


def library() -> ctypes.CDLL:
    spec = importlib.util.find_spec("xllamacpp")
    assert spec is not None and spec.submodule_search_locations
    (path,) = Path(next(iter(spec.submodule_search_locations))).glob("xllamacpp*.so")
    lib = ctypes.CDLL(str(path))
    lib.llama_log_set(_silent, None)
    pointer = ctypes.c_void_p
    signatures = {
        "llama_model_default_params": (_ModelParameters, []),
        "llama_context_default_params": (_ContextParameters, []),
        "llama_model_load_from_file": (pointer, [ctypes.c_char_p, _ModelParameters]),
        "llama_init_from_model": (pointer, [pointer, _ContextParameters]),
        "llama_adapter_lora_init": (pointer, [pointer, ctypes.c_char_p]),
        "llama_set_adapters_lora": (
            ctypes.c_int32, [pointer, ctypes.POINTER(pointer), ctypes.c_size_t, ctypes.POINTER(ctypes.c_float)]
        ),
        "llama_set_adapter_cvec": (
            ctypes.c_int32,
            [pointer, ctypes.POINTER(ctypes.c_float), ctypes.c_size_t, ctypes.c_int32, ctypes.c_int32, ctypes.c_int32],
        ),
        "llama_batch_init": (_Batch, [ctypes.c_int32] * 3),
        "llama_decode": (ctypes.c_int32, [pointer, _Batch]),
        "llama_get_logits": (ctypes.POINTER(ctypes.c_float), [pointer]),
        "llama_model_n_layer": (ctypes.c_int32, [pointer]),
        "llama_free": (None, [pointer]),
        "llama_model_free": (None, [pointer]),
    }  # fmt: skip
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def logits(
    model: Path,
    tokens: list[int],
    d_vocab: int,
    *,
    vector: Path | None = None,
    lora: Path | None = None,
    begin: int = 0,
) -> torch.Tensor:
    """Of every token of one text, in float32 throughout; those from `begin` on are steered."""
    lib = library()
    opened = lib.llama_model_load_from_file(str(model).encode(), lib.llama_model_default_params())
    assert opened, f"llama.cpp does not open {model}"
    asked = lib.llama_context_default_params()
    for place, value in {
        N_CONTEXT: 64, N_BATCH: 64, N_MICRO_BATCH: 64, N_THREADS: 1, N_BATCH_THREADS: 1, FLASH_ATTENTION: 0, TYPE_K: 0, TYPE_V: 0
    }.items():  # fmt: skip
        asked.content[place] = value
    context = lib.llama_init_from_model(opened, asked)
    try:
        before = _decoded(lib, context, tokens[:begin], 0, d_vocab)
        if vector is not None:
            _steer(lib, context, lib.llama_model_n_layer(opened), vector)
        if lora is not None:
            adapter = lib.llama_adapter_lora_init(opened, str(lora).encode())
            assert adapter, f"llama.cpp does not open {lora}"
            scales = (ctypes.c_float * 1)(1.0)
            assert lib.llama_set_adapters_lora(context, (ctypes.c_void_p * 1)(adapter), 1, scales) == 0
        after = _decoded(lib, context, tokens[begin:], begin, d_vocab)
    finally:
        lib.llama_free(context)
        lib.llama_model_free(opened)
    return torch.from_numpy(np.concatenate([before, after]))


def _decoded(lib: ctypes.CDLL, context: int, tokens: list[int], begin: int, d_vocab: int) -> np.ndarray:
    """Logits of the tokens, the first of which stands at `begin`."""
    if not tokens:
        return np.zeros((0, d_vocab), np.float32)
    batch = lib.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for place, token in enumerate(tokens):
        batch.token[place], batch.pos[place], batch.n_seq_id[place], batch.logits[place] = token, begin + place, 1, 1
        batch.seq_id[place][0] = 0
    assert lib.llama_decode(context, batch) == 0
    return np.ctypeslib.as_array(lib.llama_get_logits(context), (len(tokens), d_vocab)).copy()


def _steer(lib: ctypes.CDLL, context: int, n_layers: int, path: Path) -> None:
    """What llama.cpp's own loader makes of a control vector's file: layer by layer from 1, zeros where there is none."""
    tensors = {tensor.name: np.array(tensor.data, np.float32) for tensor in GGUFReader(path).tensors}
    width = len(next(iter(tensors.values())))
    data = np.zeros((n_layers - 1, width), np.float32)
    for name, value in tensors.items():
        layer = int(name.partition(".")[2])
        assert layer > 0
        data[layer - 1] = value
    place = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
    assert lib.llama_set_adapter_cvec(context, place, data.size, width, 1, n_layers) == 0


ARCHITECTURES = {
    "llama": "llama", "mistral": "llama", "gpt2": "gpt2", "gemma2": "gemma2", "gemma3_text": "gemma3", "qwen2": "qwen2",
    "qwen3": "qwen3", "gpt_neox": "gptneox", "phi3": "phi3",
}  # fmt: skip
"""By the type of a Hugging Face model; llama.cpp has no others of the tests' families."""


def write_model(hf, path: Path) -> Path:
    """A Hugging Face model as a GGUF file in float32, under the names that the package `gguf` has for its tensors."""
    config, kind = hf.config, hf.config.model_type
    if kind not in ARCHITECTURES:
        raise NotImplementedError(f"llama.cpp has no models of the type {kind}")
    writer = GGUFWriter(path, ARCHITECTURES[kind])
    n_heads, width = config.num_attention_heads, config.hidden_size
    head = getattr(config, "head_dim", None) or width // n_heads
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(width)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(getattr(config, "intermediate_size", 4 * width))
    writer.add_head_count(n_heads)
    writer.add_head_count_kv(getattr(config, "num_key_value_heads", n_heads))
    writer.add_key_length(head)
    writer.add_value_length(head)
    if hasattr(config, "rms_norm_eps"):
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    else:
        writer.add_layer_norm_eps(getattr(config, "layer_norm_epsilon", None) or config.layer_norm_eps)
    if rope := getattr(config, "rope_parameters", None):
        rope = rope.get("full_attention", rope)
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_rope_dimension_count(int(head * rope.get("partial_rotary_factor", 1.0)))
    if kind == "gpt_neox":
        writer.add_parallel_residual(config.use_parallel_residual)
    if "gemma" in kind or kind == "phi3":
        writer.add_sliding_window(config.sliding_window or 0)
    if kind == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    writer.add_file_type(0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("none")
    (architecture,) = (key for key, name in MODEL_ARCH_NAMES.items() if name == ARCHITECTURES[kind])
    names = get_tensor_name_map(architecture, config.num_hidden_layers)
    for ours, value in hf.state_dict().items():
        if its := names.get_name(ours, (".weight", ".bias")):
            writer.add_tensor(its, np.ascontiguousarray(_in_its_order(ours, value.float(), config, head)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def with_its_gelu(hf):
    """The model with GELU as llama.cpp takes it; others are left as they are."""
    for parent in list(hf.modules()):
        for name, child in list(parent.named_children()):
            if "GELU" in type(child).__name__:
                setattr(parent, name, _Gelu())
    return hf


@contextmanager
def nudged(by: float) -> Iterator[None]:
    """Inside the block what `with_its_gelu` looks up is moved a little, so that it may fall to the other side of an entry."""
    _Gelu.nudge = by
    try:
        yield
    finally:
        _Gelu.nudge = 0.0


class _Gelu(torch.nn.Module):
    """The approximation by tanh, from a table whose arguments and values have half precision."""

    nudge = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = torch.nn.functional.gelu((x + self.nudge).half().float(), approximate="tanh").half().float()
        return torch.where(x >= 10, x, torch.where(x <= -10, 0.0, inside))


def _in_its_order(name: str, value: torch.Tensor, config, head: int) -> np.ndarray:
    """What llama.cpp means by the tensor: how it turns queries and keys, lays out weights, and folds constants in."""
    kind = config.model_type
    if ARCHITECTURES[kind] == "llama" and ("q_proj" in name or "k_proj" in name):
        # Neighbours are turned as a pair, where Hugging Face turns halves.
        value = value.view(-1, 2, head // 2, value.shape[1]).transpose(1, 2).reshape(value.shape)
    if kind == "gpt2" and value.ndim == 2 and ".h." in name:
        value = value.T
    if "query_key_value" in name:
        value = value.view(-1, 3, head, *value.shape[1:]).transpose(0, 1).reshape(value.shape)
    if "gemma" in kind:
        value = value + 1 if name.endswith("norm.weight") else value
        # Its own scale of attention is that of the head's width.
        if (".q_proj" if kind == "gemma2" else ".q_norm") in name:
            value = value * (head / config.query_pre_attn_scalar) ** 0.5
    return value.numpy()
