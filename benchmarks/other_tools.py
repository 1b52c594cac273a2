"""steering-vectors, nnsight and pyvene against plain Hugging Face: `make bench-tools`.

Each shifts the MLP's output the way its own documentation shows and gives back logits, in batches of sixteen. None of
them sweeps, so each multiplier is a forward of the whole model.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import nnsight
import pyvene
import torch
import typer
from clock import interleaved, report, seconds
from plain import BATCH_SIZE, Batch, HuggingFace, texts_of
from steering_vectors import SteeringVector
from tables import head, line, spread
from torch import Tensor
from transformers import PreTrainedModel
from workloads import WORKLOADS, Workload

TOLERANCE = 1e-3

Forward = Callable[[Batch, Tensor], Tensor]
"""Logits of a batch where a shift is added at every token but the first."""


def steering_vectors_forward(hf: PreTrainedModel, layer: int) -> Forward:
    def forward(batch: Batch, shift: Tensor) -> Tensor:
        vector = SteeringVector({layer: shift}, layer_type="mlp")
        with vector.apply(hf, min_token_index=1):
            return hf(input_ids=batch.tokens, attention_mask=batch.present.long()).logits

    return forward


def nnsight_forward(hf: PreTrainedModel, layer: int) -> Forward:
    model = nnsight.NNsight(hf)
    blocks = model.transformer.h if hf.config.model_type == "gpt2" else model.model.layers

    def forward(batch: Batch, shift: Tensor) -> Tensor:
        with model.trace(input_ids=batch.tokens, attention_mask=batch.present.long()):
            blocks[layer].mlp.output[:, 1:] += shift
            logits = model.output.logits.save()
        return logits

    return forward


def pyvene_forward(hf: PreTrainedModel, layer: int) -> Forward:
    settings = pyvene.IntervenableConfig({"layer": layer, "component": "mlp_output"}, pyvene.AdditionIntervention)
    model = pyvene.IntervenableModel(settings, model=hf)

    def forward(batch: Batch, shift: Tensor) -> Tensor:
        base = {"input_ids": batch.tokens, "attention_mask": batch.present.long()}
        steered = list(range(1, batch.tokens.shape[1]))
        _, output = model(base=base, unit_locations={"base": steered}, source_representations=shift)
        return output.logits

    return forward


TOOLS: dict[str, Callable[[PreTrainedModel, int], Forward]] = {
    "steering-vectors": steering_vectors_forward,
    "nnsight": nnsight_forward,
    "pyvene": pyvene_forward,
}


@torch.no_grad()
def sweep(forward: Forward, plain: HuggingFace, direction: Tensor, multipliers: list[float]) -> Tensor:
    """Losses [m, texts] in nats."""
    texts = texts_of(plain.pairs)
    batches = [
        Batch.pad(texts[first : first + BATCH_SIZE], plain.hf.device) for first in range(0, len(texts), BATCH_SIZE)
    ]
    return torch.stack(
        [torch.cat([batch.losses(forward(batch, m * direction)) for batch in batches]) for m in multipliers]
    )


def compare(workload: Workload, repeats: int) -> None:
    """Print a row for each tool."""
    direction, ends = workload.steer().tensors["direction"], [workload.multipliers[0], workload.multipliers[-1]]
    plain = HuggingFace(workload.build(), workload.pairs(), workload.layer)
    judged = plain.sweep(workload.steer(), ends)
    runners = {"plain": lambda: seconds(lambda: plain.sweep(workload.steer(), ends))}
    for name, open_model in TOOLS.items():
        # A model each: some leave hooks behind.
        forward = open_model(workload.build(), workload.layer)
        try:
            differs = float((sweep(forward, plain, direction, ends) - judged).abs().max())
        except Exception as error:  # noqa: BLE001 (a tool that cannot open this model is a result)
            print(line(f"{workload.name}, {name} {version(name)}", f"fails: {error}", "", ""), flush=True)
            continue
        report(f"{workload.name}: {name} differs from plain by at most {differs:.1e} nats")
        if not differs < TOLERANCE:
            raise SystemExit(f"{name} gives other losses than plain Hugging Face, so a ratio of times means nothing.")
        runners[name] = lambda forward=forward: seconds(lambda: sweep(forward, plain, direction, ends))
    found = interleaved(runners, repeats)
    for name in list(found)[1:]:
        ratios = [theirs / ours for theirs, ours in zip(found[name], found["plain"], strict=True)]
        times = (spread([value / len(ends) for value in found[tool]]) for tool in ("plain", name))
        print(line(f"{workload.name}, {name} {version(name)}", *times, spread(ratios)), flush=True)


def main(
    workload: Annotated[list[str], typer.Option(help=f"Any of {', '.join(WORKLOADS)}.")] = ["W1", "W3"],  # noqa: B006
    repeats: int = 3,
) -> None:
    """Print the table of other tools in benchmarks/README.md."""
    n_threads = torch.get_num_threads()
    print(head("", "plain, s per multiplier", "tool, s per multiplier", "tool / plain"), flush=True)
    for chosen in (WORKLOADS[name] for name in workload):
        torch.set_num_threads(chosen.threads or n_threads)
        compare(chosen, repeats)


if __name__ == "__main__":
    typer.run(main)
