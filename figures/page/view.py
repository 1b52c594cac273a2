"""What stands on the page before any script runs: sentences, claims, and how the study was made."""

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from analyses.claims import CLAIMS
from analyses.studies.finished import Study
from mechsteer.statistics.judging import Claim

from .numbers import shown
from .sentences import OUTCOMES, lead, title

MARKS = {"supported": "✓", "refuted": "✗", "inconclusive": "?"}


def study_view(study: Study, label: str) -> dict[str, Any]:
    """Everything that the template says of a study."""
    groups = [_group(study, list(claims)) for claims in _by_name(study.claims).values()]
    return {
        "label": label,
        "lead": lead(study),
        "groups": groups,
        "lists": _lists(groups),
        "facts": _facts(study.summary),
        "versions": study.summary["versions"],
        "command": study.summary["command"],
        "seconds": {stage: shown(seconds) for stage, seconds in study.summary["seconds"].items()},
    }


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
    outcomes = [row["outcome"] for row in rows]
    tables = (member and member.get("TABLES")) or [f"claims/{path.stem}" for path in _numbers(study, first.claim)]
    return {
        "name": first.name,
        "is_check": first.is_check,
        "title": title(first),
        "states": _paragraphs(member.doc) if member else [],
        "rows": rows,
        "counts": [
            {"outcome": outcome, "mark": MARKS[outcome], "words": words, "n": outcomes.count(outcome)}
            for outcome, words in OUTCOMES.items()
            if outcome in outcomes
        ],
        "share_held": sum(outcome == "supported" for outcome in outcomes) / len(outcomes)
        - sum(outcome == "refuted" for outcome in outcomes) / len(outcomes),
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
    interval = f"[{shown(row['low'])}, {shown(row['high'])}]"
    against = f", against {claim.against}" if claim.against else ""
    return row | {
        "subject": str(claim.key) + against,
        "steer": (claim.key.steer or claim.key.sites) + against,
        "shown": shown(row["estimate"]),
        "interval": "" if row["low"] is None and row["high"] is None else interval,
        "p": "" if row["p_value"] is None else f"{row['p_value']:.2g}",
        "mark": MARKS[row["outcome"]],
        "words": OUTCOMES[row["outcome"]],
    }


def _lists(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Claims that held, that did not, that are open, and that depend on the steer; checks apart."""
    kinds = {
        "supported": "Held",
        "refuted": "Did not hold",
        "inconclusive": "Undecided",
        "mixed": "Depends on the steer",
        "check": "Checks of the software, which hold by construction",
    }
    found = {kind: [] for kind in kinds}
    for number, group in enumerate(groups):
        kind = group["counts"][0]["outcome"] if len(group["counts"]) == 1 else "mixed"
        kind = "check" if group["is_check"] else kind
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
