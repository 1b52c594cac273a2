"""Several studies side by side: models, concepts or sites, on axes that they share."""

from collections.abc import Sequence
from typing import Any

from analyses.studies.finished import Study

from .contents import best_row
from .numbers import shown, signed


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
    """The study's first steer, where it gains most within one nat of utility."""
    sweep = study.sweeps[0]
    zero, best = sweep.zero, best_row(sweep)
    preference = sweep.preference.mean(axis=1)
    summary = study.summary["summary"]
    gained, shift = preference[best] - preference[zero], sweep.relative_shift[best].mean()
    scores = [summary[f"{quantity}_held_out_r_squared"] for quantity in ("preference", "utility")]
    return {
        "label": label,
        "steer": sweep.key.steer,
        "n": len(sweep.pairs),
        "cells": [
            {"sort": gained, "text": signed(gained)},
            {"sort": shift, "text": shown(shift)},
            *({"sort": "" if score is None else score, "text": shown(score, 4)} for score in scores),
        ],
    }
