"""The page of a campaign: what held where, a forest for each claim, and a link to every cell; no script, no network."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analyses.campaigns.campaign import Campaign
from analyses.campaigns.judging import RATE, of_effect
from analyses.claims import CLAIMS
from mechsteer.families import form_title
from mechsteer.statistics.judging import p_words
from mechsteer.store.atomic import write_atomically

from ..campaigns import short
from .numbers import shown
from .sentences import OUTCOMES
from .templates import filled
from .view import MARKS

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def write_campaign_page(folder: Path) -> Path:
    """Write report.html of a campaign into its folder."""
    text = render(Campaign.load(folder))
    return write_atomically(folder / "report.html", lambda temporary: temporary.write_text(text, encoding="utf-8"))


def render(campaign: Campaign) -> str:
    """The whole page."""
    claims = campaign.claims.loc[~campaign.claims["is_check"]]
    names = list(dict.fromkeys(claims["name"]))
    primary = set(claims.loc[claims["is_primary"], "name"])
    return filled(
        "campaign.html",
        policy=POLICY,
        title=campaign.said["name"],
        plan=campaign.plan,
        version=campaign.said["mechsteer"],
        lead=lead(campaign, claims),
        marks=[(MARKS[outcome], outcome) for outcome in OUTCOMES],
        claims=[{"name": name, "title": _title(name, claims), "is_primary": name in primary} for name in names],
        rows=_rows(campaign, claims, names),
        forests=[
            _claim(name, campaign, claims, name in primary) for name in sorted(names, key=lambda n: n not in primary)
        ],
    )


def lead(campaign: Campaign, claims: pd.DataFrame) -> list[str]:
    """What was run and what came out, a sentence or two each."""
    cells = campaign.cells
    n = {state: sum(cell["state"] == state for cell in cells) for state in ("done", "failed", "missing")}
    models, concepts = ({cell[name] for cell in cells} for name in ("model", "concept"))
    left = "".join(f", {n[state]} {state}" for state in ("failed", "missing") if n[state])
    found = [
        f"{_many(len(cells), 'cell')} over {_many(len(models), 'model')} and {_many(len(concepts), 'concept')}: "
        f"{n['done']} done{left}."
    ]
    if len(claims):
        counts = ", ".join(f"{(claims.outcome == name).sum()} {name}" for name in OUTCOMES)
        tested = int(claims.p_value.notna().sum())
        n_primary = int((claims.is_primary & claims.p_value.notna()).sum())
        found.append(
            f"Of {_many(len(claims), 'verdict')}, {counts}. {tested} rest on a test: {n_primary} on claims that the plan calls "
            f"primary, corrected together by Holm, the others by Benjamini and Hochberg, both at {RATE:g}."
        )
        found.append(
            "A combined estimate counts models as witnesses and concepts within them; where there is one model, it speaks of its "
            "concepts alone. Intervals are Hartung and Knapp's, which are wide where there are few."
        )
    return found


def _rows(campaign: Campaign, claims: pd.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    """A row of the heat map for each cell."""
    models = short(cell["model"] for cell in campaign.cells)
    concepts = short(cell["concept"] for cell in campaign.cells)
    outcomes = {place: group["outcome"].tolist() for place, group in claims.groupby(["cell", "name"], sort=False)}
    return [
        {
            "model": models[cell["model"]],
            "label": ", ".join(part for part in (concepts[cell["concept"]], cell["condition"], f"seed {cell['seed']}") if part),
            # A cell that was brought as numbers alone has no page.
            "link": page if (campaign.folder / (page := f"{cell['name']}/report.html")).is_file() else "",
            "state": cell["state"],
            "reason": cell["reason"],
            "cells": [_cell(name, outcomes.get((cell["name"], name))) for name in names],
        }
        for cell in campaign.cells
    ]  # fmt: skip


def _cell(name: str, outcomes: list[str] | None) -> dict[str, Any] | None:
    """Marks where all agree, else a bar of the shares; what is inconclusive takes its own part."""
    if outcomes is None:
        return None
    n = {outcome: outcomes.count(outcome) for outcome in OUTCOMES}
    total, first = sum(n.values()), n["supported"]
    words = ", ".join(f"{count} {outcome}" for outcome, count in n.items() if count)
    only = next((outcome for outcome, count in n.items() if count == total), "")
    return {
        "words": f"{name}: {words}",
        "only": only,
        "mark": MARKS[only] if only else "±",
        "supported": round(100 * first / total),
        "not_refuted": round(100 * (first + n["inconclusive"]) / total),
    }


def _claim(name: str, campaign: Campaign, claims: pd.DataFrame, is_primary: bool) -> dict[str, Any]:
    own = claims.loc[claims["name"] == name]
    return {
        "name": name,
        "title": _title(name, claims),
        "is_primary": is_primary,
        "counts": [(MARKS[outcome], outcome, int((own.outcome == outcome).sum())) for outcome in OUTCOMES],
        "forests": [
            _forest(row, own) for row in campaign.combined.loc[campaign.combined["name"] == name].to_dict("records")
        ],
    }


def _forest(row: dict[str, Any], claims: pd.DataFrame) -> dict[str, Any]:
    """Estimates of one effect with their intervals, on an axis from 0 to 100, and their combination."""
    own = of_effect(claims, row)
    ends = pd.concat([own.estimate, own.low, own.high, pd.Series([row["low"], row["high"]])])
    ends = ends[np.isfinite(ends)]
    low, high = (float(ends.min()), float(ends.max())) if len(ends) else (0.0, 1.0)
    scale = 100 / (high - low) if high > low else 0.0

    def at(value: float, otherwise: float) -> float:
        return round((value - low) * scale, 2) if np.isfinite(value) else otherwise

    def line(said: Any) -> dict[str, Any]:
        known = np.isfinite(said["estimate"])
        interval = f" [{shown(said['low'])}, {shown(said['high'])}]" if known else ""
        return {
            "value": at(said["estimate"], 0) if known else None, "low": at(said["low"], 0), "high": at(said["high"], 100),
            "text": shown(said["estimate"]) + interval if known else "no estimate",
        }  # fmt: skip

    form = form_title(row["form"]) if row["form"] else ""
    steer = " ".join(part for part in (row["method"], form) if part) or "the model and its pairs"
    return {
        "steer": steer + f", against {row['against']}" * bool(row["against"]),
        "condition": row["condition"],
        "unit": row["unit"],
        "zero": at(0.0, 0) if low < 0 < high else None,
        "combined": line(row) if row["n_groups"] > 1 else None,
        "over": f"{row['n_groups']} {row['over']}, τ {shown(row['spread'])}",
        "rows": [
            line(said) | {
                "cell": said["cell"], "mark": MARKS[said["outcome"]], "outcome": said["outcome"], "because": said["because"],
                "p": "" if np.isnan(said["p_value"]) else f"p {p_words(said['p_value'])}",
            }
            for said in own.to_dict("records")
        ],
    }  # fmt: skip


def _title(name: str, claims: pd.DataFrame) -> str:
    first = claims.loc[claims["name"] == name].iloc[0]
    member = CLAIMS.members().get(first.claim)
    titles = {} if member is None else member.get("TITLES", {})
    return titles.get(first.part, name.replace("_", " "))


def _many(n: int, word: str) -> str:
    return f"{n} {word}" + "s" * (n != 1)
