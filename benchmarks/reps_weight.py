"""What RePS's weight does to utility: `python benchmarks/reps_weight.py --model MODEL --pairs PAIRS --site SITE`.

RePS counts the winner's log-likelihood β times, and β is larger the less likely the winner was unsteered. Where one side of the
pairs is likelier, β is larger for the other. A LoRA and a local weight learn with β as it is, with one number in its place, and
with the β that the other completion would have as a winner; each is measured on other pairs, near m = 0.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import torch
import typer
from jaxtyping import Float
from tables import head, line
from torch import Tensor

import mechsteer as ms
from figures.findings.completions import moved, told
from mechsteer.methods.objectives.base import BatchLosses
from mechsteer.methods.teaching import Teaching

FORMS = {"LoRA": ms.LoRA, "local weight": ms.LocalWeight}
MULTIPLIER = 0.25
LEAST = ms.RePS().least_weight


@dataclass(frozen=True)
class Weighed(ms.Objective):
    """RePS with another weight: a number, or, without one, what β would be if the other completion were to win."""

    weight: float | None = None

    name = "RePS"

    def __call__(self, losses: BatchLosses) -> Float[Tensor, ""]:
        exchanged = (losses.base_lose - losses.base_win).clamp(min=LEAST)
        weight = exchanged if self.weight is None else self.weight
        return -torch.nn.functional.logsigmoid(losses.lose_per_token - weight * losses.win_per_token).mean()


OBJECTIVES = {
    "β, as RePS has it": ms.RePS(), "held at 1": Weighed(weight=1.0), "held at 2": Weighed(weight=2.0),
    "β of the other side": Weighed(),
}  # fmt: skip


def weights(model: ms.Model, start: ms.Intervention, pairs: ms.Pairs) -> str:
    """The mean β of the pairs, where either side wins."""
    positive, negative = Teaching.read(model, ms.encode_pairs(model, pairs), start).base
    concept, other = ((one - two).clamp(min=LEAST).mean() for one, two in ((positive, negative), (negative, positive)))
    return f"β is {concept:.2f} on average where the concept's completion wins, and {other:.2f} where the other does."


def rows(
    model: ms.Model, site: str, learning: ms.Pairs, testing: ms.Pairs, seeds: int, steps: int
) -> Iterator[tuple[str, ...]]:
    """A row for each form and weight."""
    for form, kind in FORMS.items():
        start = kind.at(model, site)
        for name, objective in OBJECTIVES.items():
            sweeps = []
            for seed in range(seeds):
                settings = ms.TrainSettings(steps=steps, seed=seed)
                learned = ms.train(model, start, learning, objective, settings, progress=False).intervention
                grid = [-MULTIPLIER, 0, MULTIPLIER]
                sweeps.append(ms.run_sweep(model, learned, testing, grid, progress=False))
            yield form, name, *map(told, moved(sweeps, MULTIPLIER) or ())


def main(
    model: Annotated[str, typer.Option(help="A folder, a hub name or `guestbook`.")] = "guestbook",
    pairs: Annotated[str, typer.Option(help="Pairs to learn from.")] = "guestbook/sentiment",
    test_pairs: Annotated[
        str | None, typer.Option(help="Pairs to measure on; without them, half of the others.")
    ] = None,
    site: Annotated[str, typer.Option()] = "3:resid_mid",
    limit: Annotated[int, typer.Option(help="Pairs of either kind.")] = 20,
    seeds: Annotated[int, typer.Option()] = 5,
    steps: Annotated[int, typer.Option()] = 12,
) -> None:
    """Print β, and a table in which preference is in nats and the rest in nats for each nat of it."""
    opened = ms.load_model(model)
    if test_pairs is None:
        learning, testing = ms.load_pairs(pairs).balanced_sample(2 * limit).split(0.5)
    else:
        learning, testing = (ms.load_pairs(name).balanced_sample(limit) for name in (pairs, test_pairs))
    print(weights(opened, ms.LoRA.at(opened, site), learning))
    print(
        head(
            "form", "weight of the winner", "preference gained", "by the concept's completion", "utility moved with it"
        )
    )
    for row in rows(opened, site, learning, testing, seeds, steps):
        print(line(*row), flush=True)


if __name__ == "__main__":
    typer.run(main)
