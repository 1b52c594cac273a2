"""What each difference between our recipe and the paper's public code does to the frontier: `python benchmarks/recipes.py`.

On guestbook/sentiment at 3:resid_mid, each steer learned and measured as by `mechsteer study`, but in 150 steps and at 41
multipliers: preference gained (nats), a mean over budgets of lost utility up to 4 nats and up to half a nat.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any

import numpy as np
import torch
import typer
from tables import head, line

import mechsteer as ms
from analyses.studies.settings import Settings
from analyses.studies.subjects import checked_pairs
from mechsteer.families import FORMS
from mechsteer.methods.objectives.base import BatchLosses
from mechsteer.methods.objectives.reps import OutBelowZero

SITE = ms.Site(3, "resid_mid")
METHODS = ("SPLIT", "SFT", "RePS")
STEPS = 150
BUDGETS = (4.0, 0.5)
OTHER_SEEDS = (1, 2)
FROM_PUBLIC = {
    "m of winner and loser drawn independently": ("independent_multipliers",),
    "losses per token, and the hinge, of batch means": ("batch_means",),
    "lengths with the prompt": ("prompt_lengths",),
    "dropout 0.1": ("dropout",),
    "wide start: A of ±1/√r, v of ±1/√d": ("wide_start",),
    "AdamW's own learning rate": ("relative", "learning_rate"),
    "sizes of m": ("multipliers",),
    "both: learning rate and sizes of m": ("relative", "learning_rate", "multipliers"),
    "batch, accumulation and epochs": ("batch_size", "accumulate", "epochs"),
    "λ_n, γ and θ": ("weights",),
}
"""Single differences, by the switches of the public code that make them."""


@dataclass(frozen=True)
class OutInEveryForm(ms.Objective):
    """RePS as it was: the direction taken out of a LoRA and a local weight too, which are then swept by -m."""

    name = "RePS"

    def learning_rule(self, rule: ms.Rule, form: str) -> ms.Rule:
        return OutBelowZero(rule)

    def __call__(self, losses: BatchLosses) -> torch.Tensor:
        return ms.RePS()(losses)


@dataclass(frozen=True)
class Trial:
    """One way to learn a steer."""

    settings: Mapping[str, Any]
    objective: ms.Objective | str
    validates: bool = True


def trials(method: str, form: str) -> Iterator[tuple[str, Trial]]:
    """Ours, then each difference alone, then the whole recipes; a difference that changes nothing is left out."""
    ours, public = (ms.TrainSettings(recipe=name).settled(method, form) for name in ("ours", "public"))
    yield "ours", Trial({}, method)
    if method == "RePS" and form != "vector":
        yield "the direction taken out where m < 0", Trial({}, OutInEveryForm())
    for name, fields in FROM_PUBLIC.items():
        values = {field: getattr(public, field) for field in fields}
        if all(getattr(ours, field) == value for field, value in values.items()) or (name, form) in NOTHING:
            continue
        weights = values.pop("weights", None)
        yield name, Trial(values, ms.SPLIT(**weights) if weights else method)
    yield "every pair at +m and at -m", Trial({"directions": "both"}, method)
    yield "+m alone", Trial({"directions": "add"}, method)
    yield "the last step kept, no validation", Trial({}, method, validates=False)
    for name in ("paper", "public"):
        yield f"all of `{name}`", Trial({"recipe": name}, method)


NOTHING = {("wide start: A of ±1/√r, v of ±1/√d", "local_weight")}
"""A local weight starts from zero in both."""


def areas(method: str, form: str, trial: Trial, seed: int = 0) -> list[float]:
    """Mean preference gained over budgets up to each of `BUDGETS`, on the test pairs."""
    model, learning, testing = subjects()
    pairs, validation = learning.split(0.8, seed=0)
    long = {} if trial.settings.keys() & {"epochs", "recipe"} else {"steps": STEPS}
    settings = ms.TrainSettings(seed=seed, **long, **trial.settings)
    recipe, kind = settings.settled(method, form), FORMS.load(form)
    init = kind.init_wide if recipe.wide_start else kind.init
    start = init(SITE, *SITE.widths(model), generator=torch.Generator().manual_seed(seed))
    held_out = validation if trial.validates else None
    steer = ms.train(model, start, pairs, trial.objective, settings, validation=held_out, progress=False).intervention
    multipliers = ms.find_multipliers(model, steer, learning, n=41)
    sweep = ms.run_sweep(model, steer, testing, multipliers, progress=False)
    return [_mean_gain(sweep, budget) for budget in BUDGETS]


def _mean_gain(sweep: ms.Sweep, budget: float) -> float:
    """Over all budgets up to this one (nats)."""
    fine = np.linspace(0, budget, 81)
    return float(np.trapezoid(ms.frontier([sweep], budgets=fine.tolist(), n_resamples=1).gained, fine) / budget)


@cache
def subjects() -> tuple[ms.Model, ms.Pairs, ms.Pairs]:
    """The guestbook's model, and the pairs that teach and those that are measured in a study of it."""
    checked = checked_pairs(Settings())
    return ms.load_model("guestbook"), checked.learning, checked.testing


def table(method: str, only: list[str], show: Callable[[str], None]) -> None:
    """A method's rows, of those whose names hold one of `only`, each form's two numbers side by side."""
    forms = list(FORMS.members())
    found: dict[str, dict[str, str]] = {}
    for form in forms:
        for name, trial in trials(method, form):
            if name != "ours" and only and not any(words in name for words in only):
                continue
            found.setdefault(name, {})[form] = shown([areas(method, form, trial)])
            if name == "ours":
                others = [areas(method, form, trial, seed) for seed in OTHER_SEEDS]
                found.setdefault("ours, two other seeds", {})[form] = shown(others)
    show(head(method, *(FORMS[form].title for form in forms)))
    for name, cells in found.items():
        show(line(name, *(cells.get(form, "") for form in forms)))


def shown(values: list[list[float]]) -> str:
    """ "13.3 / 7.7", and of several seeds each end of both."""
    return " / ".join("–".join(f"{value:.2f}" for value in sorted(one)) for one in zip(*values, strict=True))


def main(
    method: Annotated[list[str] | None, typer.Option(help="Those of SPLIT, SFT and RePS; all.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Rows whose names hold these words; all.")] = None,
) -> None:
    torch.set_num_threads(1)
    for name in method or METHODS:
        table(name, only or [], lambda row: print(row, flush=True))


if __name__ == "__main__":
    typer.run(main)
