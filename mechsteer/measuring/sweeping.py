"""Measuring: the losses of polarity pairs at every multiplier of an intervention."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from ..engine import Engine, batches_to_sweep, engine_for
from ..errors import InputError
from ..interventions import Intervention
from ..interventions.relative_shift import STATISTICS
from ..models.model import Model
from ..models.prompts import EncodedPair, encode_pairs, settled
from ..models.sites import write_sites
from ..pairs.polarity import Pairs
from ..progress import progress_bar
from ..store.keys import Key
from .batches import Batches
from .log_odds import utility_log_odds
from .sweeps import Sweep, shifts_of


def run_sweep(
    model: Model,
    intervention: Intervention,
    pairs: Pairs,
    multipliers: Sequence[float] | Float[ndarray, " m"],
    *,
    prompt_format: str | None = None,
    positions: str | None = None,
    batch_tokens: int | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> Sweep:
    """Steer at each multiplier and measure both completions of every pair; copies once, for intervals count what differs.

    Args:
        multipliers: any order; they are sorted, and each is measured once.
        prompt_format, positions: by default those with which the intervention was learned.
        batch_tokens: tokens in a forward, by default what suits device and width. Fewer take less memory.
        checkpoint: a folder to keep measured batches in, at most half a minute behind; a sweep that asks for the same goes on
            from there to the same result.
    """
    prompt_format = settled(model.tokenizer, prompt_format or intervention.origin.prompt_format)
    positions = positions or intervention.origin.positions
    distinct = pairs.distinct()
    if n_copies := len(pairs) - len(distinct):
        warnings.warn(
            f"{n_copies} of {len(pairs)} pairs are copies of others, and are not measured again.", stacklevel=2
        )
    encoded = encode_pairs(model, distinct, prompt_format)
    found = sweep_encoded(
        model, intervention, encoded, multipliers, prompt_format=prompt_format, positions=positions,
        batch_tokens=batch_tokens, checkpoint=checkpoint, of=distinct, progress=progress,
    )  # fmt: skip
    found.check_finite()
    return found


def sweep_encoded(
    model: Model,
    intervention: Intervention,
    pairs: Sequence[EncodedPair],
    multipliers: Sequence[float] | Float[ndarray, " m"],
    *,
    prompt_format: str = "raw",
    positions: str = "all",
    batch_tokens: int | None = None,
    checkpoint: str | Path | None = None,
    of: Pairs | None = None,
    progress: bool = False,
) -> Sweep:
    """`run_sweep` for pairs that are tokenized already; `of` are the same as texts, to say which they were."""
    grid = _grid(multipliers)
    intervention.check_fits(model)
    if not pairs:
        raise InputError("No pairs came, so there is nothing to measure. Pass at least one.")
    if batch_tokens is not None and batch_tokens < 1:
        raise InputError(f"batch_tokens is {batch_tokens}. Pass at least one, or leave it out.")
    sites = intervention.sites
    losses, shifts = (
        np.zeros((len(grid), 2, len(pairs))),
        np.zeros((len(sites), len(STATISTICS), len(grid), len(pairs))),
    )
    engine = engine_for(model, intervention, pairs)
    work = list(batches_to_sweep(model, pairs, len(grid), batch_tokens))
    kept = Batches.of(checkpoint, grid, [pair.id for pair in pairs])
    done = [some for some in work if kept.take(some, losses, shifts)]
    label = f"Sweep of {intervention.origin.method} at {write_sites(sites)}"
    with progress_bar(label, len(work) * len(grid), done=len(done) * len(grid), show=progress) as bar:
        for some in work:
            if some in done:
                continue
            losses[..., some], shifts[..., some] = engine.sweep(
                intervention, [pairs[index] for index in some], grid, positions,
                batch_tokens=batch_tokens, advance=bar.advance,
            )  # fmt: skip
            if not np.isfinite(losses[..., some]).all():
                # Of the steer, or of the model itself, which a grid without zero does not show?
                _check_base(engine, intervention, [pairs[index] for index in some])
            kept.add(some, losses, shifts)
    return Sweep(
        multipliers=grid,
        pairs=tuple(pair.id for pair in pairs),
        loss_positive=losses[:, 0],
        loss_negative=losses[:, 1],
        tokens_positive=np.array([len(pair.positive) - pair.begin for pair in pairs]),
        tokens_negative=np.array([len(pair.negative) - pair.begin for pair in pairs]),
        **shifts_of(shifts),
        key=key_of(model, intervention, of, positions, prompt_format),
    )


def key_of(model: Model, intervention: Intervention, pairs: Pairs | None, positions: str, prompt_format: str) -> Key:
    """What a steer on these pairs is."""
    origin, identity = intervention.origin, model.identity
    return Key(
        method=origin.method, form=intervention.form, rule=str(intervention.rule), sites=write_sites(intervention.sites),
        seed=origin.seed, settings=origin.id, positions=positions, prompt_format=prompt_format,
        pairs="" if pairs is None else pairs.name, pairs_content="" if pairs is None else pairs.fingerprint,
        model=identity.name, weights=identity.weights, tokenizer=identity.tokenizer, dtype=identity.dtype,
        quantisation=identity.quantisation,
    )  # fmt: skip


def _check_base(engine: Engine, intervention: Intervention, pairs: Sequence[EncodedPair]) -> None:
    """Raise one sentence if the model itself, without a steer, has no losses."""
    losses, _ = engine.sweep(intervention, pairs, np.zeros(1), "all")
    engine.model.check_finite(losses, "losses")


def _grid(multipliers: Sequence[float] | ndarray) -> Float[ndarray, " m"]:
    try:
        grid = np.unique(np.asarray(multipliers, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The multipliers {multipliers!r} are not numbers. Pass for example [-2, -1, 0, 1, 2]."
        ) from error
    if len(grid) == 0 or not np.isfinite(grid).all():
        raise InputError("Multipliers must be finite numbers, at least one. Pass for example [-2, -1, 0, 1, 2].")
    return grid


def find_multipliers(
    model: Model,
    intervention: Intervention,
    pairs: Pairs,
    *,
    n: int = 41,
    prompt_format: str | None = None,
    positions: str | None = None,
    max_pairs: int = 32,
) -> Float[ndarray, " n"]:
    """n multipliers from no effect to collapse on both sides, found by looking at a few pairs.

    A side has collapsed where mean utility is no better than that of guessing every token evenly from the vocabulary.
    Where that is not reached at shifts 128 times as large as the activation, or at the largest strength that the rule knows,
    the side ends once 95 % of the utility lost there is lost. Points lie closer together near zero, where curves bend most.
    """
    encoded = encode_pairs(model, pairs[:max_pairs], prompt_format or intervention.origin.prompt_format)
    positions = positions or intervention.origin.positions

    def look(multipliers: ndarray) -> Sweep:
        return sweep_encoded(model, intervention, encoded, multipliers, positions=positions)

    rule = intervention.rule
    unit = look(np.array([1.0 if rule.largest is None else rule.largest / 2]))
    if not unit.relative_shift.mean() > 0:
        raise InputError(
            "The intervention changes nothing at these pairs: its shift is zero. Learn it from other pairs."
        )
    guess = np.log(model.d_vocab)
    chance = utility_log_odds(unit.tokens_positive * guess, unit.tokens_negative * guess).mean()
    # Where nobody knows how the shift grows with m, as if it did so evenly: more is looked at than is needed.
    sizes = np.geomspace(1 / 8, 128, 21) / unit.relative_shift.mean()
    if rule.largest is not None:
        sizes = np.linspace(0, rule.largest, 22)[1:]
    reach = []
    for sign in (-1.0, 1.0):
        utility = _mean_of_defined(look(sign * np.append(0.0, sizes)).utility)[:: int(sign)]
        lost = utility[0] - utility[1:]
        collapsed = np.nonzero(lost >= min(utility[0] - chance, 0.95 * lost[-1]))[0] if lost[-1] > 0 else []
        reach.append(sizes[collapsed[0]] if len(collapsed) else sizes[-1])
    below = int(np.clip(round((n - 1) * reach[0] / sum(reach)), 1, n - 2))
    return np.concatenate([-reach[0] * _steps(below)[::-1], [0.0], reach[1] * _steps(n - 1 - below)])


def _mean_of_defined(values: Float[ndarray, "m pairs"]) -> Float[ndarray, " m"]:
    """The mean over the pairs that are defined at every multiplier."""
    defined = np.isfinite(values).all(axis=0)
    if not defined.any():
        raise InputError("No pair has a defined utility at every multiplier. Pass pairs with longer completions.")
    return values[:, defined].mean(axis=1)


def _steps(n: int) -> Float[ndarray, " n"]:
    """n numbers from near 0 to 1, closer together near 0."""
    return np.sinh(3 * np.arange(1, n + 1) / n) / np.sinh(3)
