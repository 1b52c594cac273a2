"""A small study that is made and not run, with every table that figures read, and numbers that are known."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyses.studies.folder import FORMAT
from mechsteer.curves import PreferenceCurve, UtilityCurve, ValidityDecay
from mechsteer.measuring.sweeps import Sweep, save_sweeps
from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import Key, labelled

M = np.array([-16.0, -8, -4, -2, -1, -0.5, 0, 0.5, 1, 2, 4, 8, 16])
READ = M[[0, 1, 3, 9, 11, 12]]
"""Where activations were read."""
PAIRS = tuple(f"pair {index}" for index in range(24))
SHIFT_PER_UNIT = 0.5
DECAY = ValidityDecay("plateau", 0.5, 40.0, 0.8, 0.5, 60.0, 0.9)
CURVES = {"preference": PreferenceCurve(2.0, 0.3, 0.1, DECAY), "utility": UtilityCurve(40.0, -60.0, DECAY)}
WHERE = Key(
    sites="1:resid_post", positions="all", prompt_format="raw", pairs="garden-rest", pairs_content="c0", model="garden",
    weights="w0", tokenizer="t0", dtype="float32",
)  # fmt: skip
"""What all tables of the study have in common."""
STEERS = [
    replace(WHERE, method=method, form=form, rule="add", seed=seed)
    for method, form, seed in (
        ("DiffMean", "vector", None), ("Random", "vector", None), ("SFT", "vector", 0), ("SFT", "lora", 0), ("SPLIT", "lora", 0)
    )
]  # fmt: skip
JUDGED = STEERS[::3]
"""The steers that claims were asked of: two."""
OPERATING = [("concept", "concept", 0.7, 0.65), ("coherence", "fluency", 0.95, 0.9), ("best", "overall", 0.6, 0.55)]
"""At the operating point: a claim's part, what is scored, its score there, and the other's."""
LINES = {"a straight line": (-4.0, 4.0, 1.6), "its tangent at zero": (-1.0, 2.0, 2.0)}
"""Low end, high end and slope, in multipliers."""


def write(folder: Path) -> Path:
    """The whole folder."""
    sweeps = [_sweep(key, seed) for seed, key in enumerate(STEERS)]
    (folder / "claims").mkdir(parents=True)
    (folder / "evidence").mkdir()
    save_sweeps(sweeps, folder / "sweeps.parquet")
    fits = [{"key": key.columns()} | {quantity: _fit(quantity) for quantity in CURVES} for key in STEERS]
    summary = {
        "format": FORMAT,
        "files": [],
        "model": {"name": "folder/garden"},
        "pairs": {"learning": {"name": "garden-first"}, "testing": {"name": "garden-rest"}},
        "site": {"site": "1:resid_post"},
        "judged": [key.columns() for key in JUDGED],
    }
    claims = [claim.to_dict() for claim in _claims()]
    for name, content in (("fits", fits), ("study", summary), ("claims", claims)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    for name, table in {**_tables_of_the_study(), **_tables_of_steers()}.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def _sweep(key: Key, seed: int) -> Sweep:
    """Losses whose log-odds are the two curves, up to each pair's own noise."""
    noise = np.random.default_rng(seed).normal(size=(2, 1, len(PAIRS)))
    preference, utility = (curve(M)[:, None] + part for curve, part in zip(CURVES.values(), noise, strict=True))
    # Eq. 8 gives e^-Lp + e^-Ln, and eq. 7 the share of the first.
    loss_positive = np.log1p(np.exp(-utility)) + np.log1p(np.exp(-preference))
    shift = np.repeat(SHIFT_PER_UNIT * np.abs(M)[:, None], len(PAIRS), axis=1)
    tokens = np.full(len(PAIRS), 8)
    return Sweep(M, PAIRS, loss_positive, loss_positive + preference, tokens, tokens, shift, key)


def _fit(quantity: str) -> dict[str, Any]:
    """What figures read of `CurveFit.to_dict`."""

    def found(estimate: float | None, low: float | None, high: float | None) -> dict[str, Any]:
        return {"estimate": estimate, "interval": {"low": low, "high": high}}

    curve = CURVES[quantity]
    properties = {
        "peak": found(0.5, 0.4, 0.6),
        "half_nat_negative": found(-6.0, -6.5, -5.5),
        "half_nat_positive": found(7.0, 6.5, 7.5),
        "near_linear_negative": found(-3.0, -3.5, -2.5),
        "near_linear_positive": found(4.0, 3.0, 5.0),
        "converges_negative": found(-11.0, None, -9.0),
        # Beyond the sweep.
        "converges_positive": found(None, 12.0, None),
    }
    return {
        "quantity": quantity,
        "ok": True,
        "status": "CONVERGED",
        "variant": "plateau",
        "score": {"held_out_r_squared": 0.987},
        "rivals": [],
        "spline": {"held_out_error": 0.1, "end_error": 1.0},
        "held_out_predictions": [None, *curve(M)[1:-1].tolist(), None],
        "curve": vars(curve) | {"validity": vars(curve.validity)},
        "properties": properties,
        "fitted": {"peak": properties["peak"]},
        "agreeing": ["peak"],
    }


def _claims() -> list[Claim]:
    rows = []

    def claim(
        name: str, part: str, key: Key, estimate: float | None, unit: str, outcome: str, control="luck", against=""
    ) -> None:
        value = float("nan") if estimate is None else estimate
        interval = ConfidenceInterval(value - 0.1, value + 0.1)
        rows.append(
            Claim(name, part, key, value, unit, interval, control, Outcome(outcome), "It is so.", against=against)
        )

    for quantity in CURVES:
        claim("measurement", quantity, WHERE, 0.2, "R² on unseen pairs", "supported")
    claim("preference_curve", "regions", JUDGED[0], None, "share of the swept side", "inconclusive")
    for key in JUDGED:
        claim("linear_region", "line", key, 0.5, "share of the span of preference", "supported")
    for key, quantity, suffix in product(JUDGED, CURVES, ("", ", shape")):
        claim("transfer", quantity + suffix, key, 0.9, "R² on test pairs", "supported")
    for key in JUDGED:
        claim("control", "", key, 3.0, "gain / upper end of what chance gains", "supported", "directions of equal size")
    for key, (part, *_) in product(JUDGED, OPERATING):
        claim("operating_point", part, key, 0.05, "of the scale", "inconclusive", "the judge rules")
    split = STEERS[-1].without("seed")
    for place, better in (("m = 1", 0.1), ("equal utility", -0.05)):
        claim(
            "judged_wins",
            place,
            split,
            better,
            "of the harmonic mean",
            "inconclusive",
            "SFT, by the judge rules",
            "SFT",
        )
    claim("split_wins", "", split, -0.8, "nats", "refuted", "SFT, on the same pairs and budgets", "SFT")
    return rows


def _with_interval(table: pd.DataFrame, column: str, width: float) -> pd.DataFrame:
    return table.assign(low=table[column] - width, high=table[column] + width)


def _rows(columns: str, rows: Any) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=columns.split())


def _tables_of_the_study() -> dict[str, pd.DataFrame]:
    gained = pd.concat(
        [labelled(_rows("n_seeds budget gained", ((2, budget, 5.0 + index + budget) for budget in (0.5, 1.0, 2.0, 4.0, np.nan))),
                  key.without("seed"))
         for index, key in enumerate(STEERS)], ignore_index=True
    )  # fmt: skip
    frontier = _with_interval(gained.fillna({"gained": 8.0}), "gained", 0.4)
    frontier = frontier.assign(relative_shift_negative=0.5, relative_shift_positive=0.7, multiplier_negative=-6.0)
    frontier = frontier.assign(
        multiplier_positive=7.0, gained_negative=frontier.gained, gained_positive=frontier.gained
    )
    sites = _rows("layer place relative_shift", product(range(3), ("attn.o", "mlp.out", "resid_post"), (0.25, 0.5)))
    sites = sites.assign(preference_gained=sites.layer + 1.0, utility_lost=2 * sites.relative_shift + sites.layer / 4)
    sites = sites.assign(useful_gain=sites.layer + 1.0, behind=sites.layer - 1.5, layers_after=2 - sites.layer)
    one_operation = pd.concat(
        [labelled(_rows("pair change", ((pair, 3.0 + len(pair)) for pair in PAIRS)), key) for key in JUDGED],
        ignore_index=True,
    )
    one_operation = one_operation.assign(difference=1e-5, reversed=9.0, tolerance=1e-3)
    lost = -CURVES["utility"](M) + CURVES["utility"](np.zeros(1))
    second = pd.concat(
        [labelled(pd.DataFrame({"multiplier": M, "utility_lost": lost, "second_lost": 0.02 * lost * (index + 1)}), key)
         for index, key in enumerate(STEERS)], ignore_index=True
    )  # fmt: skip
    second = _with_interval(second, "second_lost", 0.01).assign(
        second_utility=-second.second_lost, read_from="likelihood of neutral text"
    )
    options = pd.concat(
        [labelled(_rows("quantity multiplier estimate", ((quantity, m, size * np.tanh(m / 4)) for quantity, size
                                                         in (("concept gained", 4.0), ("answer bias gained", index - 1.0))
                                                         for m in M)), key)
         for index, key in enumerate(STEERS)], ignore_index=True
    )  # fmt: skip
    options = _with_interval(options, "estimate", 0.2).assign(answer="Yes", other_answer="No", n_answer=12, n_other=12)
    correlations = _rows(
        "log_odds nuisance correlation",
        ((quantity, *rest) for quantity in CURVES
         for rest in (("length", 0.5), ("length_difference", np.nan), ("loss_per_token", -0.05), ("position_in_file", -0.9))),
    )  # fmt: skip
    curve = _rows(
        "layer points share distance",
        ((1, points, share, share * far)
         for points, far in (("held out", 0.5), ("mixture", 0.7), ("gaussian", 1.0), ("shuffled", 1.2))
         for share in np.linspace(0.01, 0.99, 99)),
    )  # fmt: skip
    dimension = _rows(
        "points estimator estimate",
        ((points, estimator, size)
         for points, size in {"held out": 2.0, "mixture": 6.0, "gaussian": 9.0, "shuffled": 15.0, "all directions": 20.0}.items()
         for estimator in ("two_nn", "maximum_likelihood", "participation_ratio")),
    )  # fmt: skip
    scales = ((5, 1.0), (10, 1.0), (20, 1.0), (40, 1.0), (5, 0.5), (5, 0.25))
    scale = _rows(
        "points n_neighbours kept estimate",
        ((points, n, kept, size * (n / kept) ** 0.1)
         for points, size in {"held out": 2.0, "mixture": 6.0, "gaussian": 9.0, "all directions": 20.0}.items()
         for n, kept in scales),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    cloud = pd.DataFrame(rng.normal(size=(40, 2)), columns=["x", "y"])
    paths = _rows(
        "x y token multiplier utility_loss",
        ((m / 9 + token, token, token, m, abs(m)) for token in range(4) for m in (0.0, *READ)),
    )
    asked = _rows("side text gained lost", [("negative", "no {query}", 3.0, 0.2), ("positive", "yes {query}", 5.0, 0.4),
                                            ("both", "", 4.0, 0.3)])  # fmt: skip
    by_layer = _rows("layer measured_on multiplier", product(range(3), ("garden/calm", "garden/old"), (-2.0, 2.0)))
    by_layer = by_layer.assign(preference_change=by_layer.multiplier * by_layer.layer / 4, utility_change=-0.3)
    by_layer = by_layer.assign(place="resid_post", useful_gain=4.0 - by_layer.layer, n_pairs=32)
    directions = _rows("family direction incoherence", (
        (f"family {index % 9}", index, rng.uniform()) for index in range(60)))  # fmt: skip
    directions = directions.assign(**{"neighbours, raw": rng.uniform(1, 90, len(directions))})
    distances = (
        "neighbours, raw",
        "subspace, next norm",
        "neighbours, without 3",
        "fisher",
    )
    predictors = pd.DataFrame({"predictor": distances, "estimate": 0.4, "given_fisher_estimate": -0.2})
    for name in ("", "given_fisher_"):
        middle = predictors[f"{name}estimate"]
        predictors = predictors.assign(**{f"{name}low": middle - 0.3, f"{name}high": middle + 0.3})
    spent = [(side, budget) for side in (-1, 1) for budget in (0.05, 0.1, 0.25, 0.5, 1.0)]
    reached = pd.concat(
        [labelled(_rows("side budget relative_shift predicted", (
            (side, budget, budget**0.5 * (1 + index / 5), budget**0.5) for side, budget in spent)), key.without("seed"))
         for index, key in enumerate(STEERS) if key.method != "Random"], ignore_index=True
    )  # fmt: skip
    rates = _rows(
        "aspect multiplier sensitivity specificity",
        ((aspect, m, 0.9 - abs(m) / 40, 0.8 + m / 160) for aspect in ("concept", "not repeated") for m in READ),
    ).assign(judge="rules")
    for name in ("sensitivity", "specificity"):
        rates = rates.assign(**{f"{name}_low": rates[name] - 0.1, f"{name}_high": rates[name] + 0.05})
    rates = rates.assign(
        source="gold", **dict.fromkeys(("kappa", "rate", "true_rate", "corrected", "low", "high"), 0.5)
    )
    return {
        "reliability": labelled(rates, JUDGED[0]),
        "claims/one_mechanism-shift": _with_interval(reached, "relative_shift", 0.05),
        "claims/causes-directions": labelled(directions, WHERE),
        "claims/causes-predictors": labelled(predictors, WHERE),
        "prompting": asked,
        "side_effects_by_layer": by_layer,
        "second_utility": second,
        "two_options": options,
        "frontier": frontier,
        "sites": sites,
        "evidence/one_operation": one_operation,
        "claims/measurement-correlations": labelled(correlations, WHERE),
        "claims/manifold_exists-curve": labelled(curve, WHERE),
        "claims/manifold_exists-dimension": labelled(
            _with_interval(dimension, "estimate", 0.5).assign(layer=1, d_model=32), WHERE
        ),
        "claims/manifold_exists-scale": labelled(
            _with_interval(scale, "estimate", 0.5).assign(layer=1, d_model=32), WHERE
        ),
        "claims/activation_map-place": labelled(
            pd.concat([cloud.assign(token=-1), paths], ignore_index=True), JUDGED[0]
        ),
    }


def _tables_of_steers() -> dict[str, pd.DataFrame]:
    rng = np.random.default_rng(1)
    rivals = _rows(
        "rival n_parameters difference held_out_error",
        [("linear", 2, 3.0, 4.0), ("logistic", 4, 0.02, 1.02), ("two logistics", 7, -0.4, 0.6)],
    )
    rivals = _with_interval(rivals.assign(paper_held_out_error=1.0, kind="rival"), "difference", 0.05)
    regions = _rows(
        "line low high slope share resample",
        ((name, low + bend, high + bend, slope, 0.5, resample) for name, (low, high, slope) in LINES.items()
         for resample, bend in ((-1, 0.0), (0, -0.5), (1, 0.5))),
    )  # fmt: skip
    projection = rng.normal(1.0, 0.3, len(PAIRS))
    slopes = _rows(
        "slope nats_per_unit",
        [("slope at zero", 1.0), ("slope of the line", 0.7)],
    )
    effects = _rows(
        "quantity estimate",
        [("utility", 0.1), ("preference", 1.0), ("projection", 0.1), ("ratio", 300.0), ("rank", 0.2)],
    )
    predictions = pd.concat(
        pd.DataFrame({"quantity": name, "multiplier": M, "mean": curve(M), "predicted": curve(M) + 0.2})
        for name, curve in CURVES.items()
    )
    checked = pd.DataFrame(
        {"multiplier": READ, "n_answers": 64, "preference": CURVES["preference"](READ), "concept": "mood"}
    )
    checked = checked.assign(valid=DECAY(READ) ** 2, validity_fitted=DECAY(READ), positive=(1 + np.sign(READ)) / 2)
    ranges = pd.DataFrame({"side": ["negative", "positive"], "useful": [6.0, 7.0], "valid": [5.0, np.nan]})
    distance = _rows(
        "distance layer multiplier growth",
        ((name, layer, m, abs(m) * far * layer) for name, far in (("neighbours", 90.0), ("subspace", 4.0), ("gaussian", 0.4))
         for layer in (1, 2, 3) for m in READ),
    )  # fmt: skip
    split = _rows("layer multiplier", product((1, 2, 3), READ))
    for part in ("relative_size", "along", "normal", "angle", "radial"):
        split[part] = split.multiplier.abs() / 9
    pair = _rows("multiplier pair", product(READ, PAIRS))
    for name in ("neighbours", "subspace", "gaussian", "tangent"):
        pair[name] = pair.multiplier.abs() * rng.uniform(0.8, 1.2, len(pair))
    pair["utility_loss"] = pair.gaussian**2 / 3 + rng.normal(size=len(pair))
    explained = _rows(
        "distance correlation", ((name, 0.1) for name in ("neighbours", "subspace", "gaussian", "tangent"))
    )
    chance = _rows(
        "kind budget relative_shift gained error mean lower upper n",
        ((kind, 0.1 * at, 0.2 * at, 3.0 * at, 0.2, 0.1, -at, at, 24) for at in (1, 2, 3)
         for kind in ("covariance", "shuffled labels")),
    )  # fmt: skip
    frozen = _rows(
        "quantity share real frozen",
        ((name, share, start + size * share, start + 1.3 * size * share) for name, start, size in
         (("preference", 1.0, 8.0), ("utility", -20.0, -0.5)) for share in (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)),
    ).assign(change_low=-0.1, change_high=0.4)  # fmt: skip
    changed = _rows(
        "whose quantity multiplier value",
        ((whose, name, m, (1 + index / 5) * size * (m if name in ("preference", "odds") else m * m))
         for index, whose in enumerate(("pairs", "sampled completions", "second pairs"))
         for name, size in (("preference", 2.0), ("utility", 0.03), ("loss", 0.1), ("odds", 1.0))
         if name != "odds" or index == 1 for m in (-8.0, -4.0, 0.0, 4.0, 8.0)),
    ).assign(useful_low=-4.0, useful_high=4.5, n_queries=24)  # fmt: skip
    judged = _rows(
        "quantity multiplier value",
        ((name, m, size(m)) for name, size in (
            ("preference gained", lambda m: 2 * m), ("utility lost", lambda m: m * m / 100), ("concept", lambda m: 0.5 + m / 40),
            ("fluency", lambda m: 0.95 - abs(m) / 50), ("overall", lambda m: 0.4 + m / 80)) for m in M),
    ).assign(judge="rules", useful_low=-6.0, useful_high=7.0)  # fmt: skip
    operating = pd.DataFrame(OPERATING, columns=["part", "aspect", "there", "other"]).assign(
        multiplier=4.0, judge="rules"
    )
    first = {
        "operating_point-scores": operating,
        "judged_text-curve": _with_interval(judged, "value", 0.03),
        "control-chance": chance,
        "coverage-curve": _with_interval(changed, "value", 0.1),
        "frozen_norms-curve": frozen.assign(multiplier=2 * frozen.share),
        "preference_curve-rivals": rivals,
        "utility_curve-rivals": rivals,
        "linear_region-regions": regions,
        "projection_gain-pairs": pd.DataFrame({"pair": PAIRS, "projection": projection, "slope": projection + 0.05}),
        "projection_gain-slopes": _with_interval(slopes, "nats_per_unit", 0.1),
        "projection_gain-random": pd.DataFrame({"projection": rng.normal(0, 0.2, 200)}),
        "orthogonality-effects": _with_interval(effects, "estimate", 0.1).assign(
            random_limit=0.03, signal=0.9, n_pairs=60
        ),
        "orthogonality-random": pd.DataFrame({"effect": np.abs(rng.normal(0, 0.4, 500))}),
        "transfer-predictions": predictions,
        "validity-checked": checked,
        "validity-range": ranges,
        "off_manifold-distance": _with_interval(distance, "growth", 0.3),
        "off_manifold-split": split,
        "off_manifold-pair": pair,
        "off_manifold-explained": _with_interval(explained, "correlation", 0.05).assign(layer=1),
    }
    return {
        f"claims/{name}": pd.concat([labelled(table.reset_index(drop=True), key) for key in JUDGED], ignore_index=True)
        for name, table in first.items()
    }
