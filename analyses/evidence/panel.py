"""The panel: many directions added at one place, all with the same length, so that they differ only in where they lead.

One steer cannot show what causes the loss: it moves every pair alike, and a larger multiplier is worse whatever the reason.
Directions of equal length can show whether distance from the manifold is what costs utility (arXiv 2602.02343, assumption 4.2).
The lengths are those at which the *median* direction costs `BUDGETS` nats of utility, as a few trial lengths predict, and two
shorter ones. What it really costs there is the median of `lost`, and is what claims tell.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy import ndarray

import mechsteer as ms
from mechsteer.engine.activations import read_activations
from mechsteer.manifolds import Gaussian, LocalTangent, Neighbours, Subspace
from mechsteer.manifolds.metrics import RAW, WHITENED, metrics
from mechsteer.measuring.sweeping import sweep_encoded
from mechsteer.models.hooks import FINAL_NORM, FIRST_NORM, RESIDUAL, SECOND_NORM
from mechsteer.models.prompts import EncodedPair
from mechsteer.progress import progress_bar

from .coherence import Coherence
from .directions import N_DRAWN, families
from .kept import kept

BUDGETS = (0.25, 0.5, 1.0)
"""Nats of utility that the median direction is meant to lose at the three lengths on which claims are judged."""
SHORTER = (0.25, 0.5)
"""Shares of the first of these lengths: shorter ones, at which preference may be gained at no cost."""
LOOKED_AT = (0.1, 0.25, 0.5, 0.8, 1.2, 2.0)
"""Trial lengths, in units of the median activation norm, from which the others are interpolated."""
N_HALVED = 20
"""Shorter trial lengths at most, each half of the last, where even the first costs more than the least budget: a millionth."""
N_LOOKED_AT, N_PAIRS, N_TOKENS, N_LEARNING = 8, 24, 192, 3000
CANDIDATES = ("harmless displacement", "free preference")
"""Either would settle the matter if a direction showed it."""
N_CONFIRMED = 96
"""Queries answered under the two directions that could settle the matter."""
FAR, FREE = 0.75, 0.05
"""A far direction lies beyond this quantile of the directions' distances; a free one loses at most this many nats."""
SINK = 5.0
"""A token whose norm exceeds the median by this factor is a sink, and is left out."""
N_TANGENT, TANGENT = 24, 4
"""Neighbours and dimension of a local tangent."""
FIRST_DISTANCE = f"neighbours, {RAW}"
"""The distance on which claims are judged, fixed in advance: it assumes least, and is the paper's d(h, M) as printed."""
N_MASSIVE = 3
"""The first distance is measured again without this many coordinates of largest variance."""


def measure(
    model: ms.Model,
    site: ms.Site,
    learning: ms.Pairs,
    testing: ms.Pairs,
    others: Sequence[ms.Pairs],
    *,
    prompt_format: str = "raw",
    concept: str = "",
    n_directions: int = 64,
    seed: int = 0,
    parts: Path | None = None,
) -> pd.DataFrame:
    """A row for each direction and length: its effect on pairs, on written text and on neutral text, and its distance.

    `lost` and `gained` are means over pairs (nats). `incoherence` comes from `coherence.py`, with its standard error. A
    distance's column is named by shape and metric, and is given for all tokens and for each half of them. The two directions that
    could settle the matter (`CANDIDATES`, marked in columns of these names) are measured again on pairs and answers that did
    not select them (`confirmed_...`).

    Args:
        parts: a folder in which each direction is kept once measured, so that an interruption loses one of them.
    """
    site = ms.Site(site.layer, RESIDUAL.get(site.place, site.place))
    rng = np.random.default_rng([seed, 6])
    h, pair, is_positive = _activations(model, learning, site, prompt_format)
    concepts = [
        ms.diff_mean(model, some, site, prompt_format=prompt_format).direction.double().numpy() for some in others
    ]
    kinds, vectors = [], []
    for name, drawn in families(h, pair, is_positive, concepts, -(-n_directions // (N_DRAWN + 1)), rng):
        kinds += [name] * len(drawn)
        vectors.append(drawn)
    steers = [ms.SteeringVector(site, torch.from_numpy(vector).float()) for vector in np.concatenate(vectors)]
    chosen = testing.sample(max(min(N_PAIRS, len(testing) // 2), 1), seed=seed)
    encoded = ms.encode_pairs(model, chosen, prompt_format)
    seen = {pair.id for pair in chosen}
    fresh = replace(testing, items=tuple(pair for pair in testing if pair.id not in seen)[:N_CONFIRMED])
    size = float(np.median(np.linalg.norm(h, axis=1)))
    lengths = kept(parts, "lengths", lambda: _lengths(model, encoded[:N_LOOKED_AT], steers, size)).length.to_numpy()
    outcome = Coherence.of(model, [pair.query for pair in testing], prompt_format, concept, seed)
    manifold = _Distances.of(model, site, h, _activations(model, testing, site, prompt_format)[0], rng)

    def measured(number: int, kind: str, steer: ms.SteeringVector) -> pd.DataFrame:
        found = sweep_encoded(model, steer, encoded, [0.0, *lengths])
        at = pd.DataFrame(
            {"family": kind, "direction": number, "length": lengths, "relative_shift": lengths / size,
             "budget": [*np.full(len(SHORTER), np.nan), *BUDGETS]}
        )  # fmt: skip
        at["lost"] = found.lost[1:].mean(axis=1)
        at["lost_error"] = found.lost[1:].std(axis=1, ddof=1) / np.sqrt(len(encoded))
        at["gained"] = (found.preference[1:] - found.preference[0]).mean(axis=1)
        # Distances and written texts are measured only at the lengths on which claims are judged, pairs at the shorter ones too.
        judged = at.budget.notna().to_numpy()
        led = manifold.of_direction(np.asarray(steer.direction.double()), lengths[judged])
        for name, values in (outcome.of_steer(steer, lengths[judged]) | led).items():
            at.loc[judged, name] = values
        return at

    rows = []
    with progress_bar("directions", len(steers)) as bar:
        for number, (kind, steer) in enumerate(zip(kinds, steers, strict=True)):
            rows.append(kept(parts, f"direction {number}", lambda of=(number, kind, steer): measured(*of)))
            bar.advance()
    table = pd.concat(rows, ignore_index=True).assign(n_pairs=len(fresh), harm_unit=outcome.unit)
    table = table.assign(**dict.fromkeys(CANDIDATES, False))
    for name, row in candidates(table).items():
        steer, length = steers[table.direction[row]], table.length.to_numpy()[row : row + 1]
        table.loc[row, name] = True
        for column, value in _confirmed(model, steer, length, fresh, prompt_format, outcome).items():
            table.loc[row, column] = value
    return table


def _confirmed(
    model: ms.Model, steer: ms.SteeringVector, length: Float[ndarray, " 1"], fresh: ms.Pairs, prompt_format: str,
    outcome: Coherence,
) -> dict[str, float]:  # fmt: skip
    """One direction measured again, on pairs and answers that did not select it, with standard errors."""
    harm, error, _ = outcome.written_under(steer, length, N_CONFIRMED)
    found = sweep_encoded(model, steer, ms.encode_pairs(model, fresh, prompt_format), [0.0, *length])
    values = {"lost": found.lost[1], "gained": found.preference[1] - found.preference[0]}
    means = {f"confirmed_{name}": float(value.mean()) for name, value in values.items()}
    errors = {
        f"confirmed_{name}_error": float(value.std(ddof=1) / np.sqrt(len(value))) for name, value in values.items()
    }
    return means | errors | {
        "confirmed_harm": float(harm[0]), "confirmed_harm_error": float(error[0]), "n_answers": outcome.n_of(N_CONFIRMED),
    }  # fmt: skip


def candidates(table: pd.DataFrame) -> dict[str, int]:
    """Rows that could settle the matter: among far directions at the greatest length, the one that loses least; and among rows
    that lose next to nothing, the one that gains most."""
    longest = table.loc[table.budget == BUDGETS[-1]]
    far = longest.loc[longest[FIRST_DISTANCE] >= longest[FIRST_DISTANCE].quantile(FAR)]
    free = table.loc[table.lost.abs() <= FREE]
    found = {CANDIDATES[0]: int((far.lost.abs() + far.lost_error).idxmin())}
    return found | ({CANDIDATES[1]: int(free.gained.idxmax())} if len(free) else {})


def _activations(
    model: ms.Model, pairs: ms.Pairs, site: ms.Site, prompt_format: str
) -> tuple[Float[ndarray, "tokens d"], ndarray, ndarray]:
    """Activations at completion tokens without sinks, with each token's pair and side. A text's first token is never one."""
    parts = list(read_activations(model, ms.encode_pairs(model, pairs, prompt_format), [site]))
    h = torch.cat([part.at[site].float() for part in parts]).cpu().numpy()
    norms = np.linalg.norm(h, axis=1)
    kept = norms <= SINK * np.median(norms)
    pair, is_positive = (torch.cat([getattr(part, name) for part in parts]).numpy() for name in ("pair", "is_positive"))
    return h[kept], pair[kept], is_positive[kept]


def _lengths(
    model: ms.Model, pairs: Sequence[EncodedPair], steers: Sequence[ms.SteeringVector], size: float
) -> pd.DataFrame:
    """Lengths at which the median direction costs each budget; the longest trial length where it never does.

    Loss grows about as length squared, so its root is interpolated, and always between two trials: from zero, a first trial that
    costs ten nats would make lengths proportional to budgets.
    """

    def median_lost(lengths: Float[ndarray, " lengths"]) -> Float[ndarray, " lengths"]:
        grid = [0.0, *lengths]
        return np.median([sweep_encoded(model, steer, pairs, grid).lost[1:].mean(axis=1) for steer in steers], axis=0)

    tried = size * np.array(LOOKED_AT)
    lost = median_lost(tried)
    while lost[0] >= BUDGETS[0] and len(tried) < len(LOOKED_AT) + N_HALVED:
        shorter = tried[:1] / 2
        tried, lost = np.concatenate([shorter, tried]), np.concatenate([median_lost(shorter), lost])
    risen = np.sqrt(np.maximum.accumulate([0.0, *lost])) + 1e-9 * np.arange(len(lost) + 1)
    found = np.interp(np.sqrt(BUDGETS), risen, [0.0, *tried])
    return pd.DataFrame({"length": [*(share * found[0] for share in SHORTER), *found]})


def reader(model: ms.Model, site: ms.Site) -> Callable[[ndarray], ndarray] | None:
    """The norm, with its weights, that next reads the residual stream at this site; None where there is none."""
    bridge = model.bridge
    if site.place == "resid_post" and site.layer + 1 == model.n_layers:
        norm = getattr(bridge, FINAL_NORM, None)
    else:
        layer = site.layer + (site.place == "resid_post")
        norm = getattr(bridge.blocks[layer], SECOND_NORM if site.place == "resid_mid" else FIRST_NORM, None)
    if norm is None:
        return None

    @torch.no_grad()
    def read(h: ndarray) -> ndarray:
        given = torch.from_numpy(np.asarray(h, np.float32)).to(model.device, model.dtype)
        return norm(given[None])[0].float().cpu().numpy()

    return read


@dataclass(frozen=True, eq=False)
class _Distances:
    """How far a shift moves some test tokens from the manifold, by every distance in every metric."""

    views: dict[str, Callable]
    base: Float[ndarray, "tokens d"]
    moments: Float[ndarray, "d d"]
    """Second moments about zero (arXiv 2605.01167)."""
    precision: Float[ndarray, " d"]
    """Conditional precision of each coordinate, given all others."""
    massive_share: float
    """Share of the variance in the few coordinates that have most of it."""

    @classmethod
    def of(
        cls, model: ms.Model, site: ms.Site, learning: ndarray, testing: ndarray, rng: np.random.Generator
    ) -> "_Distances":
        learnt, base = (
            some[rng.choice(len(some), min(n, len(some)), replace=False)]
            for some, n in ((learning, N_LEARNING), (testing, N_TOKENS))
        )
        views = {}
        for name, metric in metrics(learnt, reader(model, site)).items():
            views |= _views(name, metric, learnt, base)
        variance = learnt.var(axis=0)
        massive = np.argsort(variance)[-N_MASSIVE:]
        plain = np.setdiff1d(np.arange(learnt.shape[1]), massive)
        if len(plain) > N_MASSIVE:
            views |= {
                f"neighbours, without {N_MASSIVE}": view
                for name, view in _views(RAW, lambda h: h[:, plain], learnt, base).items()
                if name.startswith("neighbours")
            }
        h = learnt.astype(np.float64)
        factor = Gaussian.fit(learnt).factor
        inverse = np.linalg.inv(factor @ factor.T)
        share = float(variance[massive].sum() / variance.sum())
        return cls(views, base, h.T @ h / len(h), np.diag(inverse), share)

    def of_direction(self, direction: Float[ndarray, " d"], lengths: Float[ndarray, " lengths"]) -> dict[str, ndarray]:
        """Columns, a value for each length."""
        columns: dict[str, list[float]] = {}
        for length in lengths:
            shift = length * direction
            steered = self.base + shift.astype(np.float32)
            for name, view in self.views.items():
                grown = view(steered)
                for suffix, part in (("", grown), (" 0", grown[::2]), (" 1", grown[1::2])):
                    columns.setdefault(name + suffix, []).append(float(part.mean()))
            columns.setdefault("second moment", []).append(float(shift @ self.moments @ shift))
            columns.setdefault("conditional", []).append(float(np.sum(shift**2 * self.precision)))
            columns.setdefault("massive_share", []).append(self.massive_share)
        return {name: np.array(values) for name, values in columns.items()}


def _views(name: str, metric: Callable, learnt: ndarray, base: ndarray) -> dict[str, Callable]:
    """By distance and metric: how much a shift adds to an activation's distance, and how much of it is normal to the tangent."""
    points, at = metric(learnt), np.asarray(metric(base), np.float64)
    found: dict[str, Callable] = {}
    kinds = {"neighbours": Neighbours.fit(points), "subspace": Subspace.fit(points)}
    if name != WHITENED:
        # After whitening, the Gaussian distance is the plain distance from the mean.
        kinds["gaussian"] = Gaussian.fit(points)
    for kind, manifold in kinds.items():
        before = manifold.distance(at)
        found[f"{kind}, {name}"] = lambda h, m=manifold, b=before: m.distance(np.asarray(metric(h), np.float64)) - b
    tangent = LocalTangent.fit(points, dimension=TANGENT, n_neighbours=N_TANGENT)
    few = slice(None, None, 4)
    found[f"tangent, {name}"] = lambda h: tangent.split(at[few], np.asarray(metric(h), np.float64)[few] - at[few])[1]
    return found
