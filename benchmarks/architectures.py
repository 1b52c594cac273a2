"""Is every family measured right? `python benchmarks/architectures.py` prints a table of all that transformers can build tiny.

The judge is plain Hugging Face: the same model again, one whole text at a time, without a cache, steered by a raw torch hook.
Against it stand losses under a steer, their gradients, and what is generated, where texts are longer than every window of the
model, or shorter while the row that both texts of a pair share is longer. A family is right, or refused with a sentence.
"""

import copy
import logging
import multiprocessing
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Annotated

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import transformers
import typer
from families import BOS, D_VOCAB, WINDOW, build, families
from ours import words_for_tokens
from tables import head, line
from torch import Tensor, nn
from transformers import PreTrainedModel

import mechsteer as ms
from mechsteer.engine import engine_for
from mechsteer.measuring.generation import generate
from mechsteer.measuring.sweeping import sweep_encoded
from mechsteer.models.model import Model
from mechsteer.models.opening import load_model
from mechsteer.models.prompts import EncodedPair
from mechsteer.models.sites import POSITIONS

SECONDS = 240
"""After which a family is a row that says so."""
LAYER, GRID, SHIFT = 1, (-0.7, 0.0, 0.5), 0.5
N_WRITTEN = 6
DTYPES = (torch.float32, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class Judge:
    """Plain Hugging Face, with a hook on the module whose output is shifted."""

    hf: PreTrainedModel
    module: nn.Module
    direction: Tensor
    n_more: int = 0

    def reading_on(self, n_more: int) -> "Judge":
        """The same on texts that go on for so many tokens, which changes nothing but the order of arithmetic. Where experts are
        chosen, that can change a loss by much."""
        return replace(self, n_more=n_more)

    def exactly(self) -> "Judge":
        """The same weights in float32."""
        hf, module = copy.deepcopy((self.hf, self.module))
        return Judge(hf.float(), module, self.direction)

    @contextmanager
    def steered(self, multiplier: float | Tensor, n_query: int, positions: str) -> Iterator[None]:
        """By multiplier·direction at these positions of one text."""

        def shift(module: nn.Module, args: object, output: Tensor | tuple) -> Tensor | tuple:
            value = output[0] if isinstance(output, tuple) else output
            n_tokens = value.numel() // value.shape[-1]
            at = torch.arange(n_tokens)
            where = {
                "all": at > 0, "completion": at >= n_query, "query": (at > 0) & (at < n_query), "every": at >= 0,
            }[positions]  # fmt: skip
            added = (multiplier * self.direction * where[:, None]).to(value.dtype).view(value.shape)
            return (value + added, *output[1:]) if isinstance(output, tuple) else value + added

        handle = self.module.register_forward_hook(shift)
        try:
            yield
        finally:
            handle.remove()

    def log_probabilities(self, ids: Sequence[int], multiplier: float | Tensor, n_query: int, positions: str) -> Tensor:
        tokens = torch.tensor([[*ids, *[BOS] * self.n_more]])
        with self.steered(multiplier, n_query, positions):
            return self.hf(input_ids=tokens, use_cache=False).logits[0, : len(ids)].double().log_softmax(-1)

    def loss(self, ids: Sequence[int], begin: int, multiplier: float | Tensor, positions: str) -> Tensor:
        found = self.log_probabilities(ids, multiplier, begin, positions)
        return -found[range(begin - 1, len(ids) - 1), ids[begin:]].sum()


def pairs_of_all_lengths() -> list[EncodedPair]:
    """A short one; one whose row passes the window before its texts do; and one whose texts do."""
    draw = np.random.default_rng(0)
    pairs = []
    for n_query, n_shared, n_completion in ((4, 0, 3), (6, 1, WINDOW - 7), (WINDOW + 8, 0, 9)):
        stem = [BOS, *draw.integers(2, D_VOCAB, n_query - 1 + n_shared).tolist()]
        firsts = draw.choice(np.arange(2, D_VOCAB), 2, replace=False).tolist()
        texts = [(*stem, first, *draw.integers(2, D_VOCAB, n_completion - n_shared - 1).tolist()) for first in firsts]
        pairs.append(EncodedPair(str(len(pairs)), n_query, *texts))
    return pairs


PAIRS = pairs_of_all_lengths()
PROMPTS = [PAIRS[0].positive, PAIRS[1].positive, PAIRS[2].positive]


def judged(family: str, dtype: torch.dtype, place: str = "resid_post") -> "tuple[Model, Judge, ms.SteeringVector]":
    """A family opened by mechsteer, and its judge; the steer is as large as half of what it is added to."""
    plain, hf = build(family, dtype), build(family, dtype)
    model = load_model(hf, tokenizer=words_for_tokens(D_VOCAB, BOS), device="cpu")
    site = ms.Site(LAYER, place)
    mapping = model.bridge.adapter.component_mapping
    path = f"{mapping['blocks'].name}.{LAYER}"
    if place == "mlp.out":
        mlp = mapping["blocks"].submodules["mlp"]
        path = ".".join(filter(None, (path, mlp.name, mlp.submodules["out"].name)))
    module, seen = plain.get_submodule(path), []
    direction = torch.randn(site.widths(model)[1], generator=torch.Generator().manual_seed(0))
    handle = module.register_forward_hook(
        lambda m, a, output: seen.append(output[0] if isinstance(output, tuple) else output)
    )
    with torch.no_grad():
        plain(input_ids=torch.tensor([PROMPTS[2]]), use_cache=False)
    handle.remove()
    direction *= SHIFT * float(seen[0].float().norm(dim=-1).median()) / float(direction.norm())
    return model, Judge(plain, module, direction), ms.SteeringVector(site, direction)


def sweep_error(
    model: Model, judges: Sequence[Judge], exact: Judge, steer: ms.SteeringVector, positions: str
) -> tuple[float, float]:
    """The worst error of a sweep, in nats by token; and that of plain Hugging Face, however it rounds. Both against float32."""
    sweep = sweep_encoded(model, steer, PAIRS, GRID, positions=positions)
    ours, theirs = [0.0], [0.0]
    with torch.no_grad():
        for row, multiplier in enumerate(sweep.multipliers):
            for index, pair in enumerate(PAIRS):
                for ids, found in ((pair.positive, sweep.loss_positive), (pair.negative, sweep.loss_negative)):
                    asked = (ids, pair.begin, float(multiplier), positions)
                    truth, n = float(exact.loss(*asked)), len(ids) - pair.begin
                    ours.append(abs(found[row, index] - truth) / n)
                    theirs += [abs(float(one.loss(*asked)) - truth) / n for one in judges]
    return float(np.max(ours)), float(np.max(theirs))


def gradient_error(model: Model, judge: Judge, steer: ms.SteeringVector) -> float:
    """Of the gradient by the direction, relative to its size."""
    free, own = (steer.direction.clone().requires_grad_() for _ in range(2))
    engine = engine_for(model, steer, PAIRS)
    multipliers = torch.full((len(PAIRS),), 0.5)
    with engine.losses(steer.with_parameters({"direction": free}), PAIRS, multipliers, "all") as losses:
        (losses[0] - 0.6 * losses[1]).sum().backward()
    plain = replace(judge, direction=own)
    for pair in PAIRS:
        for weight, ids in ((1.0, pair.positive), (-0.6, pair.negative)):
            (weight * plain.loss(ids, pair.begin, 0.5, "all")).backward()
    assert free.grad is not None and own.grad is not None
    return float((free.grad - own.grad).norm() / own.grad.norm())


def regret(model: Model, judges: Sequence[Judge], steer: ms.SteeringVector, positions: str) -> float:
    """Of steered greedy generation: by how many nats the worst choice is less likely than the best one, step by step.

    The judge who likes the choice best decides, for where two are all but equal, rounding chooses."""
    texts = [" ".join(f"<{token}>" for token in prompt) for prompt in PROMPTS]
    with ms.steer(model, steer, 1.0, positions):
        written = generate(model, texts, temperature=0, max_new_tokens=N_WRITTEN, keep_special_tokens=True)
    worst = [0.0]
    for prompt, text in zip(PROMPTS, written, strict=True):
        tokens = [int(word.strip("<>")) for word in text.split()]
        for step, token in enumerate(tokens):
            with torch.no_grad():
                read = ([*prompt, *tokens[:step]], 1.0, len(prompt), positions)
                said = [judge.log_probabilities(*read)[-1] for judge in judges]
            worst.append(min(float(found.max() - found[token]) for found in said))
    return float(np.max(worst))


@dataclass(frozen=True)
class Row:
    """What was found of a family, or why there is nothing to find."""

    family: str
    cells: tuple[str, ...] = ()
    verdict: str = "right"
    why: str = ""

    def __str__(self) -> str:
        return line(self.family, *(self.cells or [""] * len(HEADS)), self.verdict, self.why)


HEADS = ("engine", "float32: sweep", "gradient", "writing", "bfloat16: sweep", "Hugging Face's", "writing")


def look_at(family: str) -> Row:
    """Everything about one family."""
    torch.set_num_threads(1)
    said = Said()
    logging.getLogger("mechsteer").addHandler(said)
    try:
        build(family)(input_ids=torch.tensor([PROMPTS[2]]), use_cache=False)
    except Exception as error:  # whatever stops transformers
        return Row(family, verdict="not built", why=first_line(error))
    cells, engines, is_right = [], [], True
    try:
        for dtype in DTYPES:
            model, judge, steer = judged(family, dtype)
            judges = [judge, *(judge.reading_on(n) for n in (3, 7, 20) if dtype != torch.float32)]
            found = [sweep_error(model, judges, judge.exactly(), steer, positions) for positions in POSITIONS]
            ours, theirs = np.max(found, axis=0)
            written = max(regret(model, judges, steer, positions) for positions in POSITIONS)
            engine = engine_for(model, steer, PAIRS)
            engines.append(type(engine).__name__ + (" alone" if getattr(engine, "alone", False) else ""))
            if dtype == torch.float32:
                gradient = gradient_error(model, judge, steer)
                cells += [f"{ours:.1g}", f"{gradient:.1g}", f"{written:.1g}"]
                # Not a number is wrong.
                is_right &= bool(ours < 1e-4 and gradient < 1e-3 and written < 1e-3)
            else:
                cells += [f"{ours:.1g}", f"{theirs:.1g}", f"{written:.1g}"]
                is_right &= bool(ours < 2.5 * theirs + 1e-3 and written < 10 * theirs)
    except ms.InputError as error:
        return Row(family, verdict="refused", why=str(error))
    except Exception as error:  # a row, not an end
        return Row(family, verdict="WRONG", why=f"{type(error).__name__}: {first_line(error)}")
    shown = engines[0] if len(set(engines)) == 1 else ", ".join(engines)
    return Row(family, (shown.lower(), *cells), "right" if is_right else "WRONG", " ".join(dict.fromkeys(said.lines)))


class Said(logging.Handler):
    """What mechsteer says while it works, without the model's name."""

    def __init__(self):
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().split(" ", 1)[1])


def first_line(error: Exception) -> str:
    return f"{str(error).strip()[:100]}".split("\n")[0]


def apart(family: str) -> Row:
    """In a process of its own, which may crash or hang."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=lambda: theirs.send(look_at(family)))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(SECONDS) else Row(family, verdict="WRONG", why=f"took over {SECONDS} s")
    except EOFError:
        return Row(family, verdict="WRONG", why="its process died")
    finally:
        process.kill()
        process.join()


def main(
    only: Annotated[str, typer.Option(help="Families, with commas.")] = "",
    workers: Annotated[int, typer.Option(help="Families at a time.")] = 2,
) -> None:
    """Errors in nats by token; of gradients, by their size; of writing, by how much a choice is less likely than the best."""
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    print(head("family", *HEADS, "verdict", "what mechsteer says"))
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(workers) as pool:
        for row in pool.map(apart, only.split(",") if only else families()):
            print(row, flush=True)
            counts[row.verdict] += 1
    print("\n" + ", ".join(f"{n} {verdict}" for verdict, n in counts.items()))
    raise typer.Exit(int(counts["WRONG"] > 0))


if __name__ == "__main__":
    typer.run(main)
