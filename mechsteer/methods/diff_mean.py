"""DiffMean: the mean activation over positive completion tokens minus the mean over negative ones. No training."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..engine.activations import read_activations
from ..errors import InputError
from ..interventions import Origin, SteeringVector
from ..models.model import Model
from ..models.prompts import encode_pairs, settled
from ..models.sites import Site
from ..pairs.polarity import Pairs
from .settings import TrainSettings

NAME = "DiffMean"
ORDER = 10
FORMS = ("vector",)
READS = ("prompt_format",)
STYLE = {"colour": "#8A6420", "marker": "s", "line": "-"}


@dataclass(frozen=True)
class DiffMean:
    """A steering vector and the mean norm ‖h‖ of the activations that it will be added to."""

    vector: SteeringVector
    activation_norm: float


def learn(model: Model, pairs: Pairs, site: Site, settings: TrainSettings) -> SteeringVector:
    """The vector, as a method of a study."""
    return diff_mean(model, pairs, site, prompt_format=settings.prompt_format)


def diff_mean(
    model: Model, pairs: Pairs, site: Site | str, *, prompt_format: str = "raw", batch_size: int = 32
) -> SteeringVector:
    """The DiffMean vector of the pairs at a site, such as "2:mlp.out"; m = 1 is the whole difference of the means."""
    site = Site.of(site)
    return diff_means(model, pairs, [site], prompt_format=prompt_format, batch_size=batch_size)[site].vector


def diff_means(
    model: Model, pairs: Pairs, sites: Sequence[Site | str], *, prompt_format: str = "raw", batch_size: int = 32
) -> dict[Site, DiffMean]:
    """The DiffMean vectors at several sites, from one pass over the pairs."""
    if len(pairs) == 0:
        raise InputError("No pairs came, and a mean needs at least one. Pass more pairs.")
    sites = [Site.of(site) for site in sites]
    for site in sites:
        site.widths(model)
    prompt_format = settled(model.tokenizer, prompt_format)
    origin = Origin(
        method="DiffMean",
        model=model.name,
        revision=model.revision or "",
        fingerprint=model.fingerprint,
        dtype=model.precision,
        prompt_format=prompt_format,
        pairs=pairs.name,
        pairs_fingerprint=pairs.fingerprint,
    )
    # In float64: the difference of two means of many activations loses the digits that float32 has.
    sums = {site: torch.zeros(2, site.widths(model)[1], dtype=torch.float64) for site in sites}
    norms = dict.fromkeys(sites, 0.0)
    counts = torch.zeros(2)
    for read in read_activations(model, encode_pairs(model, pairs, prompt_format), sites, batch_size=batch_size):
        for site, values in read.at.items():
            values = values.double().cpu()
            for polarity in (0, 1):
                sums[site][polarity] += values[read.is_positive == bool(polarity)].sum(dim=0)
            norms[site] += float(torch.linalg.vector_norm(values, dim=1).sum())
        counts += torch.stack([(~read.is_positive).sum(), read.is_positive.sum()])
    for site, total in sums.items():
        model.check_finite(total, f"activations at {site}")
    return {
        site: DiffMean(
            SteeringVector(site, (total[1] / counts[1] - total[0] / counts[0]).float(), origin=origin),
            norms[site] / float(counts.sum()),
        )
        for site, total in sums.items()
    }
