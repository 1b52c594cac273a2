"""Every method of learning by its name: those of this room, and each objective, by which the trainer learns."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..families import FORMS, METHODS, OBJECTIVES
from ..registry import Member
from .settings import TrainSettings

if TYPE_CHECKING:
    from ..models.model import Model
    from ..models.sites import Site
    from ..pairs.polarity import Pairs
    from .objectives.base import Objective
    from .trainer import Trained


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


def learn(
    model: "Model",
    pairs: "Pairs",
    site: "Site",
    method: str,
    form: str,
    settings: TrainSettings,
    *,
    objective: "Objective | None" = None,
    validation: "Pairs | None" = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
) -> "Trained":
    """Learn a steer of this form by this method.

    Args:
        objective: the method's objective with other weights than its own defaults.
        validation, checkpoint: as in `train`, for what is trained.
    """
    import pandas as pd
    import torch

    from .trainer import Trained, train

    check_method(method, form)
    if not is_trained(method):
        return Trained(METHODS.load(method).learn(model, pairs, site, settings), pd.DataFrame())
    generator = torch.Generator().manual_seed(settings.seed)
    start = FORMS.load(form).init(site, *site.widths(model), generator=generator)
    chosen: Objective = OBJECTIVES.load(method)() if objective is None else objective
    return train(model, start, pairs, chosen, settings, validation=validation, checkpoint=checkpoint, progress=progress)
