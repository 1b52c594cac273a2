"""The paper's public code (EasyEdit 14cea82, `steer/trainer`), with the settings of its experiments by data and model."""

from typing import Any

from ...errors import InputError

NAME = "public"
ORDER = 30
VECTOR_MULTIPLIERS = (2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0)
WEIGHT_MULTIPLIERS = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
COLUMNS = ("learning_rate", "batch_size", "accumulate", "epochs", "directions")
WEIGHTS = ("negative_weight", "preference_weight", "margin")
"""Of SPLIT, beside λ_p = 1: λ_n, γ and θ."""
EXPERIMENTS = {
    "axbench-gemma": {
        "SPLIT": {
            "vector": (0.08, 4, 1, 18, "add", 0.6, 4.0, 0.5),
            "lora": (0.04, 2, 2, 12, "add", 0.5, 5.0, 0.45),
            "local_weight": (0.04, 2, 2, 12, "add", 0.3, 3.5, 0.6),
        },
        "SFT": {
            "vector": (0.08, 4, 1, 18, "both"),
            "lora": (0.08, 2, 6, 12, "both"),
            "local_weight": (0.08, 2, 6, 12, "both"),
        },
    },
    "axbench-qwen": {
        "SPLIT": {
            "vector": (0.08, 2, 2, 18, "add", 0.6, 6.0, 0.5),
            "lora": (0.04, 2, 2, 12, "add", 0.5, 5.0, 0.45),
            "local_weight": (0.04, 2, 2, 12, "add", 0.3, 3.5, 0.6),
        },
        "SFT": {
            "vector": (0.08, 4, 1, 18, "both"),
            "lora": (0.08, 2, 6, 12, "both"),
            "local_weight": (0.08, 2, 6, 12, "both"),
        },
        "RePS": {"lora": (0.08, 4, 1, 18, "both")},
    },
    "powerseeking-gemma": {
        "SPLIT": {
            "vector": (0.08, 4, 1, 2, "add", 0.5, 5.0, 0.5),
            "lora": (0.01, 2, 2, 2, "add", 0.5, 5.0, 0.4),
            "local_weight": (0.01, 2, 2, 2, "add", 0.5, 5.0, 0.4),
        },
        "SFT": {
            "vector": (0.08, 4, 1, 2, "both"),
            "lora": (0.01, 4, 2, 2, "both"),
            "local_weight": (0.01, 4, 2, 2, "both"),
        },
    },
    "powerseeking-qwen": {
        "SPLIT": {
            "vector": (0.08, 4, 1, 2, "both", 0.6, 5.0, 0.5),
            "lora": (0.01, 2, 2, 2, "both", 0.5, 4.0, 0.5),
            "local_weight": (0.01, 2, 2, 2, "add", 0.6, 5.0, 0.5),
        },
        "SFT": {
            "vector": (0.08, 4, 1, 2, "both"),
            "lora": (0.01, 4, 2, 1, "both"),
            "local_weight": (0.01, 2, 2, 2, "both"),
        },
        "RePS": {"lora": (0.01, 4, 2, 2, "both")},
    },
    "psychopathy-gemma": {
        "SPLIT": {
            "vector": (0.08, 4, 1, 2, "both", 0.5, 8.0, 0.3),
            "lora": (0.01, 4, 2, 2, "both", 0.5, 5.0, 0.4),
            "local_weight": (0.01, 4, 2, 2, "add", 0.5, 5.0, 0.4),
        },
        "SFT": {
            "vector": (0.08, 4, 1, 2, "both"),
            "lora": (0.01, 4, 2, 2, "both"),
            "local_weight": (0.01, 4, 2, 2, "both"),
        },
    },
    "psychopathy-qwen": {
        "SPLIT": {
            "vector": (0.08, 4, 1, 2, "both", 0.6, 4.0, 0.5),
            "lora": (0.01, 4, 2, 1, "both", 0.5, 6.0, 0.4),
            "local_weight": (0.01, 4, 2, 1, "add", 0.5, 6.0, 0.4),
        },
        "SFT": {
            "vector": (0.08, 4, 1, 2, "both"),
            "lora": (0.01, 2, 6, 2, "both"),
            "local_weight": (0.01, 2, 2, 2, "both"),
        },
        "RePS": {"lora": (0.01, 4, 2, 2, "both")},
    },
}
"""By experiment, objective and form, the first where none is named; what is not written is SFT's
(`hparams/Steer/experiment_hparams/spilt_experiment`)."""


def switches(method: str, form: str, experiment: str) -> dict[str, Any]:
    """What the code does for every method, then what its experiments set for this one."""
    experiment = experiment or next(iter(EXPERIMENTS))
    if experiment not in EXPERIMENTS:
        raise InputError(
            f"The paper has no experiment {experiment!r}. Choose {', '.join(EXPERIMENTS)}, as in --recipe {NAME}:{experiment}."
        )
    rows = EXPERIMENTS[experiment]
    row = (rows["SFT"] | rows.get(method, {})).get(form)
    if row is None:
        raise InputError(f"The paper's public code has no settings for the form {form!r}. Choose --recipe ours.")
    is_vector, n = form == "vector", len(COLUMNS)
    return dict(zip(COLUMNS, row[:n], strict=True)) | {
        "relative": False,
        "multipliers": VECTOR_MULTIPLIERS if is_vector else WEIGHT_MULTIPLIERS,
        "dropout": 0.1,
        "independent_multipliers": True,
        # RePS sums log-probabilities of each text, and divides by what its attention mask counts.
        "batch_means": method != "RePS",
        "prompt_lengths": method == "RePS",
        "wide_start": True,
        "bypass": not is_vector,
        "weights": dict(zip(WEIGHTS, row[n:], strict=False)),
    }
