"""Cosines of the readouts and the shift, beside those of random directions with the activations' covariance."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from analyses.study import Study

from .style import BLUE, DOUBLE_COLUMN, GREEN, GREY, VERMILION, style
from .tables import first_steer

QUANTITIES = {"cos(ω_u, Δh)": VERMILION, "cos(ω_p, Δh)": BLUE, "cos(ω_p, ω_u)": GREEN}


def draw(study: Study) -> Figure | None:
    """A panel for each way of finding the readouts; the bars are random directions against ω_u."""
    cosines, random = first_steer(study, "orthogonality-cosine"), first_steer(study, "orthogonality-random")
    if cosines is None or random is None:
        return None
    table, subject = cosines
    methods = list(dict.fromkeys(table.method))
    with style():
        figure, axes = plt.subplots(
            1, len(methods), figsize=(DOUBLE_COLUMN, 2.5), layout="constrained", sharey=True, squeeze=False
        )
        for ax, method in zip(axes[0], methods, strict=True):
            rows = table[table.method == method].set_index("quantity")
            null = random[0].loc[random[0].method == method, "cosine"]
            counts, edges = np.histogram(null, bins=np.linspace(-1, 1, 61))
            ax.stairs(counts / counts.max(), edges, fill=True, color="#D0D0D0", label="random directions")
            limit = rows.random_limit["cos(ω_u, Δh)"]
            for end in (-limit, limit):
                ax.axvline(end, color=GREY, linewidth=0.8, linestyle="--")
            for height, (name, colour) in zip((1.1, 1.25, 1.4), QUANTITIES.items(), strict=True):
                row = rows.loc[name]
                if np.isfinite(row.estimate):
                    label = (
                        name.replace("ω_u", r"$\omega_u$").replace("ω_p", r"$\omega_p$").replace("Δh", r"$\Delta h$")
                    )
                    ax.plot([row.low, row.high], [height, height], color=colour)
                    ax.plot(row.estimate, height, "o", color=colour, markersize=4, label=label)
            ax.set_title(f"by {method}")
            ax.set_xlabel("cosine; dashed: 95 % of random directions")
            ax.set_xlim(-1, 1)
            ax.set_yticks([])
            ax.legend(loc="upper left", fontsize=6)
        figure.suptitle(subject, fontsize=8)
    return figure
