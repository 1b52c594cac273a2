"""What stands on the page before any script runs: sentences, claims, and how the study was made."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from analyses.claims import CHECKS, CLAIMS, THEMES, theme_of
from analyses.studies.finished import Study
from analyses.verdict.verdict import judged_sweeps
from mechsteer.statistics.judging import Claim, p_words

from .contents import verdict_on_page, verdict_view
from .numbers import estimated, shown
from .sentences import OUTCOMES, lead, title

MARKS = {"supported": "✓", "refuted": "✗", "inconclusive": "?"}


TERMS = {
    "nat": "A unit of log-odds: one nat more makes something 2.7 times as likely, against its alternative.",
    "preference": "Log-odds (nats) of the completion for the concept against the one against it, mean over pairs.",
    "utility": "Log-odds (nats) that the model writes either completion of a pair rather than something else. Losing utility "
    "means losing coherent, on-task text.",
    "relative shift": "How much is added to an activation, as a share of its own length: ‖shift‖ / ‖h‖.",
    "multiplier": "m: how many times the steer is added. At m = 0 the model is as it was; m < 0 steers against the concept.",
    "useful range": "The multipliers around zero at which at most half a nat of utility is lost. Where texts were judged, they "
    "also stay about as good as unsteered. The charts shade this range. Claims use the range by log-odds, which looks at "
    "utility alone.",
    "gained": "The change of preference where half a nat of utility is lost, averaged over both signs of m.",
}
"""Words of the field that the page explains in place."""


def study_view(study: Study, label: str) -> dict[str, Any]:
    """Everything that the template says of a study."""
    groups = [_group(study, list(claims)) for claims in _by_name(study.claims).values()]
    for number, group in enumerate(groups):
        group["number"] = number
    return {
        "label": label,
        "verdict": verdict_view(verdict_on_page(study, judged_sweeps(study)[0])),
        "lead": lead(study),
        "groups": groups,
        "themes": [
            {"title": theme, "counts": _counts(own), "groups": own}
            for theme in THEMES.values()
            if (own := [group for group in groups if group["theme"] == theme])
        ],
        "facts": _facts(study.summary),
        "versions": study.summary["versions"],
        "command": study.summary["command"],
        "seconds": {stage: shown(seconds) for stage, seconds in study.summary["seconds"].items()},
    }


def _counts(groups: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many rows of some claims came out how."""
    outcomes = [row["outcome"] for group in groups for row in group["rows"]]
    return [
        {"outcome": outcome, "mark": MARKS[outcome], "n": outcomes.count(outcome)}
        for outcome in OUTCOMES
        if outcome in outcomes
    ]


def _by_name(claims: Sequence[Claim]) -> dict[str, list[Claim]]:
    found: dict[str, list[Claim]] = {}
    for claim in claims:
        found.setdefault(claim.name, []).append(claim)
    return found


def _group(study: Study, claims: Sequence[Claim]) -> dict[str, Any]:
    """One row of the table: a claim, and what was found of it for each steer."""
    first = claims[0]
    member = CLAIMS.members().get(first.claim)
    rows = [_row(claim) for claim in claims]
    tables = (member and member.get("TABLES")) or [f"claims/{path.stem}" for path in _numbers(study, first.claim)]
    return {
        "name": first.name,
        "title": title(first),
        "states": _paragraphs(member.doc) if member else [],
        "rows": rows,
        "is_check": first.is_check,
        "theme": CHECKS if first.is_check else theme_of(first.claim),
        "counts": _counts([{"rows": rows}]),
        "picture": member.get("FIGURE", "") if member else "",
        "tables": tables,
        "ids": [claim.key.id for claim in claims],
    }


def _paragraphs(docstring: str) -> list[str]:
    """Its words, without line breaks and marks of emphasis."""
    return [re.sub(r"`|\*(?=\w)|(?<=\w)\*", "", text.replace("\n", " ")) for text in docstring.split("\n\n")]


def _numbers(study: Study, analysis: str) -> list[PurePath]:
    return [PurePath(path) for path in study.sums.names(f"claims/{analysis}-*.parquet")]


def _row(claim: Claim) -> dict[str, Any]:
    row = claim.to_dict()
    against = f", against {claim.against}" if claim.against else ""
    return row | {
        "subject": str(claim.key) + against,
        "steer": (claim.key.steer or claim.key.sites) + against,
        "shown": estimated(row["estimate"], row["low"], row["high"]),
        "p": "" if row["p_value"] is None else p_words(row["p_value"]),
        "mark": MARKS[row["outcome"]],
    }


def _facts(summary: dict[str, Any]) -> dict[str, str]:
    """Settings and fingerprints, a line each."""
    model, pairs = summary["model"], summary["pairs"]
    facts = {
        "model": f"{model['name']}, fingerprint {model['fingerprint']}, {model['dtype']}",
        "revision": model["revision"] or "",
        "learning pairs": f"{pairs['learning']['name']}, {pairs['learning']['n']}, {pairs['learning']['fingerprint']}",
        "test pairs": f"{pairs['testing']['name']}, {pairs['testing']['n']}, {pairs['testing']['fingerprint']}",
        "other pairs": "; ".join(f"{item['name']}, {item['n']}, {item['fingerprint']}" for item in pairs["others"]),
        "hook": summary["site"]["hook"],
        "pairs whose query and completion share a token": str(summary["pairs_with_moved_boundary"]),
    }
    settings = {
        name.replace("_", " "): ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in summary["settings"].items()
        if value not in (None, [], "") and name not in ("model", "pairs")
    }
    return {name: value for name, value in (facts | settings).items() if value}
