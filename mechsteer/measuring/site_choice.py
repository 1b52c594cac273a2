"""Where to steer: every site of a model compared by forward passes alone."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..errors import InputError
from ..methods.diff_mean import diff_means
from ..models.model import Model
from ..models.prompts import encode_pairs
from ..models.survey import all_sites
from ..pairs.polarity import Pairs
from ..progress import progress_bar
from .recommended_site import SiteChoice, recommend_site
from .sweeping import sweep_encoded

RELATIVE_SHIFTS = (0.125, 0.25, 0.5, 1.0)


def choose_site(
    model: Model,
    pairs: Pairs,
    *,
    places: Sequence[str] = ("mlp.out", "attn.o", "resid_mid", "resid_post"),
    relative_shifts: Sequence[float] = RELATIVE_SHIFTS,
    prompt_format: str = "raw",
    max_pairs: int = 32,
    seed: int = 0,
    progress: bool = True,
) -> SiteChoice:
    """Steer at every layer and place with its DiffMean vector and compare what preference costs in utility.

    All sites are compared at the same relative shifts ‖mΔh‖/‖h‖, h being the mean activation at the site. Vectors are
    learned from one half of the pairs and judged on at most `max_pairs` of the other. (`resid_pre` is left out by
    default: it is the `resid_post` of the layer before.)
    """
    if len(pairs) < 2:
        raise InputError(f"{len(pairs)} pairs came; choosing a site takes at least two, to learn from and to judge on.")
    relative_shifts = sorted(set(relative_shifts))
    learning, judging = pairs.split(0.5, seed=seed)
    encoded = encode_pairs(model, judging.sample(min(max_pairs, len(judging)), seed=seed), prompt_format)
    sites = all_sites(model, tuple(places))
    rows = []
    with progress_bar("Choosing a site", len(sites), show=progress) as bar:
        for site, found in diff_means(model, learning, sites, prompt_format=prompt_format).items():
            bar.advance(f"Choosing a site: {site}")
            size = float(found.vector.direction.norm())
            # The attention output of a first token can be exactly the same in all texts; such a site cannot steer.
            if size == 0:
                continue
            unit = found.activation_norm / size
            grid = np.array([sign * shift * unit for shift in relative_shifts for sign in (-1, 1)] + [0.0])
            sweep = sweep_encoded(model, found.vector, encoded, grid)
            preference, utility = sweep.preference.mean(axis=1), np.nanmean(sweep.utility, axis=1)
            zero = len(relative_shifts)
            for step, shift in enumerate(relative_shifts, start=1):
                gained = (preference[zero + step] - preference[zero - step]) / 2
                lost = utility[zero] - (utility[zero + step] + utility[zero - step]) / 2
                rows.append(
                    (site.layer, site.place, site.hook, shift, shift * unit, gained, lost, gained / max(lost, 1.0))
                )
    columns = ["layer", "place", "hook", "relative_shift", "multiplier", "preference_gained", "utility_lost"]
    if not rows:
        raise InputError("No site sets the two completions apart: every DiffMean vector is zero. Pass other pairs.")
    table = pd.DataFrame(rows, columns=[*columns, "gain_per_nat"])
    return recommend_site(table)
