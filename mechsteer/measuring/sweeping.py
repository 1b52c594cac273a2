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
from ..models.threads import on_idle_cores
from ..pairs.polarity import Pairs
from ..progress import progress_bar
from ..store.keys import Key, digest
from .batches import Batches
from .log_odds import log_useful_probability
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
        prompt_format: by default that with which the intervention was learned.
        positions: likewise.
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
    key = key_of(model, intervention, of, positions, prompt_format)
    # By content, which a key leaves out of what a study's unit has learned.
    of_this = key.id if checkpoint is None else digest([key.id, intervention.content])
    kept = Batches.of(checkpoint, of_this, grid, [pair.id for pair in pairs])
    done = [some for some in work if kept.take(some, losses, shifts)]
    label = f"Sweep of {intervention.origin.method} at {write_sites(sites)}"
    with progress_bar(label, len(work) * len(grid), done=len(done) * len(grid), show=progress) as bar:
        for some in work:
            if some in done:
                continue
            with on_idle_cores():
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
        tokens_positive=np.array([pair.counts[0] for pair in pairs]),
        tokens_negative=np.array([pair.counts[1] for pair in pairs]),
        **shifts_of(shifts),
        key=key,
    )


def key_of(model: Model, intervention: Intervention, pairs: Pairs | None, positions: str, prompt_format: str) -> Key:
    """What a steer on these pairs is."""
    origin, identity = intervention.origin, model.identity
    return Key(
        method=origin.method, form=intervention.form, rule=str(intervention.rule), sites=write_sites(intervention.sites),
        seed=origin.seed, settings=intervention.id, positions=positions, prompt_format=prompt_format,
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
    n: int = 31,
    prompt_format: str | None = None,
    positions: str | None = None,
    max_pairs: int = 32,
) -> Float[ndarray, " n"]:
    """n multipliers from no effect to collapse, as many on either side of zero, found by looking at a few pairs.

    Two fifths of a side, six or more where there is room, lie where at most one nat of utility is lost: midway between even steps
    of m and even steps of the root of the loss, which grows with m squared at first. The others go on from there to collapse by
    even factors. A side has collapsed where the pairs' texts are no likelier than by guessing every token evenly from the
    vocabulary. Where that is not reached at shifts 128 times as large as the activation, or at the largest strength that the
    rule knows, the side ends once 95 % of the utility lost there is lost.
    """
    if n < 3:
        raise InputError(f"{n} multipliers were asked for. Ask for three or more: zero, and one on either side of it.")
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
    chance = log_useful_probability(unit.tokens_positive * guess, unit.tokens_negative * guess)
    # Where nobody knows how the shift grows with m, as if it did so evenly: more is looked at than is needed.
    sizes = np.geomspace(1 / 8, 128, 21) / unit.relative_shift.mean()
    if rule.largest is not None:
        sizes = np.linspace(0, rule.largest, 22)[1:]
    # Most steers have collapsed by two thirds of them; what lies beyond, but for the end, is looked at where they have not.
    near, beyond = np.split(sizes[:-1], [2 * len(sizes) // 3])
    sides = []
    for sign, n_points in ((-1.0, (n - 1) // 2), (1.0, n // 2)):
        found = look(sign * np.concatenate([[0.0], near, sizes[-1:]]))
        lost = found.lost.mean(axis=1)[:: int(sign)]
        base = log_useful_probability(found.loss_positive[found.zero], found.loss_negative[found.zero])
        to_chance = float((base - chance).mean())
        enough = min(to_chance, 0.95 * lost[-1]) if lost[-1] > 0 else np.inf
        if not (lost[:-1] >= enough).any():
            found = look(sign * np.append(0.0, beyond))
            lost = np.insert(lost, -1, found.lost.mean(axis=1)[:: int(sign)][1:])
        collapsed = np.flatnonzero(lost >= enough)
        end = collapsed[0] if len(collapsed) else len(sizes)
        sides.append(sign * _laid_out(np.append(0.0, sizes)[: end + 1], lost[: end + 1], n_points))
    return np.concatenate([sides[0][::-1], [0.0], sides[1]])


def _laid_out(sizes: Float[ndarray, " k"], lost: Float[ndarray, " k"], n: int) -> Float[ndarray, " n"]:
    """n sizes up to the last, of which `find_multipliers` says how they lie, from what is lost at a few from zero on."""
    root = np.sqrt(np.maximum.accumulate(np.maximum(lost, 0.0)))
    within = min(1.0, root[-1])
    n_within = n if root[-1] <= 1 else max(1, min(max(6, round(0.4 * n)), n - max(1, n // 3)))
    at_one = float(np.interp(within, root, sizes)) if within > 0 else sizes[-1]
    steps = np.arange(1, n_within + 1) / n_within
    by_loss = np.interp(steps * within, root, sizes) if within > 0 else steps * at_one
    further = np.geomspace(at_one, sizes[-1], n - n_within + 1)[1:]
    return np.concatenate([(steps * at_one + by_loss) / 2, further])
