"""Real language models as GGUF files: losses under a steer are those of plain Hugging Face with a hook of its own."""

import os
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import mechsteer as ms

FOLDER = os.environ.get("MECHSTEER_MODELS")
NAMES = ("SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf", "Qwen2.5-Coder-0.5B-Instruct-q4_k_m.gguf")
PAIRS = ms.Pairs(
    (
        ms.PolarityPair("The film was", " a joy from start to end.", " a bore from start to end.", id="film"),
        ms.PolarityPair("Would you say this: 'I like to help others'?", " Yes", " No", id="two options"),
        ms.PolarityPair(
            "How was the walk?", " We felt happy and proud.", " It was a dull day, and we were sad.", id="matched",
            negative_query="Tell me of your day in a few words.",
        ),
    ),
    "moods",
)  # fmt: skip
MULTIPLIERS = (-2.0, 0.0, 1.0)


@pytest.mark.skipif(FOLDER is None, reason="MECHSTEER_MODELS names no folder with real models")
@pytest.mark.parametrize("name", NAMES)
def test_losses_of_a_gguf_file_under_a_steer_are_those_of_plain_hugging_face(name):
    """As texts are, and as the model is asked: in its chat template, or if it has none, before a cue."""
    path = Path(str(FOLDER), name)
    if not path.is_file():
        pytest.skip(f"MECHSTEER_MODELS holds no {name}")
    model = ms.load_model(path, device="cpu")
    site = ms.Site(model.n_layers // 2, "resid_post")
    asked = "chat" if model.require_tokenizer().chat_template else "cued"
    sweeps = {}
    for prompt_format in ("raw", asked):
        vector = ms.diff_mean(model, PAIRS, site, prompt_format=prompt_format)
        encoded = ms.encode_pairs(model, PAIRS, prompt_format)
        sweeps[prompt_format] = (
            vector.direction,
            encoded,
            ms.run_sweep(model, vector, PAIRS, MULTIPLIERS, progress=False),
        )
    del model
    plain, tokenizer = (
        kind.from_pretrained(path.parent, gguf_file=name) for kind in (AutoModelForCausalLM, AutoTokenizer)
    )
    plain.eval()
    for prompt_format, (shift, encoded, sweep) in sweeps.items():
        for column, (pair, own) in enumerate(zip(PAIRS, encoded, strict=True)):
            sides = zip(
                pair.queries, pair.texts[2:], own.begins, (sweep.loss_positive, sweep.loss_negative), strict=True
            )
            for query, completion, begin, losses in sides:
                ids = rendered(tokenizer, query, completion, prompt_format)
                assert tokenizer.decode(ids[begin:]).strip().startswith(completion.strip())
                for row, multiplier in enumerate(sweep.multipliers):
                    expected = loss(plain, ids, begin, site.layer, float(multiplier) * shift, tokenizer.bos_token_id)
                    assert abs(losses[row, column] - expected) < 1e-4


def rendered(tokenizer, query: str, completion: str, prompt_format: str) -> list[int]:
    """The whole text as tokens, by the tokenizer alone."""
    if prompt_format != "chat":
        return tokenizer(f"{query}\nAnswer:{completion}" if prompt_format == "cued" else query + completion)[
            "input_ids"
        ]
    turns = [{"role": "user", "content": query}, {"role": "assistant", "content": completion.strip()}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    return tokenizer(text.rstrip(), add_special_tokens=False)["input_ids"]


def loss(plain, ids: list[int], begin: int, layer: int, shift: torch.Tensor, bos: int | None) -> float:
    """Of one text by itself, in nats, the shift added after a block to every token but the first one of texts."""
    steered = (torch.tensor(ids) != bos) | (torch.arange(len(ids)) > 0)

    def add(module, args, output):
        hidden = output[0] if isinstance(output, tuple) else output
        hidden += steered[:, None] * shift

    hook = plain.model.layers[layer].register_forward_hook(add)
    with torch.no_grad():
        logits = plain(torch.tensor([ids]), use_cache=False).logits[0].double().log_softmax(-1)
    hook.remove()
    return -sum(float(logits[at - 1, ids[at]]) for at in range(begin, len(ids)))
