"""The one trainer: an intervention of any form, an objective of any kind, and a model whose weights stay as they are.

Training goes both ways (arXiv 2602.02343, section 5): each example draws a multiplier and a sign; under a positive one
its positive completion should win, under a negative one the negative. A recipe says what else there is to choose. What does
not depend on the steer is computed once (the engine).
"""

import hashlib
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import nn
from torch.utils.checkpoint import checkpoint as recomputed

from ..brief import brief
from ..engine import Engine, Plain
from ..engine.prefix import forward_replaced
from ..errors import InputError
from ..interventions import Intervention, Origin, Shift
from ..measuring.log_odds import utility_log_odds
from ..models.model import Model
from ..models.prompts import encode_pairs, settled
from ..models.sites import write_sites
from ..models.threads import on_idle_cores
from ..pairs.polarity import Pairs
from ..progress import progress_bar
from .dropout import Dropout
from .objectives.base import BatchLosses, Objective
from .recipes.base import Recipe
from .run import Draw, Run
from .settings import TrainSettings
from .teaching import Teaching, sizes_at

FIRST_SHARE = 0.2
"""Of the way that AdamW can take each entry until its learning rate is zero: how large a start is where one is drawn."""
KEEP_EVERY = 30.0
"""Seconds after which a run with a checkpoint is kept, if no measurement comes first."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A learned intervention and how it came about: a row for each step.

    `history` has the columns step, loss, preference and utility (nats per pair, means over the batch at the drawn
    multipliers, preference counted towards the completion that should win), and validation (the objective, or NaN).
    """

    intervention: Intervention
    history: pd.DataFrame

    __repr__ = brief


def train(
    model: Model,
    intervention: Intervention,
    pairs: Pairs,
    objective: Objective | type[Objective] | str,
    settings: TrainSettings = TrainSettings(),  # noqa: B008 (frozen)
    *,
    validation: Pairs | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> Trained:
    """Learn an intervention's tensors from pairs, by AdamW with linear decay and gradients clipped at norm one.

    Args:
        intervention: where to start, such as `LoRA.at(model, "2:mlp.out")`, or several of them, joined; its
            forms, sites and rule are kept. By a rule that speaks of a direction, as RePS teaches a vector, one whose delta is
            zero starts from a direction that the seed draws, a fifth as large as training can make it.
        objective: what is minimised, such as `SPLIT(margin=1)`; of `SPLIT` or "SPLIT", the recipe chooses the weights.
        settings: what they leave open is as their recipe says; `wide_start` and `bypass` are about the start, which is given.
        validation: pairs on which the objective is measured every `settings.evaluate_every` steps; the best state is
            returned, and with `settings.patience` the run ends after so many measurements without a better one.
        checkpoint: a file to keep the run in, at most half a minute behind; a run of the same settings goes on from it to
            the same result.
    """
    if len(pairs) == 0:
        raise InputError("No pairs came, so there is nothing to learn from. Pass more pairs.")
    if settings.patience is not None and validation is None:
        raise InputError("`patience` waits for validation scores, and no pairs came for it. Pass `validation`.")
    recipe = settings.settled(Objective.of(objective).name, intervention.form)
    objective = Objective.of(objective, recipe.weights)
    intervention.check_fits(model)
    prompt_format, positions = settled(model.tokenizer, settings.prompt_format), settings.positions
    accumulate, seed = recipe.accumulate, settings.seed
    encoded = encode_pairs(model, pairs, prompt_format)
    teaching = Teaching.read(model, encoded, intervention, recipe)
    held_out = None
    if validation is not None:
        held_out = Teaching.read(model, encode_pairs(model, validation, prompt_format), intervention, recipe)
    n_steps = recipe.n_steps(len(encoded))
    made_by = recipe.to_dict() | {
        "objective": repr(objective), "recipe": settings.recipe, "steps": n_steps, "patience": settings.patience,
        "evaluate_every": settings.evaluate_every,
    }  # fmt: skip

    units = dict.fromkeys(intervention.parameters, 1.0)
    if recipe.relative:
        sizes = {site: sizes_at(model, encoded, site) for site in intervention.sites}
        units = intervention.named(lambda shift: shift.units(*sizes[shift.site]))
    start = intervention.parameters
    rule = objective.learning_rule(intervention.rule, intervention.form)
    if rule.needs_direction and not any(map(_has_direction, intervention.shifts.values())):
        drawn, size = torch.Generator().manual_seed(seed), FIRST_SHARE * recipe.learning_rate * n_steps / 2
        start = {name: size * units[name] * torch.randn(value.shape, generator=drawn) for name, value in start.items()}
    parameters = {
        name: nn.Parameter(value.detach().to(model.device, torch.float32) / units[name])
        for name, value in start.items()
    }
    optimizer = torch.optim.AdamW(parameters.values(), lr=recipe.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / n_steps))
    identity = _identity(model, intervention, pairs, validation, made_by, seed, prompt_format, positions)
    run = Run(parameters, optimizer, schedule, identity, None if checkpoint is None else Path(checkpoint))
    run.resume()

    taught = replace(intervention, rule=rule)

    def current() -> Intervention:
        return taught.with_parameters({name: value * units[name] for name, value in parameters.items()})

    def dropping(noise: torch.Generator) -> Intervention:
        def of(shift: Shift) -> Dropout:
            return Dropout(shift.site, shift, recipe.dropout, int(torch.randint(2**31, (), generator=noise)))

        return current().each(of)

    label, kept = f"{objective.name} {intervention.form}", time.monotonic()
    with (
        _checkpointing(teaching.engine, settings.gradient_checkpointing),
        progress_bar(label, n_steps, done=run.step, show=progress) as bar,
    ):
        while not run.is_over(n_steps, settings.patience):
            optimizer.zero_grad()
            parts, shares = [], []
            for index in range(run.step * accumulate, (run.step + 1) * accumulate):
                draw = Draw.at(seed, index, len(encoded), recipe)
                noise = torch.Generator().manual_seed(draw.seed)
                for some in teaching.batches(draw.pairs):
                    share = len(some) / (len(draw.pairs) * accumulate)
                    steered = dropping(noise) if recipe.dropout else current()
                    with (
                        on_idle_cores(),
                        teaching.losses(steered, draw.pairs[some], draw.multipliers[:, some], positions) as losses,
                    ):
                        loss = objective(losses)
                        (loss * share).backward()
                    parts.append(_record(loss, losses))
                    shares.append(share)
            record = {name: float(np.average([part[name] for part in parts], weights=shares)) for name in parts[0]}
            _stop_if_not_finite("loss", record["loss"], run.step, recipe)
            norm = nn.utils.clip_grad_norm_(parameters.values(), 1.0)
            _stop_if_not_finite("size of the gradient", float(norm), run.step, recipe)
            optimizer.step()
            schedule.step()
            is_due = (run.step + 1) % settings.evaluate_every == 0 or run.step + 1 == n_steps
            score = math.nan
            if held_out and is_due:
                score = _validate(held_out, objective, current(), positions)
                _stop_if_not_finite("loss on the validation pairs", score, run.step, recipe)
            run.add(record | {"validation": score})
            if is_due or time.monotonic() - kept > KEEP_EVERY:
                run.save()
                kept = time.monotonic()
            bar.advance(
                f"{label}: loss {record['loss']:.3f}, preference {record['preference']:+.2f}, "
                f"utility {record['utility']:.1f}"
            )
    origin = Origin(
        method=objective.name,
        model=model.name,
        revision=model.revision or "",
        fingerprint=model.fingerprint,
        dtype=model.precision,
        positions=positions,
        prompt_format=prompt_format,
        pairs=pairs.name,
        pairs_fingerprint=pairs.fingerprint,
        seed=seed,
        settings=made_by,
    )
    learned = {name: (value * units[name]).cpu() for name, value in run.learned.items()}
    return Trained(replace(intervention.with_parameters(learned), origin=origin), pd.DataFrame(run.history))


def _has_direction(shift: Shift) -> bool:
    """Whether its delta is anything but zero."""
    d_in, d_out = shift.widths
    return any(bool(part.any()) for part in shift.as_weights(d_in or d_out, d_out))


def _record(loss: torch.Tensor, losses: BatchLosses) -> dict[str, float]:
    """What a step shows of itself (nats, means over its pairs)."""
    win, lose = losses.win.detach().cpu().numpy(), losses.lose.detach().cpu().numpy()
    return {
        "loss": float(loss.detach()),
        "preference": float((lose - win).mean()),
        "utility": _mean_where_defined(utility_log_odds(win, lose)),
    }


def _mean_where_defined(values: Float[np.ndarray, " pairs"]) -> float:
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else math.nan


@torch.no_grad()
def _validate(held_out: Teaching, objective: Objective, intervention: Intervention, positions: str) -> float:
    """The objective over all held-out pairs, at the median multiplier in the directions that are taught."""
    recipe, scores, weights = held_out.recipe, [], []
    median, everything = float(np.median(recipe.multipliers)), torch.arange(len(held_out.pairs))
    for some in held_out.batches(everything):
        for m in (median,) if recipe.directions == "add" else (median, -median):
            with held_out.losses(intervention, everything[some], torch.full((2, len(some)), m), positions) as losses:
                scores.append(float(objective(losses)))
            weights.append(len(some))
    return float(np.average(scores, weights=weights))


@contextmanager
def _checkpointing(engine: Engine, enabled: bool) -> Iterator[None]:
    """Inside the block, what the model's blocks compute is not kept for the backward pass, but computed again.

    Not by Hugging Face's own switch, which works in training mode alone: there attention drops some of its weights, by chance.
    """
    if enabled and isinstance(engine, Plain) and engine.alone:
        raise InputError(
            f"{engine.model.name} must read its texts one by one, and then blocks cannot be computed again for gradients. "
            "Leave out --gradient-checkpointing."
        )
    with ExitStack() as stack:
        for block in engine.model.bridge.blocks if enabled else ():
            stack.enter_context(forward_replaced(block, partial(recomputed, block.forward, use_reentrant=False)))
        yield


def _stop_if_not_finite(what: str, value: float, step: int, recipe: Recipe) -> None:
    if not math.isfinite(value):
        raise InputError(
            f"The {what} became {value} at step {step + 1}. Lower the learning rate (now {recipe.learning_rate:g}) or the "
            f"largest multiplier (now {max(recipe.multipliers):g})."
        )


def _identity(model: Model, intervention: Intervention, pairs: Pairs, validation: Pairs | None, *settings: Any) -> str:
    """What a checkpoint must share with the run that goes on from it."""
    sites = write_sites(intervention.sites)
    digest = hashlib.sha256(f"{model.fingerprint} {intervention.form} {sites} {pairs.fingerprint}".encode())
    digest.update(str(intervention.rule).encode())
    digest.update(f"{validation and validation.fingerprint} {settings}".encode())
    for name, value in intervention.parameters.items():
        digest.update(name.encode() + value.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
