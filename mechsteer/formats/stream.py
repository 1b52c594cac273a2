"""One point of the residual stream has two names: what enters a block is what left the block before it."""

from collections.abc import Sequence
from dataclasses import replace

from ..interventions.base import Intervention
from ..models.sites import Site


def other_name(site: Site, n_layers: int | None = None) -> Site | None:
    """`5:resid_pre` for `4:resid_post` and the reverse, if it has one; whether a block is the last, only a model tells."""
    if site.place == "resid_pre" and site.layer > 0:
        return Site(site.layer - 1, "resid_post")
    if site.place == "resid_post" and (n_layers is None or site.layer + 1 < n_layers):
        return Site(site.layer + 1, "resid_pre")
    return None


def renamed(intervention: Intervention, places: Sequence[str] | None, n_layers: int | None) -> Intervention:
    """The same steer by the names that a format has for its sites, so far as it has them."""

    def name(site: Site) -> Site:
        # Without a model nobody knows whether a block comes after.
        other = other_name(site, n_layers) if n_layers is not None or site.place == "resid_pre" else None
        return site if other is None or places is None or site.place in places or other.place not in places else other

    names = {site: name(site) for site in intervention.sites}
    if len({*names.values()}) < len(names):
        return intervention
    return intervention.each(lambda shift: replace(shift, site=names[shift.site]))
