"""Small studies with a known story: a world is planted, and what a verdict reads is made of it as a study makes its tables."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import drawn_study
import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from analyses.claims import control
from analyses.evidence import comparison, forecast, two_options
from analyses.evidence.comparison import Compared, over_seeds
from analyses.studies.folder import FORMAT
from analyses.studies.manifest import summarise
from analyses.studies.settings import Settings
from mechsteer.judges.scale import COHERENCE
from mechsteer.measuring.frontier import frontier
from mechsteer.measuring.sweeps import Sweep, save_sweeps
from mechsteer.measuring.useful import useful_range
from mechsteer.pairs.checks import check_pairs
from mechsteer.pairs.polarity import Pairs, PolarityPair
from mechsteer.statistics.intervals import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import labelled

M = drawn_study.M
Curve = Callable[[Float[ndarray, " m"]], Float[ndarray, " m"]]
STEER = replace(drawn_study.WHERE, method="DiffMean", form="vector", rule="add")
N_PAIRS, N_DIRECTIONS = 60, 24


def written(n: int = 2 * N_PAIRS, name: str = "garden") -> Pairs:
    """Pairs with nothing wrong."""
    texts = ((f" plot {i} is lovely and {i} green", f" plot {i} is dreary and {i} brown") for i in range(n))
    return Pairs(
        tuple(PolarityPair(f"Guest {i} says :", *both, id=f"{name}-{i}") for i, both in enumerate(texts)), name
    )


@dataclass(frozen=True)
class Story:
    """A world, and how a study of it must end."""

    ended: str
    chief: str
    """"" where nothing speaks against it."""
    preference: Curve = lambda m: 8 * np.tanh(m / 6)
    lost: Curve = lambda m: 0.5 * (m / 6) ** 2
    of_pairs: Curve = np.ones_like
    """By what a pair's change of preference is multiplied."""
    chance: float = 0.1
    """Standard deviation of what a direction by chance gains, as a share of what is drawn for the story: nats."""
    valid: Curve | None = None
    """Share of valid answers; None where there is no checker."""
    coherence: Curve | None = None
    """As a judge of texts has it, between zero and one; None where there is no judge."""
    second_lost: Curve = lambda m: 0.001 * m**2
    pairs: Pairs = field(default_factory=written)
    test_pairs: Pairs | None = None
    keys: tuple[str, ...] = ()
    """Of the measured pairs, the answer that stands for the concept."""
    bias: Curve | None = None
    """What is gained for the answer Yes."""
    transfer: float = 0.97
    judged: bool = True
    side_effects: Mapping[str, Curve] = field(default_factory=lambda: {"garden/calm": lambda m: 0.02 * m})
    text: Callable[[float], str] = lambda m: "lovely" if m > 1 else "dreary" if m < -1 else "so so"


def write(folder: Path, story: Story) -> Path:
    """The folder of its study."""
    folder.mkdir(parents=True)
    (folder / "claims").mkdir()
    checked = check_pairs(story.pairs, story.test_pairs)
    testing = checked.testing
    sweep, key = _sweep(story, testing), STEER
    save_sweeps([sweep], folder / "sweeps.parquet")
    (folder / "pairs.jsonl").write_text(testing.to_json_lines(), encoding="utf-8")
    claims, tables = _judged(story, sweep)
    free, guarded = (frontier([sweep], is_guarded=is_guarded, n_resamples=60) for is_guarded in (False, True))
    tables |= {
        "frontier": comparison.table({("", ""): Compared(over_seeds(sweep), free, guarded)}),
        "steerability": labelled(forecast.summarise(_agreeing(sweep)), key),
        "second_utility": labelled(_second(story, sweep), key),
        "side_effects": labelled(_effects(story), key),
        "texts": labelled(_texts(story, testing), key),
    }
    if story.keys:
        keys = [story.keys[index % len(story.keys)] for index in range(len(testing))]
        tables["two_options"] = labelled(two_options.told_apart(sweep, keys), key)
    if story.valid is not None:
        shares = pd.DataFrame({"multiplier": M, "n_answers": 64, "valid": story.valid(M)})
        tables["answers"] = labelled(shares, key)
    if story.coherence is not None:
        tables["judged"] = labelled(_coherent(story, sweep), key)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    fits = {quantity: _fit(quantity) for quantity in drawn_study.CURVES}
    files = {
        "claims": [claim.to_dict() for claim in claims],
        "fits": [{"key": key.columns()} | fits],
        "study": _about(story, sweep, fits, checked),
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def _sweep(story: Story, pairs: Pairs) -> Sweep:
    rng = np.random.default_rng(0)
    n = len(pairs)
    gains = story.preference(M)[:, None] * story.of_pairs(np.arange(n) / n) * rng.uniform(0.8, 1.2, n)
    if story.bias is not None:
        stands_for_yes = np.array([1.0 if story.keys[index % len(story.keys)] == "Yes" else -1.0 for index in range(n)])
        gains = gains + story.bias(M)[:, None] * stands_for_yes
    preference = gains + rng.normal(0, 0.5, n)
    lost = story.lost(M)[:, None] * rng.uniform(0.9, 1.1, n)
    # Of both texts together, and the share of the first (eqs. 7 and 8).
    positive = 20 + lost + np.log1p(np.exp(-preference))
    shift = np.repeat(0.1 * np.abs(M)[:, None], n, axis=1)
    ids = tuple(pair.id for pair in pairs)
    return Sweep(M, ids, positive, positive + preference, np.full(n, 8), np.full(n, 8), shift, STEER)


def _judged(story: Story, sweep: Sweep) -> tuple[list[Claim], dict[str, pd.DataFrame]]:
    """The gate as the study judges it, and whether curves transfer."""
    if not story.judged:
        return [], {}
    rng, n, found = np.random.default_rng(1), len(sweep.pairs), []
    kinds = [control.STEER, *[control.COVARIANCE] * N_DIRECTIONS, *[control.SHUFFLED] * N_DIRECTIONS]
    for budget in (0.1, 0.25, 0.5):
        low, high = useful_range(sweep, budget)
        change = [[np.interp(end, M, curve) for curve in sweep.preference.T] for end in (low, high)]
        by_chance = rng.normal(0, story.chance, (len(kinds) - 1, 1)) + rng.normal(0, 0.1, (len(kinds) - 1, n))
        gained = np.vstack([(np.array(change[1]) - change[0]) / 2, by_chance])
        about = {"budget": budget, "relative_shift": 0.05 * (high - low), "pair": np.tile(sweep.pairs, len(kinds))}
        of_draw = {"kind": np.repeat(kinds, n), "draw": np.repeat(np.arange(len(kinds)), n), "gained": gained.ravel()}
        found.append(pd.DataFrame(of_draw | about))
    judged = control.run(labelled(pd.concat(found, ignore_index=True), STEER))
    outcome = Outcome.SUPPORTED if story.transfer > 0.9 else Outcome.REFUTED
    interval = ConfidenceInterval(story.transfer - 0.02, story.transfer + 0.02)
    because = "The learning pairs' curve was held against the test pairs."
    transfer = Claim(
        "transfer", "preference", STEER, story.transfer, "R² on test pairs", interval, "learning pairs", outcome, because,
        is_check=True,
    )  # fmt: skip
    tables = {f"claims/control-{name}": labelled(table, STEER) for name, table in judged.tables.items()}
    return [*judged.claims, transfer], tables


def _agreeing(sweep: Sweep) -> pd.DataFrame:
    rng, n = np.random.default_rng(2), len(sweep.pairs)
    sides = {"projection_positive": rng.normal(1, 1, n), "projection_negative": rng.normal(-1, 1, n)}
    return pd.DataFrame(
        {"pair": sweep.pairs, "cosine": rng.uniform(0.3, 0.9, n), "slope": forecast.slopes(sweep)} | sides
    )


def _second(story: Story, sweep: Sweep) -> pd.DataFrame:
    lost = story.second_lost(M)
    about = {"utility_lost": sweep.lost.mean(axis=1), "read_from": "likelihood of neutral text", "n_texts": 16}
    found = {"multiplier": M, "second_utility": -3 - lost, "second_lost": lost, "low": lost - 0.01, "high": lost + 0.01}
    return pd.DataFrame(found).assign(**about)


def _coherent(story: Story, sweep: Sweep) -> pd.DataFrame:
    mean = story.coherence(M)
    counts = {"n_texts": 60, "n_failed": 0, "named": 0.0, "worst": mean, "best": mean, "about": ""}
    beside = {"preference": sweep.preference.mean(axis=1), "utility_lost": sweep.lost.mean(axis=1)}
    found = {"judge": "local=folder/reader", "aspect": "fluency", "role": COHERENCE, "multiplier": M, "mean": mean}
    return pd.DataFrame(found | {"low": mean - 0.05, "high": mean + 0.05} | counts | beside)


def _effects(story: Story) -> pd.DataFrame:
    return pd.concat(
        pd.DataFrame({"measured_on": name, "multiplier": M, "preference_change": curve(M), "utility_change": -0.1, "n_pairs": 32})
        for name, curve in story.side_effects.items()
    )  # fmt: skip


def _texts(story: Story, pairs: Pairs) -> pd.DataFrame:
    return pd.DataFrame(
        {"multiplier": m, "pair": pair.id, "query": pair.query, "text": f" plot {index} is {story.text(m)}"}
        for m in M for index, pair in enumerate(pairs[:3])
    )  # fmt: skip


def _fit(quantity: str) -> dict[str, Any]:
    scores = {name: 0.1 for name in ("r_squared", "held_out_error", "end_error", "held_out_r_squared")}
    return drawn_study._fit(quantity) | {"score": scores, "spline": scores}


def _about(story: Story, sweep: Sweep, fits: dict[str, Any], checked: Any) -> dict[str, Any]:
    """What study.json says."""
    settings = Settings(model="folder/garden", pairs="garden.jsonl", site="1:resid_post")
    claims = settings.claims if story.judged else ()
    settings = replace(settings, test_pairs=None if story.test_pairs is None else "test.jsonl", claims=claims)
    pairs = {
        name: {"name": f"garden-{name}", "n": len(some), "fingerprint": "f" * 16}
        for name, some in (("learning", checked.learning), ("testing", checked.testing))
    }
    sentences = {name: [] for name in ("comparison", "single_pairs", "second", "coverage", "judged")}
    summary = {name: _plain(value) for name, value in summarise(sweep, fits).items()}
    return {
        "format": FORMAT, "files": [], "mechsteer": "0", "settings": settings.to_dict(), "command": settings.command,
        "versions": {"python": "3"}, "pairs_with_moved_boundary": 0, "concept": "", "missing": {}, "seconds": {"model": 1.0},
        "model": {"name": "folder/garden", "revision": None, "fingerprint": "e" * 16, "dtype": "float32", "n_layers": 3,
                  "d_model": 32},
        "pairs": pairs | {"others": [], "second": []},
        "site": {"site": "1:resid_post", "hook": "a.hook", "because": "as asked"},
        "judged": [STEER.columns()] if story.judged else [],
        "findings": [finding.to_dict() for finding in checked.findings],
        "summary": summary | sentences,
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _some_against(shares: Float[ndarray, " pairs"]) -> Float[ndarray, " pairs"]:
    """A third of the pairs go the other way."""
    return np.where(shares < 0.33, -0.6, 1.0)


def _answered(n: int = 2 * N_PAIRS) -> Pairs:
    """Every positive completion begins with one word."""
    items = tuple(
        PolarityPair(f"Is plot {i} lovely ?", f" Yes , {i} is green", f" Plot {i} is brown", id=str(i))
        for i in range(n)
    )
    return Pairs(items, "answered")


def _copied(n: int, times: int) -> Pairs:
    """The same pairs, over and over, under ids of their own."""
    items = [replace(pair, id=f"{pair.id}-{copy}") for copy in range(times) for pair in written(n)]
    return Pairs(tuple(items), "copied")


def _retold() -> Pairs:
    """The completions of other pairs, after queries of their own."""
    return Pairs(
        tuple(replace(pair, id=f"t{i}", query=f"And guest {i} :") for i, pair in enumerate(written(N_PAIRS))), "retold"
    )


NOTHING: Curve = lambda m: 0.01 * m  # noqa: E731
STORIES = {
    "it works": Story("worked", ""),
    "it works by a checker too": Story("worked", "", valid=lambda m: 0.97 - 0.0005 * m**2),
    "it gains nothing": Story("failed", "no gain over chance", preference=NOTHING, chance=0.4),
    "it goes the wrong way": Story("failed", "goes the wrong way", preference=lambda m: -3 * np.tanh(m / 6), chance=0.4),
    "it gains what luck might": Story(
        "cannot tell", "no clear gain over chance", preference=lambda m: 0.2 * m * np.abs(m) / 6, chance=0.13
    ),
    "it gains little": Story("worked", "little gain", preference=lambda m: 0.6 * np.tanh(m / 3), chance=0.01),
    "it gains on one side": Story("worked", "one-sided", preference=lambda m: np.where(m > 0, 8 * np.tanh(m / 6), 0.1 * m)),
    "it levels off at once": Story("worked", "preference flattens early", preference=lambda m: 5 * np.tanh(m)),
    "it collapses first": Story(
        "failed", "utility collapses before any gain", preference=lambda m: 6 * np.tanh((m / 12) ** 3),
        lost=lambda m: 0.5 * m**2, chance=0.3,
    ),
    "learning pairs predict nothing": Story("worked", "curves do not transfer", transfer=-0.4),
    "answers break half way": Story("worked", "text invalid at moderate m", valid=lambda m: np.where(np.abs(m) > 2.5, 0.3, 0.96)),
    "answers break before any gain": Story(
        "failed", "text invalid at moderate m", valid=lambda m: np.where(np.abs(m) > 0.6, 0.2, 0.96)
    ),
    "a judge finds text broken half way": Story(
        "worked", "text invalid at moderate m", coherence=lambda m: np.where(np.abs(m) > 2.5, 0.2, 0.9)
    ),
    "neutral text breaks half way": Story("worked", "text invalid at moderate m", second_lost=lambda m: 0.02 * m**2),
    "a third of the pairs go the other way": Story("worked", "anti-steerable pairs", of_pairs=_some_against),
    "it says Yes": Story("failed", "answer bias", preference=NOTHING, keys=("Yes", "No"), bias=lambda m: 4 * np.tanh(m / 6)),
    "completions were learned": Story("cannot tell", "leaks", pairs=written(), test_pairs=_retold()),
    "Yes tells the side": Story("cannot tell", "an answer tells the side", pairs=_answered()),
    "half of the pairs are copies": Story("worked", "copies", pairs=_copied(100, 2)),
    "all are copies of a few": Story("cannot tell", "too few pairs", pairs=_copied(24, 5)),
    "a column that nobody named says which pairs are alike": Story(
        "worked", "no groups", pairs=replace(written(), group_columns=("theme",))
    ),
    "there are few pairs": Story("cannot tell", "too few pairs", pairs=written(24)),
    "nobody asked for chance": Story("cannot tell", "no control", judged=False),
}  # fmt: skip
"""By what happens in them."""
