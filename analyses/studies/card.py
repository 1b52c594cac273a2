"""A steer's card: how it was learned, how to use it, and what a study measured."""

import re
from collections.abc import Iterable, Sequence

import numpy as np
from huggingface_hub import ModelCardData

from mechsteer.interventions.base import Intervention
from mechsteer.measuring.useful import USEFUL
from mechsteer.models.sites import write_sites

from .measured import PICTURE, Measured

N_ROWS = 9
"""Multipliers of a curve that the card's table shows."""
_ON_HUB = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def card(steer: Intervention, file: str, repository: str, measured: Measured | None) -> str:
    """README.md of a repository that holds the steer; numbers only where a study measured it."""
    origin = steer.origin
    data = ModelCardData(
        library_name="mechsteer", tags=["mechsteer", "activation-steering"],
        base_model=origin.model if _ON_HUB.fullmatch(origin.model) else None,
    )  # fmt: skip
    made_for = origin.model or "a model that its file does not name"
    use = f"mechsteer generate --intervention {file} -m {_example(measured)} 'YOUR PROMPT'"
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {steer.name}",
        f"A steer for {made_for}: at {write_sites(steer.sites)} it changes the activations by m·Δh, applied by the rule "
        f"{steer.rule}, where Δh is a {steer.form.replace('_', ' ')}.",
        f"```\npip install mechsteer\nmechsteer pull {repository}\n{use}\n```",
        "## How it was learned",
        _table(("", ""), _learned(steer)),
        *(
            _measured(measured)
            if measured is not None
            else ["The steer is not in a study's folder, so this card has no measurements."]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _example(measured: Measured | None) -> str:
    if measured is None:
        return "-1,0,1"
    low, high = measured.useful
    return f"{low:.2g},0,{high:.2g}"


def _learned(steer: Intervention) -> Iterable[tuple[str, str]]:
    origin = steer.origin
    said = {
        "method": origin.method, "form": steer.form, "rule": str(steer.rule),
        "sites (layers count from 0)": write_sites(steer.sites),
        "TransformerLens hooks": ", ".join(site.hook for site in steer.sites),
        "positions": origin.positions, "prompt format": origin.prompt_format, "pairs": origin.pairs,
        "fingerprint of the pairs": origin.pairs_fingerprint,
        "training seed": "" if origin.seed is None else str(origin.seed), "model": origin.model, "revision": origin.revision,
        "fingerprint of the weights": origin.fingerprint,
    }  # fmt: skip
    return [(name, value) for name, value in said.items() if value]


def _measured(measured: Measured) -> list[str]:
    sweep, (low, high) = measured.sweep, measured.useful
    curve = measured.curve
    # Beyond twice the useful range there is nothing to use.
    near = np.flatnonzero(curve["multiplier"].between(2 * low, 2 * high))
    steps = np.linspace(0, len(near) - 1, min(N_ROWS, len(near))).round().astype(int)
    chosen = curve.iloc[sorted({*near[steps].tolist(), sweep.zero})]
    rows = [[f"{value:.3g}" for value in row] for row in chosen.itertuples(index=False)]
    scores = [
        f"{name} {fit['score']['held_out_r_squared']:.3f}"
        for name in ("preference", "utility")
        if (fit := measured.fits.get(name)) and fit["ok"] and fit["score"]["held_out_r_squared"] is not None
    ]
    parts = [
        "## What it does",
        f"Measured on {len(sweep.pairs)} pairs of {sweep.key.pairs}, none of which it was learned from. In its useful range, "
        f"from m = {low:.3g} to {high:.3g}, a pair loses at most {USEFUL:g} nats of utility on average. Preference and "
        "utility are log-odds in nats (arXiv 2602.02343), means over the pairs.",
        _table(("m", "‖shift‖/‖h‖", "preference", "utility", "utility lost"), rows),
    ]
    if measured.picture is not None:
        parts.append(f"![Preference and utility against the relative shift]({PICTURE})")
    if scores:
        parts.append(f"R² of the paper's curves on held-out multipliers: {', '.join(scores)}.")
    effects = measured.side_effects
    if len(effects):
        told = [
            (
                row["measured_on"],
                f"{row['multiplier']:.3g}",
                f"{row['preference_change']:+.2f}",
                f"{row['utility_change']:+.2f}",
            )
            for row in effects.to_dict("records")
        ]
        parts += [
            "## Side effects",
            "Changes (nats) on other concepts, at the ends of the useful range.",
            _table(("measured on", "m", "preference", "utility"), told),
        ]
    return [*parts, f"Made by\n\n```\n{measured.study.summary['command']}\n```"]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
