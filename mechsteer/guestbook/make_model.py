"""Train the guestbook's model from a seed: `python -m mechsteer.guestbook.make_model`."""

import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from math import cos, pi
from pathlib import Path
from random import Random
from shutil import rmtree

import torch
import typer
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from torch.optim.lr_scheduler import LambdaLR
from transformers import BatchEncoding, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ..progress import progress_bar
from . import MODEL_FOLDER
from .evaluate import N_NEW_TOKENS, evaluate, show
from .grammar import draw_text, vocabulary
from .words import BOS, EOS, PAD, UNKNOWN

N_THREADS = 2
N_LAYERS, D_MODEL, D_MLP, N_HEADS, N_POSITIONS = 4, 128, 384, 4, 128
N_STEPS, BATCH_SIZE = 3500, 64
LEARNING_RATE, N_WARM_UP_STEPS = 4e-3, 100


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One word, one token, BOS first; the words of a text are whatever stands between spaces."""
    tokens = {word: token for token, word in enumerate(vocabulary())}
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


def build_model(seed: int) -> LlamaForCausalLM:
    """The model before its first step."""
    torch.manual_seed(seed)
    words = vocabulary()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=D_MODEL,
        intermediate_size=D_MLP,
        num_hidden_layers=N_LAYERS,
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


def batches(tokenizer: PreTrainedTokenizerFast, batch_size: int, seed: int) -> Iterator[BatchEncoding]:
    """Fresh texts without end; those of a batch are of about one length, so that little is padding."""
    random = Random(f"training {seed}")
    while True:
        texts = sorted((str(draw_text(random)) for _ in range(16 * batch_size)), key=lambda text: text.count(" "))
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


def train(n_steps: int, batch_size: int, seed: int) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Next-word prediction on whole texts, query and answer alike."""
    tokenizer = build_tokenizer()
    model = build_model(seed)
    # No weight decay: it keeps logits small, and a tail of words that cannot follow is left some probability.
    optimiser = torch.optim.AdamW(model.parameters(), LEARNING_RATE, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = LambdaLR(optimiser, partial(rate, n_steps=n_steps))
    stream = batches(tokenizer, batch_size, seed)
    with progress_bar("training", n_steps) as bar:
        for texts in islice(stream, n_steps):
            # Padding stands on the right, where a causal model does not see it: only the loss has to leave it out.
            labels = texts.input_ids.masked_fill(texts.attention_mask == 0, -100)
            model(input_ids=texts.input_ids, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            optimiser.zero_grad()
            bar.advance()
    return model.eval(), tokenizer


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the folder beside its place, then move it there: a run that is cut short leaves what was there before."""
    unfinished = folder.with_name(f".{folder.name}.partial")
    rmtree(unfinished, ignore_errors=True)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def main(steps: int = N_STEPS, batch_size: int = BATCH_SIZE, seed: int = 0, out: Path = MODEL_FOLDER) -> None:
    """Train a model of the guestbook from a seed, put it in place of the folder OUT, and show how well it speaks."""
    torch.set_num_threads(N_THREADS)
    wall, cpu = time.perf_counter(), time.process_time()
    model, tokenizer = train(steps, batch_size, seed)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    save(model, tokenizer, out)
    print(f"{model.num_parameters():,} parameters after {steps} steps of {batch_size} texts")
    print(f"{wall:.0f} s on {N_THREADS} threads, {cpu:.0f} s of processor time")
    show(evaluate(out))


if __name__ == "__main__":
    typer.run(main)
