"""Tiny random models of every family that transformers can build and TransformerLens has an adapter for.

Sizes are set by the names that configurations give them; whatever a family derives from them, it derives itself.
"""

from typing import Any

import torch
import transformers
from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES
from transformers import CONFIG_MAPPING, PretrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto

D_VOCAB, BOS, EOS = 104, 0, 1
WINDOW = 12
"""Where windows, chunks and other switches begin to matter."""

_SIZES: dict[int, str] = {
    D_VOCAB: "vocab_size vocab_size_per_layer_input",
    128: "max_position_embeddings n_positions n_ctx max_seq_len context_length max_target_positions",
    48: "intermediate_size ffn_dim n_inner ffn_hidden_size intermediate_size_mlp shared_intermediate_size",
    32: "hidden_size d_model n_embd embedding_dim word_embed_proj_dim lru_width attention_hidden_size out_hidden_size "
    "mamba_d_ssm",
    24: "moe_intermediate_size shared_expert_intermediate_size moe_shared_expert_intermediate_size",
    WINDOW: "sliding_window window_size local_attention attention_window_size attention_chunk_size chunk_size "
    "mamba_chunk_size index_topk original_max_position_embeddings",
    8: "head_dim global_head_dim qk_nope_head_dim v_head_dim kv_lora_rank q_lora_rank o_lora_rank index_head_dim "
    "linear_key_head_dim linear_value_head_dim hidden_size_per_layer_input laurel_rank kv_channels ssm_state_size "
    "state_size mamba_d_state time_step_rank mamba_dt_rank adapter_rank mamba_d_head mamba_head_dim",
    4: "num_hidden_layers num_layers n_layer n_layers depth num_attention_heads n_head n_heads num_heads attention_heads "
    "index_n_heads linear_num_value_heads num_experts n_routed_experts num_local_experts moe_num_experts qk_rope_head_dim "
    "rotary_dim mamba_n_heads mamba_num_heads",
    2: "num_key_value_heads num_kv_heads linear_num_key_heads num_experts_per_tok moe_k n_group topk_group o_groups "
    "attn_layer_period",
    1: "first_k_dense_replace n_groups mamba_n_groups mamba_expand expand attn_layer_offset",
}  # fmt: skip
SIZES = {name: size for size, names in _SIZES.items() for name in names.split()}
SIZES |= {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": EOS}

_ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [1, 1, 2]}
MORE: dict[str, dict[str, Any]] = {
    "bamba": {"attn_layer_indices": [1, 3]},
    "bert": {"is_decoder": True},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
    "modernbert-decoder": {"global_attn_every_n_layers": 2},
    "llama4_text": {"moe_layers": [1]},
    "qwen2": {"use_sliding_window": True, "max_window_layers": 1},
    "granite": {"residual_multiplier": 0.22, "embedding_multiplier": 12.0, "logits_scaling": 0.25},
    "zamba2": {"attention_hidden_size": 64, "attention_head_dim": 16},
    "emu3": {"vocabulary_map": {}, "vq_config": {"base_channels": 32, "embed_dim": 8, "codebook_size": 64}},
    "glm4v": {"text_config": {"rope_parameters": _ROPE}},
    "qwen2_5_vl": {"text_config": {"rope_parameters": _ROPE}},
}
"""What a family cannot derive from its sizes, and what its default leaves out."""

_MODELS = {
    **modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    **modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
}


def families() -> list[str]:
    """Causal models, and models that look at pictures around one."""
    return [name for name, model in _MODELS.items() if model in SUPPORTED_ARCHITECTURES]


def build(family: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A random model of the family, the same at every call, with norms and biases that are not trivial."""
    torch.manual_seed(0)
    hf = getattr(transformers, _MODELS[family])(_small(CONFIG_MAPPING[family], dict(MORE.get(family, {})))).eval()
    with torch.no_grad():
        for parameter in hf.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return hf.to(dtype)


def _small(kind: type[PretrainedConfig], more: dict[str, Any]) -> PretrainedConfig:
    whole = kind()
    own = {*whole.to_dict(), *kind.attribute_map}
    sizes = {name: size for name, size in SIZES.items() if name in own}
    if "qk_rope_head_dim" in own:
        # Latent attention: every head has keys of its own, and its width is that of what is rotated.
        sizes |= {"head_dim": SIZES["qk_rope_head_dim"], "num_key_value_heads": SIZES["num_attention_heads"]}
        sizes = {name: size for name, size in sizes.items() if name in own}
    for name in ("layer_types", "layers_block_type"):
        kinds = list(dict.fromkeys(getattr(whole, name, None) or ()))
        if len(kinds) > 1 and name in kind.__dataclass_fields__:
            sizes[name] = [kinds[layer % len(kinds)] for layer in range(4)]
    nested = {name: getattr(whole, name) for name in kind.sub_configs}
    inner = {name: _small(type(part), more.pop(name, {})) for name, part in nested.items() if part is not None}
    return kind(**sizes | inner | more)
