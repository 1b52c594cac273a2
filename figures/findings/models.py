"""Models: what was opened, and by which weights it is known."""

from collections.abc import Iterable

from .found import Found, table

NAME = "models"
TITLE = "Models"
ORDER = 10


def write(found: Found) -> str:
    """A row a model; then what of the plan is done."""
    rows = {}
    for cell in found.cells:
        model = cell.study.summary["model"]
        rows[cell.model] = {
            "model": cell.model, "layers": model["n_layers"], "width": model["d_model"], "weights": f"`{model['fingerprint']}`",
            "tokenizer": f"`{model['tokenizer']}`", "dtype": model["dtype"], "quantised in memory": model["quantisation"] or "no",
        }  # fmt: skip
    states = [cell["state"] for cell in found.campaign.cells]
    said = f"By mechsteer {found.campaign.said['mechsteer']}: {_counted(states)}."
    missing = [cell["name"] for cell in found.campaign.cells if cell["state"] != "done"]
    not_run = f"\n\nNot finished: {', '.join(missing)}." if missing else ""
    return f"{table(list(rows.values()))}\n\n{said}{not_run}"


def _counted(states: Iterable[str]) -> str:
    states = list(states)
    parts = [f"{states.count(state)} {state}" for state in dict.fromkeys(states)]
    return f"of {len(states)} cells, {', '.join(parts)}"
