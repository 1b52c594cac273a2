"""Every method of learning by its name: those of this room, and each objective, by which the trainer learns."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..families import FORMS, METHODS, OBJECTIVES, RULES
from ..models.sites import write_sites
from ..registry import Member
from .settings import TrainSettings

if TYPE_CHECKING:
    from ..models.model import Model
    from ..models.sites import Site
    from ..pairs.polarity import Pairs
    from .objectives.base import Objective
    from .trainer import Trained

_log = logging.getLogger("mechsteer")


def methods() -> dict[str, Member]:
    """What a study can compare, in order; an objective is a method that is trained."""
    return METHODS.members() | OBJECTIVES.members()


def is_trained(method: str) -> bool:
    """Whether the method has training steps, and so a seed and any form."""
    return method in OBJECTIVES.members()


def check_method(method: str, form: str) -> None:
    """One sentence if there is no such method or form, or the method does not give the form."""
    known = methods()
    if method not in known:
        raise InputError(f"The method {method!r} is unknown. Choose {', '.join(known)}.")
    FORMS.check(form)
    given = known[method].get("FORMS", (form,))
    if form not in given:
        raise InputError(f"{method} gives a {given[0]}, not a {form}. Choose --form {given[0]} or another method.")


def has_no_use_for(method: str, setting: str) -> bool:
    """Whether a method passes over a setting of training, of those that say in `READS` which ones they read."""
    reads = methods()[method].get("READS")
    # Pairs are drawn by the seed, and the position is checked.
    return reads is not None and setting not in {*reads, "positions", "seed"}


def check_read(method: str, settings: TrainSettings) -> None:
    """One sentence if a method that is read off activations, not trained, is asked for other positions than all."""
    if settings.positions != "all":
        raise InputError(
            f"{method} reads completion tokens and is for all positions; {settings.positions!r} came. Leave `positions` out."
        )


def learn(
    model: "Model",
    pairs: "Pairs",
    sites: "Sequence[Site]",
    method: str,
    form: str,
    settings: TrainSettings,
    *,
    rule: str = "add",
    objective: "Objective | None" = None,
    validation: "Pairs | None" = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> "Trained":
    """Learn a steer of this form by this method, at one site or at several of them together, or where its recipe puts it.

    Args:
        rule: how it will act; what is trained is trained by it.
        objective: the method's, with other weights than the recipe gives it.
        validation, checkpoint: as in `train`, for what is trained.
    """
    import pandas as pd
    import torch

    from ..interventions import join
    from .trainer import Trained, train

    check_method(method, form)
    acting = RULES.load(rule)()
    if not is_trained(method):
        check_read(method, settings)
        found = [METHODS.load(method).learn(model, pairs, site, settings) for site in sites]
        return Trained(join(found, rule=acting), pd.DataFrame())
    recipe, generator = settings.settled(method, form), torch.Generator().manual_seed(settings.seed)
    kind = FORMS.load(form)
    init = kind.init_wide if recipe.wide_start else kind.init
    placed = recipe.placed(sites)
    if recipe.bypass and (others := [site for site in placed if site.place != "mlp.bypass"]):
        _log.warning(
            "A %s is to act at mlp.bypass, and %s is no MLP's output: there it acts where it was asked for.",
            form, write_sites(others),
        )  # fmt: skip
    start = join([init(site, *site.widths(model), generator=generator) for site in placed], rule=acting)
    chosen = method if objective is None else objective
    return train(model, start, pairs, chosen, settings, validation=validation, checkpoint=checkpoint, progress=progress)
