"""One point of the residual stream has several names: what enters a block left the one before, and a branch arrives in it."""

from collections.abc import Sequence
from dataclasses import replace

from ..interventions.base import Intervention, Shift
from ..models.model import Model
from ..models.sites import Site
from ..models.survey import adds_plainly

BRANCHES = {"resid_mid": "attn.o", "mlp.bypass": "mlp.out", "mlp.out": "mlp.bypass"}
"""Places at which a shift is the same where a model adds to the residual stream what its branches' last maps give, unchanged."""


def other_name(site: Site, n_layers: int | None = None) -> Site | None:
    """`5:resid_pre` for `4:resid_post` and the reverse, if it has one; whether a block is the last, only a model tells."""
    if site.place == "resid_pre" and site.layer > 0:
        return Site(site.layer - 1, "resid_post")
    if site.place == "resid_post" and (n_layers is None or site.layer + 1 < n_layers):
        return Site(site.layer + 1, "resid_pre")
    return None


def renamed(intervention: Intervention, places: Sequence[str] | None, model: Model | None) -> Intervention:
    """The same steer by the names that a format has for its sites, so far as it has them."""

    def name(shift: Shift) -> Site:
        site = shift.site
        if places is None or site.place in places:
            return site
        other = in_branch(shift)
        if other is not None and other.place in places:
            return other if model is not None and adds_plainly(model, site.layer) else site
        # Without a model nobody knows whether a block comes after.
        other = other_name(site, model and model.n_layers) if model is not None or site.place == "resid_pre" else None
        return other if other is not None and other.place in places else site

    names = {site: name(shift) for site, shift in intervention.shifts.items()}
    if len({*names.values()}) < len(names):
        return intervention
    return intervention.each(lambda shift: replace(shift, site=names[shift.site]))


def why_none(shift: Shift, places: Sequence[str], model: Model | None) -> str:
    """Why a shift has no name at these places that it might have had, as a sentence; "" where there is nothing to say."""
    place = BRANCHES.get(shift.site.place)
    if place is None or place not in places:
        return ""
    other = Site(shift.site.layer, place)
    if in_branch(shift) is None:
        return f" What it reads at {shift.site} is read by no weight of a model: learn at {other} to export it so."
    if model is None:
        return f" If its model has no norm between {other} and the residual stream, name it, and {other} is written."
    return (
        f" {model.name} does not add what {other} gives to the residual stream as it is, so {other} is another steer."
    )


def in_branch(shift: Shift) -> Site | None:
    """What the shift may be called in or behind the branch; where that reads another h, only what reads none."""
    place, (d_in, _) = BRANCHES.get(shift.site.place), shift.widths
    return None if place is None or (d_in and place == "attn.o") else Site(shift.site.layer, place)
