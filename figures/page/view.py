"""What stands on the page before any script runs: sentences, claims, and how the study was made."""

import inspect
import re
from pathlib import PurePath
from typing import Any

from analyses.studies.finished import Study
from analyses.studies.verdict import ANALYSES

from .. import OF_CLAIM
from .numbers import shown
from .sentences import OUTCOMES, lead, title
from .tables import read_claims

MARKS = {"supported": "✓", "refuted": "✗", "inconclusive": "?"}
TABLES_OF = {"one_operation": ["evidence/one_operation"], "random_control": ["frontier"]}
"""Where the numbers behind a claim are not in tables named like its analysis."""


def study_view(study: Study, label: str) -> dict[str, Any]:
    """Everything that the template says of a study."""
    claims = read_claims(study)
    groups = [_group(study, name, claims) for name in dict.fromkeys(claim["claim"] for claim in claims)]
    return {
        "label": label,
        "lead": lead(study, claims),
        "groups": groups,
        "lists": _lists(groups),
        "facts": _facts(study.summary),
        "versions": study.summary["versions"],
        "command": study.summary["command"],
        "seconds": {stage: shown(seconds) for stage, seconds in study.summary["seconds"].items()},
    }


def _group(study: Study, name: str, claims: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of the table: a claim, and what was found of it for each steer."""
    analysis = name.partition(":")[0]
    module = ANALYSES.get(analysis)
    rows = [_row(claim) for claim in claims if claim["claim"] == name]
    outcomes = [row["outcome"] for row in rows]
    tables = TABLES_OF.get(analysis) or [f"claims/{path.stem}" for path in _numbers(study, analysis)]
    return {
        "name": name,
        "title": title(name),
        "states": _paragraphs(inspect.getdoc(module) or "") if module else [],
        "rows": rows,
        "counts": [
            {"outcome": outcome, "mark": MARKS[outcome], "words": words, "n": outcomes.count(outcome)}
            for outcome, words in OUTCOMES.items()
            if outcome in outcomes
        ],
        "share_held": sum(outcome == "supported" for outcome in outcomes) / len(outcomes)
        - sum(outcome == "refuted" for outcome in outcomes) / len(outcomes),
        "picture": OF_CLAIM.get(analysis, ""),
        "tables": tables,
        "subjects": [row["subject"] for row in rows],
    }


def _paragraphs(docstring: str) -> list[str]:
    """Its words, without line breaks and marks of emphasis."""
    return [re.sub(r"`|\*(?=\w)|(?<=\w)\*", "", text.replace("\n", " ")) for text in docstring.split("\n\n")]


def _numbers(study: Study, analysis: str) -> list[PurePath]:
    return sorted((study.folder / "claims").glob(f"{analysis}-*.parquet"))


def _row(claim: dict[str, Any]) -> dict[str, Any]:
    interval = f"[{shown(claim['low'])}, {shown(claim['high'])}]"
    steer, _, pairs = claim["subject"].partition(" on ")
    return claim | {
        "steer": steer,
        "pairs": pairs,
        "shown": shown(claim["estimate"]),
        "interval": "" if claim["low"] is None and claim["high"] is None else interval,
        "p": "" if claim["p_value"] is None else f"{claim['p_value']:.2g}",
        "mark": MARKS[claim["outcome"]],
        "words": OUTCOMES[claim["outcome"]],
    }


def _lists(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Claims that held, that did not, that are open, and that depend on the steer."""
    kinds = {
        "supported": "Held",
        "refuted": "Did not hold",
        "inconclusive": "Undecided",
        "mixed": "Depends on the steer",
    }
    found = {kind: [] for kind in kinds}
    for number, group in enumerate(groups):
        kind = group["counts"][0]["outcome"] if len(group["counts"]) == 1 else "mixed"
        found[kind].append({"title": group["title"], "number": number, "n": len(group["rows"])})
    return [
        {"kind": kind, "words": words, "mark": MARKS.get(kind, "±"), "items": found[kind]}
        for kind, words in kinds.items()
        if found[kind]
    ]


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
