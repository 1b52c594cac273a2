"""Where to steer: every site of a model compared by forward passes alone."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..errors import InputError
from ..methods.diff_mean import diff_means
from ..models.model import Model
from ..models.prompts import encode_pairs
from ..models.sites import Site
from ..models.survey import all_sites
from ..pairs.polarity import Pairs
from ..progress import progress_bar
from ..statistics.intervals import percentile_interval
from .frontier import frontier
from .recommended_site import SiteChoice, learning_and_judging, recommend_site
from .sweeping import sweep_encoded
from .useful import USEFUL

_log = logging.getLogger("mechsteer")
RELATIVE_SHIFTS = (0.125, 0.25, 0.5, 1.0, 2.0)


def choose_site(
    model: Model,
    pairs: Pairs,
    *,
    places: Sequence[str] = ("mlp.out", "attn.o", "resid_mid", "resid_post"),
    relative_shifts: Sequence[float] = RELATIVE_SHIFTS,
    prompt_format: str = "raw",
    max_pairs: int = 32,
    layers_after: int = 1,
    seed: int = 0,
    progress: bool = True,
) -> SiteChoice:
    """Steer at every layer and place with its DiffMean vector and compare what is gained in the useful range.

    All sites are compared at the same relative shifts ‖mΔh‖/‖h‖, h being the mean activation at the site, and interpolated
    between them. Vectors are learned from one half of the pairs and judged on at most `max_pairs` of the other. Among sites that
    are not surely worse than the best, one with `layers_after` layers after it is recommended. (`resid_pre` is left out by
    default: it is the `resid_post` of the layer before.)
    """
    if len(pairs) < 2:
        raise InputError(f"{len(pairs)} pairs came; choosing a site takes at least two, to learn from and to judge on.")
    relative_shifts = sorted(set(relative_shifts))
    learning, judging = learning_and_judging(pairs, seed)
    encoded = encode_pairs(model, judging.sample(min(max_pairs, len(judging)), seed=seed), prompt_format)
    sites = all_sites(model, tuple(places))
    rows, samples = [], {}
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
            try:
                sweep.check_finite()
            except InputError as error:
                if not np.isfinite(sweep.loss_positive[sweep.zero] + sweep.loss_negative[sweep.zero]).all():
                    raise
                _log.warning("The site %s is left out: %s", site, error)
                continue
            useful = frontier([sweep], budgets=(USEFUL,), defined=np.ones(len(encoded), bool), seed=seed)
            interval, samples[site] = useful.interval(USEFUL), useful.gained_samples[:, 0]
            about = {
                "layer": site.layer, "place": site.place, "hook": site.hook, "layers_after": model.n_layers - 1 - site.layer,
                "useful_gain": useful.gained[0], "low": interval.low, "high": interval.high,
                "useful_multiplier": float(np.abs(useful.multiplier[:, 0]).mean()),
            }  # fmt: skip
            preference, lost = sweep.preference.mean(axis=1), sweep.lost.mean(axis=1)
            zero = len(relative_shifts)
            for step, shift in enumerate(relative_shifts, start=1):
                gained = (preference[zero + step] - preference[zero - step]) / 2
                cost = (lost[zero + step] + lost[zero - step]) / 2
                rows.append(
                    about
                    | {
                        "relative_shift": shift,
                        "multiplier": shift * unit,
                        "preference_gained": gained,
                        "utility_lost": cost,
                    }
                )
    if not rows:
        raise InputError("No site sets the two completions apart: every DiffMean vector is zero. Pass other pairs.")
    table = pd.DataFrame(rows)
    best = table.loc[table.useful_gain.idxmax()]
    ahead = samples[Site(int(best.layer), str(best.place))]
    behind = {(site.layer, site.place): percentile_interval(drawn - ahead).high for site, drawn in samples.items()}
    table["behind"] = [behind[at] for at in zip(table.layer, table.place, strict=True)]
    return recommend_site(table, layers_after)
