"""What the files of a study's folder must be like to be told and drawn again: fields of the JSON, columns of the tables."""

from mechsteer.store.tables import Columns, finite, numbers, words

_PROPERTIES = {str: {"estimate": float | None, "interval": {"low": float | None, "high": float | None}}}
_SCORE = {str: float | int | str | None}
_FIT = {
    "quantity": str,
    "ok": bool,
    "status": str,
    "variant": str | None,
    "score": _SCORE,
    "rivals": [_SCORE],
    "spline": _SCORE,
    "held_out_predictions": [float | None],
    "properties": _PROPERTIES,
    "fitted": _PROPERTIES,
    "agreeing": [str],
}
FITS = [{"key": {}, "preference": _FIT, "utility": _FIT}]
"""fits.json."""
_PAIRS = {"name": str, "n": int, "fingerprint": str}
TOLD = {
    "command": str,
    "mechsteer": str,
    "model": {"name": str, "dtype": str, "n_layers": int, "d_model": int},
    "pairs": {"learning": _PAIRS, "testing": _PAIRS},
    "site": {"site": str, "hook": str, "because": str},
    "seconds": {str: float},
    "summary": {
        "key": {},
        "preference_at_zero": float,
        "utility_at_zero": float,
        "useful": float,
        "largest_useful_preference": float,
        "accuracy_at_zero": float,
        "accuracy_of_it": float,
        "multiplier_of_it": float,
        "relative_shift_of_it": float,
        "pairs_without_utility": int,
        "comparison": [str],
        "single_pairs": [str],
        "second": [str],
        "coverage": [str],
        "judged": [str],
    },
}
"""What study.json says, beside the manifest, to those who tell of the study."""
FINDINGS = [{"kind": str, "found": str, "advice": str, "refused": bool}]
"""What was found of its pairs."""

_INTERVAL: Columns = {"low": numbers, "high": numbers}
COLUMNS_OF: dict[str, Columns] = {
    "sites": {"layer": finite, "place": words, "useful_gain": finite, "behind": finite, "layers_after": finite},
    "tuning": {"method": words, "form": words, "trial": finite, "gained": numbers, "best_of_so_many": numbers},
    "frontier": {
        "method": words, "form": words, "budget": numbers, "gained": finite, **_INTERVAL,
        **{f"{name}_{side}": numbers for name in ("gained", "multiplier") for side in ("negative", "positive")},
    },
    "differences": {"method": words, "form": words, "against": words, "difference": finite, **_INTERVAL},
    "prompting": {"side": words, "text": words, "gained": finite, "lost": finite},
    "against_prompting": {"method": words, "form": words, "asking": finite, "difference": finite, **_INTERVAL},
    "pairs_steered": {
        "pair": words, "cosine": numbers, "projection_positive": finite, "projection_negative": finite, "slope": finite,
    },
    "steerability": {"quantity": words, "estimate": numbers, **_INTERVAL, "n_pairs": finite},
    "two_options": {
        "quantity": words, "multiplier": numbers, "estimate": finite, **_INTERVAL, "answer": words, "other_answer": words,
        "n_answer": finite, "n_other": finite,
    },
    "second_utility": {
        "multiplier": finite, "utility_lost": finite, "second_utility": finite, "second_lost": finite, "low": numbers,
        "high": numbers, "read_from": words,
    },
    "distance": {
        "distance": words, "layer": finite, "multiplier": finite, "growth": numbers, **_INTERVAL,
        "n_tokens": finite, "n_pairs": finite,
    },
    "places": {"x": numbers, "y": numbers, "token": finite, "multiplier": numbers, "utility_loss": numbers},
    "side_effects_by_layer": {
        "layer": finite, "measured_on": words, "useful_gain": finite, "preference_change": numbers, "utility_change": numbers,
    },
    "side_effects": {"measured_on": words, "multiplier": finite, "preference_change": numbers, "utility_change": numbers},
    "answers": {"multiplier": finite, "n_answers": finite, "valid": numbers},
    "texts": {"multiplier": finite, "pair": words, "query": words, "text": words},
    "samples": {"multiplier": finite, "pair": words, "query": words, "sample": finite, "text": words},
    "scores": {
        "judge": words, "aspect": words, "role": words, "multiplier": finite, "pair": words, "sample": finite,
        "score": numbers, "value": numbers, "failed": words, "raw": words, "about": words,
    },
    "judged": {
        "judge": words, "aspect": words, "role": words, "about": words, "multiplier": finite, "preference": numbers,
        "utility_lost": numbers, **dict.fromkeys(("n_texts", "n_failed"), finite), "mean": numbers, **_INTERVAL,
        "worst": numbers, "best": numbers, "named": numbers,
    },
    "reliability": {
        "judge": words, "aspect": words, "source": words, "multiplier": numbers, "sensitivity": numbers,
        "sensitivity_low": numbers, "sensitivity_high": numbers, "specificity": numbers, "specificity_low": numbers,
        "specificity_high": numbers, "kappa": numbers, "rate": numbers, "true_rate": numbers, "corrected": numbers, **_INTERVAL,
    },
    "corrected_differences": {
        "judge": words, "method": words, "form": words, "against": words, "aspect": words, "multiplier": finite,
        "judged": finite, "difference": finite, **_INTERVAL, "n_queries": finite, "n_known": finite,
    },
    "evidence/chance": {
        "kind": words, "pair": words, **dict.fromkeys(("budget", "relative_shift", "draw", "gained"), finite),
    },
    "evidence/coverage": {
        "whose": words, "pair": words, **dict.fromkeys(("completion", "side", "tokens", "multiplier", "loss"), finite),
    },
    "evidence/panel": {
        "family": words, "harm_unit": words,
        **dict.fromkeys(("direction", "length", "relative_shift", "lost", "n_pairs"), finite),
        **dict.fromkeys(("budget", "incoherence", "fisher"), numbers),
    },
    "evidence/frozen_norms": {
        "pair": words, "multiplier": finite, "share": finite,
        **dict.fromkeys(("preference", "preference_frozen", "utility", "utility_frozen"), numbers),
    },
    "evidence/one_operation": dict.fromkeys(("difference", "change", "reversed", "tolerance"), finite),
}  # fmt: skip
"""By the table's name; what claims leave has the columns that their files say."""
