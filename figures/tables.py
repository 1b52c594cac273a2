"""Tables behind the claims, as figures read them: one steer's rows, and colours for its layers."""

from collections.abc import Iterable

import matplotlib.pyplot as plt
import pandas as pd

from analyses.study import Study


def first_steer(study: Study, name: str) -> tuple[pd.DataFrame, str] | None:
    """The rows of a saved table that are of its first steer, and what it is; None where there is no such table."""
    if not (study.folder / "claims" / f"{name}.parquet").exists():
        return None
    table = study.table(f"claims/{name}")
    if table.empty:
        return None
    subject = table.subject.iloc[0]
    return table.loc[table.subject == subject], str(subject)


def layer_colours(layers: Iterable[int]) -> dict[int, tuple[float, ...]]:
    """From dark at the first layer to light at the last, in an order that grey keeps."""
    ordered = sorted(set(layers))
    return {
        layer: plt.get_cmap("viridis")(0.85 * index / max(len(ordered) - 1, 1)) for index, layer in enumerate(ordered)
    }


def through_zero(rows: pd.DataFrame) -> pd.DataFrame:
    """By multiplier, with the row at which nothing is steered, so that all that steering changes is zero."""
    zero = dict.fromkeys(rows.select_dtypes("number").columns, 0.0)
    return pd.concat([rows, pd.DataFrame([zero])], ignore_index=True).sort_values("multiplier")
