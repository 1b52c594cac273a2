"""Every table of a study, column by column: what is shown and downloaded is the same."""

import re
from typing import Any

import pandas as pd

from analyses.studies.finished import Study
from mechsteer.store.keys import COLUMNS, ids_of

from .numbers import rounded

ABOUT = {
    "sweeps": "losses, preference and utility by steer, multiplier and pair",
    "fits": "what each fitted curve says, with intervals, and its scores in sample and held out",
    "claims": "every claim: estimate, interval, control, outcome and reason",
    "pairs": "the pairs that were measured",
    "texts": "what the model writes at each multiplier",
    "tuning": "the settings that were tried, and what the best of so many gains on validation pairs",
    "sites": "every layer and place at equal relative shift: why the site was chosen",
    "frontier": "preference gained at an equal loss of utility",
    "differences": "SPLIT against the other methods, on the area under the frontier",
    "prompting": "what asking for the concept in words gains and loses",
    "against_prompting": "what steers gain at the loss of asking in words",
    "pairs_steered": "single pairs: how far each agrees with the others on a direction, and the slope of its preference",
    "steerability": "what was predicted of steers, the share of pairs that it steers the wrong way, and was it predicted",
    "two_options": "answers to choose from: accuracy over both keys, and what is gained for the concept and for an answer",
    "second_utility": "a utility that does not come from the pairs: mass on valid next words, or likelihood of neutral text",
    "distance": "how far a steer takes some tokens from the manifold, by layer and multiplier",
    "places": "where some steered tokens lie on a map of activations, and its points (token -1)",
    "side_effects": "what one nat of lost utility does to other concepts, as log-odds",
    "side_effects_by_layer": "what half a nat of lost utility does to other concepts, by the layer that is steered",
    "judged": "what judges say of texts under every steer, by aspect and multiplier",
    "reliability": "how good the judges are, against what is known of the same texts",
    "corrected_differences": "how much more one steer's texts score than another's, corrected for the judges' errors",
    "answers": "the same, judged exactly on generated answers",
    "evidence/one_operation": "logits under hooks against logits of edited weights",
    "evidence/coverage": "losses of the pairs' completions, of completions that the model writes, and of second pairs",
    "evidence/frozen_norms": "preference and utility with norms as they are, and dividing by what they divide by unsteered",
    "evidence/panel": "many directions of equal length: what each does, and how far it leads",
    "evidence/chance": "what a steer gains, and directions by chance at the same shifts, pair by pair",
}
"""By the file's name in the study's folder, without its suffix. `sweeps` and `pairs` are put together by the page."""
WITHOUT = ("sweeps", "samples", "scores")
"""A page of every loss, and of every text that was judged, would be too large; the folder holds them."""
DIGITS = 4
SHOWN = ("method", "form", "sites", "seed")
"""Of the fields of a key, those that differ within a study; the others stand among its facts."""
UNITS = {
    "nats": (
        "preference", "utility", "loss", "gained", "lost", "budget", "asking", "preference_change", "utility_change",
        "preference_gained", "utility_lost", "utility_loss", "neutral_lost", "useful_gain", "cost_of_2", "cost_of_4", "cost_of_8",
    ),
    "share": ("accuracy", "grammatical", "on_topic", "fitting", "agreeing", "ended"),
}  # fmt: skip
"""Of columns that mean the same in every table."""
OF_COLUMN = re.compile(r"_(low|high|error|negative|positive|frozen)$")
"""How a column ends that has another one's unit."""
ENDS = ("low", "high")
"""Columns that have the unit of what stands before them."""


def all_tables(study: Study) -> list[dict[str, Any]]:
    """The tables of the folder, those that come from JSON files first."""
    frames = {"claims": _claims(study), "fits": _fits(study)}
    for path in (*study.sums.names("*.parquet"), *study.sums.names("*/*.parquet")):
        name = path.removesuffix(".parquet")
        if name not in WITHOUT:
            frames[name] = study.table(name)
    return [
        {"name": name, "about": ABOUT.get(name, ""), "rows": len(frame), "columns": _columns(_shortened(frame))}
        for name, frame in frames.items()
        if len(frame)
    ]


def _columns(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Each with its unit, where that is known."""
    columns, unit = [], ""
    for name, column in frame.items():
        unit = unit if name in ENDS else unit_of(str(name))
        carried = {"name": str(name)} | _column(column)
        columns.append(carried | ({"unit": unit} if unit and carried.get("number") else {}))
    return columns


def unit_of(column: str) -> str:
    """Nats or a share; nothing where it depends on the table, or the name says it."""
    name = OF_COLUMN.sub("", column)
    return next((unit for unit, names in UNITS.items() if name in names), "")


def _column(column: pd.Series) -> dict[str, Any]:
    """Numbers as they are; words as codes of their levels, since most tables repeat theirs."""
    if pd.api.types.is_bool_dtype(column):
        return {"values": column.tolist()}
    if pd.api.types.is_numeric_dtype(column):
        return {"values": rounded(column, DIGITS), "number": True}
    codes, levels = pd.factorize(column.astype(str))
    return {"codes": codes.tolist(), "levels": list(levels)}


def _claims(study: Study) -> pd.DataFrame:
    return pd.DataFrame([claim.to_dict() for claim in study.claims])


def _shortened(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns of a key as its number, by which a page finds rows, and those that differ within a study."""
    if "weights" not in frame:
        return frame
    dropped = [name for name in COLUMNS if name not in SHOWN]
    return frame.drop(columns=dropped).assign(key=ids_of(frame))


def _fits(study: Study) -> pd.DataFrame:
    rows = []
    for key, both in study.fits.items():
        for quantity, fit in both.items():
            about = key.columns() | {"quantity": quantity, "status": fit["status"]}
            for name, value in fit["score"].items():
                if name != "name":
                    rows.append(about | {"property": name, "estimate": value})
            for rival in fit["rivals"]:
                name = f"held_out_error of {rival['name']}"
                rows.append(about | {"property": name, "estimate": rival["held_out_error"]})
            for told, found in (("{}", fit["properties"]), ("{} of the curve", fit["fitted"])):
                for name, item in found.items():
                    low, high = item["interval"]["low"], item["interval"]["high"]
                    rows.append(
                        about | {"property": told.format(name), "estimate": item["estimate"], "low": low, "high": high}
                    )
    return pd.DataFrame(rows)
