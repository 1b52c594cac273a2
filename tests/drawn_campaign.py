"""A campaign's folder as it is put together, of claims that are drawn and not found, in as many cells as asked for."""

from pathlib import Path

import numpy as np

from analyses.campaigns.campaign import Campaign, write_together
from analyses.campaigns.plan import CampaignPlan, Cell
from analyses.studies.settings import Settings
from mechsteer import ConfidenceInterval
from mechsteer.statistics.judging import Claim, Outcome
from mechsteer.store.keys import Key

CLAIMS = (
    ("linear_region", "line", "share of its rise"), ("linear_region", "tangent", "tangent's slope / line's slope"),
    ("preference_curve", "adequate", "share of the span of preference"), ("preference_curve", "rivals", "nats"),
    ("utility_curve", "peak", "‖shift‖/‖h‖"), ("off_manifold", "monotone", "correlation"),
    ("orthogonality", "small", "cosine"), ("control", "", "gain / upper end of what chance gains"),
    ("manifold_exists", "distance", "ratio"), ("validity", "preference", "share"), ("split_wins", "", "nats"),
)  # fmt: skip
CONCEPTS = ("sentiment", "tense", "certainty", "mood", "outdoors", "politeness", "number", "person", "style", "topic")
MODELS = (
    "guestbook",
    "models/stories260K",
    "models/gpt2",
    "models/qwen",
    "models/gemma",
    "models/llama",
    "models/olmo",
)


def write(
    folder: Path, n_models: int = 3, n_concepts: int = 3, n_seeds: int = 1, primary: tuple[str, ...] = ()
) -> Campaign:
    """The last cell has failed, and the one before is missing."""
    cells = tuple(
        Cell(f"{Path(model).name}-{concept}-seed-{seed}", Settings(model, f"guestbook/{concept}", seed=seed), "")
        for model in MODELS[:n_models] for concept in CONCEPTS[:n_concepts] for seed in range(n_seeds)
    )  # fmt: skip
    plan, rng, rows, said = CampaignPlan("drawn", primary, cells), np.random.default_rng(0), [], []
    for number, cell in enumerate(cells):
        state = {len(cells) - 1: "failed", len(cells) - 2: "missing"}.get(number, "done")
        reason = "The site 9:resid_post does not exist: guestbook has layers 0 to 3." if state == "failed" else ""
        said.append({
            "name": cell.name, "state": state, "reason": reason, "model": cell.settings.model, "concept": cell.settings.pairs,
            "condition": "", "seed": cell.settings.seed,
        })  # fmt: skip
        for name, part, unit in CLAIMS if state == "done" else ():
            for against in ("SFT", "RePS") if name == "split_wins" else ("",):
                claim = drawn(rng, name, part, unit, cell, against)
                rows.append(
                    {"raw_p_value": claim.p_value, "raw_outcome": claim.outcome.value} | claim.to_dict() | {
                        "cell": cell.name, "concept": cell.settings.pairs, "condition": "", "name": claim.name,
                        "model": cell.settings.model,
                    }
                )  # fmt: skip
    folder.mkdir(parents=True)
    write_together(plan, folder, said, rows)
    return Campaign.load(folder)


def drawn(rng: np.random.Generator, name: str, part: str, unit: str, cell: Cell, against: str) -> Claim:
    key = Key("SPLIT" if against else "DiffMean", "lora" if against else "vector", sites="1:resid_post", seed=None)
    value, half = rng.normal(0.3, 0.4), rng.uniform(0.1, 0.5)
    interval = (
        ConfidenceInterval(value - half, value + half)
        if rng.random() > 0.1
        else ConfidenceInterval(value - half, np.nan)
    )
    outcome = Outcome.SUPPORTED if value > half else Outcome.REFUTED if value < -half else Outcome.INCONCLUSIVE
    p = float("nan") if outcome is Outcome.INCONCLUSIVE else float(np.exp(-4 * abs(value) / half))
    return Claim(name, part, key, value, unit, interval, "nothing", outcome, "It was drawn so.", p, against)
