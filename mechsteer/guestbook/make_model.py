"""Train a guestbook's model from a seed: `python -m mechsteer.guestbook.make_model`, with `guestbook-rich` for the rich one."""

import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from math import cos, pi
from pathlib import Path
from random import Random
from shutil import rmtree
from typing import Any

import torch
import typer
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from torch.optim.lr_scheduler import LambdaLR
from transformers import BatchEncoding, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ..progress import progress_bar
from ..store.atomic import write_atomically
from . import LANGUAGES, PLAIN, RICH, Language
from .evaluate import N_NEW_TOKENS, evaluate, show
from .words import BOS, EOS, PAD, UNKNOWN

N_THREADS = 2
N_HEADS, N_POSITIONS = 4, 128
SIZES: dict[str, dict[str, Any]] = {
    PLAIN.name: {"num_hidden_layers": 4, "hidden_size": 128, "intermediate_size": 384},
    RICH.name: {"num_hidden_layers": 6, "hidden_size": 72, "intermediate_size": 192},
}
N_STEPS, BATCH_SIZE = 3500, 64
LEARNING_RATE, N_WARM_UP_STEPS = 4e-3, 100
N_STEPS_KEPT = 100
"""Steps after which an unfinished training is written down; one that is stopped goes on from there."""


def build_tokenizer(language: Language = PLAIN) -> PreTrainedTokenizerFast:
    """One word, one token, BOS first; the words of a text are whatever stands between spaces."""
    tokens = {word: token for token, word in enumerate(language.vocabulary())}
    tokenizer = Tokenizer(WordLevel(tokens, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(single=f"{BOS} $A", special_tokens=[(BOS, tokens[BOS])])
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in (PAD, BOS, EOS, UNKNOWN)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        unk_token=UNKNOWN,
        model_max_length=N_POSITIONS,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )


def build_model(seed: int, language: Language = PLAIN) -> LlamaForCausalLM:
    """The model before its first step."""
    torch.manual_seed(seed)
    words = language.vocabulary()
    config = LlamaConfig(
        vocab_size=len(words),
        **SIZES[language.name],
        num_attention_heads=N_HEADS,
        max_position_embeddings=N_POSITIONS,
        tie_word_embeddings=False,
        bos_token_id=words.index(BOS),
        eos_token_id=words.index(EOS),
        pad_token_id=words.index(PAD),
    )
    model = LlamaForCausalLM(config)
    # Transformers would cut every distribution to its fifty likeliest words.
    model.generation_config.update(do_sample=True, top_k=0, max_new_tokens=N_NEW_TOKENS)
    return model


def batches(
    tokenizer: PreTrainedTokenizerFast, batch_size: int, seed: int, language: Language = PLAIN
) -> Iterator[BatchEncoding]:
    """Fresh texts without end; those of a batch are of about one length, so that little is padding."""
    random = Random(f"training {seed}")
    while True:
        texts = sorted(
            (str(language.draw_text(random)) for _ in range(16 * batch_size)), key=lambda text: text.count(" ")
        )
        starts = list(range(0, len(texts), batch_size))
        random.shuffle(starts)
        for start in starts:
            yield tokenizer(texts[start : start + batch_size], padding=True, return_tensors="pt")


def rate(step: int, n_steps: int) -> float:
    """The share of the full learning rate: up in a line, down to nothing along a cosine."""
    if step < N_WARM_UP_STEPS:
        return (step + 1) / N_WARM_UP_STEPS
    done = (step - N_WARM_UP_STEPS) / max(1, n_steps - N_WARM_UP_STEPS)
    return (1 + cos(pi * done)) / 2


def train(
    n_steps: int,
    batch_size: int,
    seed: int,
    language: Language = PLAIN,
    kept: Path | None = None,
    stop: int | None = None,
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Next-word prediction on whole texts, query and answer alike.

    Args:
        kept: a file that is written now and then, from which a training that was cut short goes on.
        stop: steps after which it ends, though the learning rate falls as it would over all of them.
    """
    tokenizer = build_tokenizer(language)
    model = build_model(seed, language)
    # No weight decay: it keeps logits small, and a tail of words that cannot follow is left some probability.
    optimiser = torch.optim.AdamW(model.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = LambdaLR(optimiser, partial(rate, n_steps=n_steps))
    parts = {"model": model, "optimiser": optimiser, "schedule": schedule}
    done = 0
    if kept is not None and kept.exists():
        states = torch.load(kept, weights_only=True)
        done = states.pop("done")
        for name, state in states.items():
            parts[name].load_state_dict(state)
    # The texts of the steps that are done are drawn again, so that the others are what they would have been.
    stream = islice(batches(tokenizer, batch_size, seed, language), done, stop or n_steps)
    with progress_bar("training", stop or n_steps, done=done) as bar:
        for step, texts in enumerate(stream, start=done + 1):
            # Padding stands on the right, where a causal model does not see it: only the loss has to leave it out.
            labels = texts.input_ids.masked_fill(texts.attention_mask == 0, -100)
            loss = model(input_ids=texts.input_ids, labels=labels).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            bar.advance(f"training, {loss.item():.3f} nats a token")
            if kept is not None and step % N_STEPS_KEPT == 0:
                states = {name: part.state_dict() for name, part in parts.items()}
                write_atomically(kept, partial(torch.save, {"done": step} | states))
    return model.eval(), tokenizer


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the folder beside its place, then move it there: a run that is cut short leaves what was there before."""
    unfinished = folder.with_name(f".{folder.name}.partial")
    rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def main(
    language: str = PLAIN.name,
    steps: int = N_STEPS,
    stop: int | None = None,
    batch_size: int = BATCH_SIZE,
    seed: int = 0,
    out: Path | None = None,
    threads: int = N_THREADS,
) -> None:
    """Train a model of a language from a seed, put it in place of the folder OUT, and show how well it speaks."""
    torch.set_num_threads(threads)
    chosen = LANGUAGES[language]
    out = out or chosen.model_folder
    kept = out.with_name(f".{out.name}.partial.pt")
    wall, cpu = time.perf_counter(), time.process_time()
    model, tokenizer = train(steps, batch_size, seed, chosen, kept, stop)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    save(model, tokenizer, out)
    kept.unlink(missing_ok=True)
    print(f"{model.num_parameters():,} parameters after {stop or steps} steps of {batch_size} texts")
    print(f"{wall:.0f} s on {threads} threads, {cpu:.0f} s of processor time")
    show(evaluate(out, language=chosen))


if __name__ == "__main__":
    typer.run(main)
