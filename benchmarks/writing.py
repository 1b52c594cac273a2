"""How fast samples are written under many multipliers, against loops of Hugging Face's `generate`: a part of `make bench`.

On SmolLM2-135M's shape (W5), 21 multipliers, two samples of each of four queries, 32 tokens each. The plain user writes one text
after the other; the careful one all texts of a multiplier side by side. Both hook the same
layer. Greedy texts are compared first.
"""

import statistics
import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer
from clock import interleaved, report, seconds
from ours import Mechsteer, as_text
from plain import delta_of, down_projection
from tables import head, line, spread
from torch import Tensor, nn
from transformers import PreTrainedModel
from workloads import WORKLOADS, Steer

import mechsteer as ms
from analyses.evidence.texts import write_samples
from mechsteer.judges.answers import Answers
from mechsteer.measuring.generation import generate_tokens

N_QUERIES, N_SAMPLES, N_TOKENS = 4, 2, 32
ASKED = 4.0
"""Times as long as mechsteer that the plain loop must take."""


def plain(
    hf: PreTrainedModel, steer: Steer, layer: int, prompts: list[list[int]], m: float, sample: bool
) -> list[list[int]]:
    """Prompts of one length, side by side, under one multiplier."""
    ids, delta = torch.tensor(prompts), delta_of(steer, hf.device)

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        shift = m * delta(inputs[0])
        # A prompt begins with the token that begins every text, which is not steered.
        steered = output + shift
        return steered if len(output[0]) == 1 else torch.cat([output[:, :1], steered[:, 1:]], dim=1)

    hook = down_projection(hf, layer).register_forward_hook(add)
    try:
        with torch.no_grad():
            found = hf.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=sample, top_k=0, max_new_tokens=N_TOKENS,
                min_new_tokens=N_TOKENS, pad_token_id=0,
            )  # fmt: skip
    finally:
        hook.remove()
    return found[:, ids.shape[1] :].tolist()


def main(
    repeats: int = 3, timed: Annotated[int, typer.Option(help="Multipliers that the loops are timed on.")] = 3
) -> None:
    """Print the table of Writing in benchmarks/README.md."""
    workload = WORKLOADS["W5"]
    hf = workload.build("cpu", torch.float32)
    pairs, steer, grid = workload.pairs()[:N_QUERIES], workload.steer(), workload.multipliers
    ours = Mechsteer.open(workload.build("cpu", torch.float32), pairs, workload.layer)
    vector = ours._intervention(steer)
    # A random model ends where it likes; everybody writes as many tokens.
    for model in (hf, ours.model.hf):
        model.generation_config.eos_token_id = None
    ours.model.require_tokenizer().eos_token = None
    queries = {str(number): pair.query for number, pair in enumerate(as_text(pairs))}
    prompts = [list(pair.positive[: pair.begin]) for pair in pairs]
    for m in (0.0, float(grid[-1])):
        with ms.steer(ours.model, vector, m):
            same = generate_tokens(ours.model, list(queries.values()), max_new_tokens=N_TOKENS, temperature=0)
        if same != plain(hf, steer, workload.layer, prompts, m, False):
            raise SystemExit("The two write different texts, so a ratio of times means nothing.")
    report("greedy texts are the same")
    share = len(grid) / timed

    def write() -> None:
        with tempfile.TemporaryDirectory() as folder:
            write_samples(
                ours.model, vector, queries, grid, Answers(Path(folder)), n_samples=N_SAMPLES, max_new_tokens=N_TOKENS
            )

    def one_by_one() -> None:
        for m in grid[:timed]:
            for prompt in prompts * N_SAMPLES:
                plain(hf, steer, workload.layer, [prompt], m, True)

    def side_by_side() -> None:
        for m in grid[:timed]:
            plain(hf, steer, workload.layer, prompts * N_SAMPLES, m, True)

    found = interleaved(
        {
            "plain": lambda: share * seconds(one_by_one),
            "careful": lambda: share * seconds(side_by_side),
            "mechsteer": lambda: seconds(write),
        },
        repeats,
    )
    ratios = [
        [theirs / own for theirs, own in zip(found[tool], found["mechsteer"], strict=True)]
        for tool in ("plain", "careful")
    ]
    print(head("", "plain", "careful", "mechsteer", "plain / mechsteer", "careful / mechsteer"))
    times = [f"{statistics.median(found[tool]):.3g} s" for tool in ("plain", "careful", "mechsteer")]
    print(line("W5, writing", *times, *map(spread, ratios)))
    met = "yes" if statistics.median(ratios[0]) >= ASKED else "no"
    print(head("mark", "asked", "reached", "met"))
    print(line("W5, writing: plain / mechsteer", f">= {ASKED:g}", f"{statistics.median(ratios[0]):.3g}", met))


if __name__ == "__main__":
    typer.run(main)
