"""Several studies side by side: models, concepts or sites, on axes that they share."""

from collections.abc import Sequence
from typing import Any

from analyses.studies.finished import Study
from analyses.verdict import verdicts_of

from .numbers import estimated, shown


def compare(studies: Sequence[Study], labels: Sequence[str], views: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A row for each study, and for each claim what every study found of it."""
    groups = [{group["name"]: group["counts"] for group in view["groups"]} for view in views]
    titles = {group["name"]: group["title"] for view in views for group in view["groups"]}
    names = dict.fromkeys(name for group in groups for name in group)
    return {
        "studies": [_row(study, label) for study, label in zip(studies, labels, strict=True)],
        "claims": [
            {"name": name, "title": titles[name], "counts": [group.get(name, []) for group in groups]} for name in names
        ],
    }


def _row(study: Study, label: str) -> dict[str, Any]:
    """The steer of which the study's verdict speaks."""
    verdict = verdicts_of(study)[0]
    gained, low, high = verdict.gain or (None, None, None)
    shift = max(verdict.useful.shifts)
    fits = study.fits.get(verdict.key, {})
    scores = [fits[name]["score"]["held_out_r_squared"] if name in fits else None for name in ("preference", "utility")]
    return {
        "label": label,
        "steer": verdict.key.steer,
        "ended": verdict.ended.value,
        "headline": verdict.headline,
        "n": len(study.sweeps[0].pairs),
        "cells": [
            {"sort": "" if gained is None else gained, "text": estimated(gained, low, high)},
            {"sort": shift, "text": shown(shift)},
            *({"sort": "" if score is None else score, "text": shown(score, 4)} for score in scores),
        ],
    }
