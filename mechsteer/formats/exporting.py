"""Steers into files of other programs: what a format cannot say is refused or said beside, and what was written is read again."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..families import FORMATS
from ..interventions.base import Intervention
from ..interventions.lora import LoRA
from ..interventions.rules.add import Add
from ..models.model import Model
from ..models.sites import write_sites
from ..pairs.polarity import Pairs
from ..registry import Member
from .beside import BESIDE, Beside, exported, place_of, write_beside
from .loading import load_intervention
from .named import format_to_write, sayings, says_of, written_formats
from .stream import in_branch, renamed, why_none

TOKENS = {"all": "every but the first"}
"""How positions are called in a sentence."""
N_ACTIVATIONS, N_PAIRS = 16, 8
"""On how many random h deltas are compared, and on how many pairs losses."""


@dataclass(frozen=True)
class Exported:
    """A steer that was written, and how far what was read again differs from it."""

    path: Path
    format: str
    notes: tuple[str, ...]
    """What the format cannot say, in sentences; it stands beside the file."""
    difference: float | None
    """The largest of Δh on random h, as a share of the largest entry; None for a format that is only written."""
    losses: float | None = None
    """The largest of the losses of a few pairs, in nats; None without pairs or model."""
    effect: float | None = None
    """By how much the steer changes these losses, at most."""


def save_intervention(intervention: Intervention, path: str | Path, format: str = "mechsteer") -> Path:
    """Write an intervention in a format, by default our own; every number must be one."""
    member = format_to_write(format)
    _write(_renamed(intervention, member, None), Path(path), member, None)
    return Path(path)


def export(
    intervention: Intervention,
    path: str | Path,
    format: str,
    *,
    model: Model | None = None,
    pairs: Pairs | None = None,
    multiplier: float = 1.0,
) -> Exported:
    """Write a steer as another program reads it, say beside what the format cannot, and compare it with what was written.

    Args:
        model: what some formats are written for; with `pairs`, losses of a few of them are compared too.
        multiplier: other programs know none, so that it becomes part of the shift.
    """
    path, member = Path(path), format_to_write(format)
    read_as = None if member.get("ASKS") is None else format
    here = {file.name for file in path.iterdir() if file.is_file()} if path.is_dir() else set()
    if others := sorted(here - exported(path, read_as) - {BESIDE}):
        raise InputError(
            f"{str(path)!r} holds {others[0]!r}, which no export as {format} wrote. Name a new folder as --out."
        )
    if multiplier != 1.0:
        if not isinstance(intervention.rule, Add):
            raise InputError(
                f"By the rule {intervention.rule} a multiplier cannot become part of the shift. Leave --multiplier out."
            )
        intervention = intervention.scaled(multiplier)
    intervention, own = _renamed(intervention, member, model), intervention
    notes = (*_renaming(own, intervention), *_notes(intervention, member, multiplier))
    written = _write(intervention, path, member, model)
    if format == "mechsteer":
        place_of(path).unlink(missing_ok=True)
    else:
        said = {"site": write_sites(intervention.sites), "layer": str(intervention.sites[0].layer)}
        if model is not None:
            said |= {"base": model.name, "revision": model.revision or ""}
        answers = {**(member.get("ASKS") or {}), **member.get("MAY", {})}
        asked = {name: said[name] for name in answers if said.get(name)}
        beside = Beside(read_as, asked, asdict(intervention.origin), notes)
        written.append(write_beside(path, beside, written, multiplier=multiplier))
    if read_as is None:
        return Exported(path, format, notes, None)
    try:
        again = load_intervention(path, format=format)
    except Exception:
        # Nobody else could read them either.
        for file in written:
            file.unlink()
        raise
    difference = largest_difference(intervention, again)
    if model is None or pairs is None:
        return Exported(path, format, notes, difference)
    return Exported(path, format, notes, difference, *_losses(own, again, model, pairs))


def largest_difference(one: Intervention, other: Intervention) -> float:
    """Between Δh of two steers on random h, as a share of the largest entry; infinite where their sites differ."""
    if one.sites != other.sites:
        return math.inf
    generator, found = torch.Generator().manual_seed(0), [0.0]
    for site, shift in one.shifts.items():
        d_in, d_out = shift.widths
        h = torch.randn(N_ACTIVATIONS, d_in or d_out, generator=generator)
        ours, theirs = shift.delta(h).double(), other.shifts[site].delta(h).double()
        found.append(float((ours - theirs).abs().max() / ours.abs().max().clamp(min=1e-30)))
    return max(found)


def _losses(one: Intervention, other: Intervention, model: Model, pairs: Pairs) -> tuple[float, float]:
    from ..measuring.sweeping import run_sweep

    positions, some = one.origin.positions, pairs[:N_PAIRS]
    sweeps = [run_sweep(model, steer, some, [0.0, 1.0], positions=positions, progress=False) for steer in (one, other)]
    losses = [np.stack([sweep.loss_positive, sweep.loss_negative]) for sweep in sweeps]
    return float(np.abs(losses[0] - losses[1]).max()), float(np.abs(losses[0][:, 1] - losses[0][:, 0]).max())


def _renamed(intervention: Intervention, member: Member, model: Model | None) -> Intervention:
    """The steer by the names that the format has for its sites."""
    places = says_of(member, intervention.form).get("places")
    return renamed(intervention, places, model)


def _renaming(own: Intervention, written: Intervention) -> Iterator[str]:
    for site, other in zip(own.sites, written.sites, strict=True):
        if site != other:
            same = "what is added there arrives unchanged in" if site.layer == other.layer else "the same point of"
            yield f"It acts at {site}, which is written as {other}: {same} the residual stream."


def _write(intervention: Intervention, path: Path, member: Member, model: Model | None) -> list[Path]:
    """The files that make up the steer."""
    intervention.check_finite()
    _check_sayable(intervention, member, model)
    write = FORMATS.load(member.name).write
    if not member.get("NEEDS_MODEL"):
        return write(intervention, path)
    if model is None:
        raise InputError(
            f"The format {member.name} is written for a model, and none came. Name it: --model, or model=..."
        )
    intervention.check_fits(model)
    return write(intervention, path, model)


def _check_sayable(intervention: Intervention, member: Member, model: Model | None) -> None:
    """Raise one sentence that says what of the steer the format cannot express."""
    missing = list(_unsayable(intervention, member))
    if missing:
        others = (name for name in written_formats() if _is_sayable(intervention, FORMATS[name], model))
        holds = ", and ".join(map(_words, sayings(member)))
        places = says_of(member, intervention.form).get("places") or ()
        unnamed = (shift for site, shift in intervention.shifts.items() if site.place not in places)
        unknown = model is None and all(in_branch(shift) is not None for shift in intervention.shifts.values())
        why = next((why for shift in unnamed if (why := why_none(shift, places, model))), "")
        raise InputError(
            f"The format {member.name} cannot express {missing[0]}; it holds {holds}. This steer can be written as "
            f"{', '.join(others)}{', and maybe in more formats where --model names its model' * unknown}.{why}"
        )


def _is_sayable(intervention: Intervention, member: Member, model: Model | None) -> bool:
    """Whether the format can express it, by its own names for the sites where need be."""
    return not list(_unsayable(_renamed(intervention, member, model), member))


def _unsayable(intervention: Intervention, member: Member) -> Iterator[str]:
    says = says_of(member, intervention.form)

    def knows(what: str, value: str, default: tuple[str, ...] | None = None) -> bool:
        known = says.get(what, default)
        return known is None or value in known

    for site, shift in intervention.shifts.items():
        if not knows("forms", shift.form):
            yield f"a {_in_words(shift.form)}"
        if not knows("places", site.place):
            yield f"the place {site.place}"
    if not knows("rules", intervention.rule.name, (Add.name,)):
        yield f"the rule {intervention.rule}"
    if len(intervention.sites) > 1 and not says.get("several", True):
        yield f"{len(intervention.sites)} sites"
    positions = intervention.origin.positions
    # These two differ by the token that begins a text, which a note tells.
    if positions not in ("all", "every") and not knows("positions", positions, ("every",)):
        yield f"the positions {positions!r} (say #positions=every after the steer's name if every token is meant)"


def _words(says: Mapping[str, Any]) -> str:
    forms = " or ".join(f"{_in_words(form)}s" for form in says.get("forms") or ["steer"])
    places = " or ".join(says.get("places") or ["any place"])
    tokens = " or ".join(TOKENS.get(name, name) for name in says.get("positions", ("every",)) or ["any"])
    return f"{forms} at {places}, added at {tokens} token"


def _in_words(form: str) -> str:
    return "LoRA" if form == LoRA.form else form.replace("_", " ")


def _notes(intervention: Intervention, member: Member, multiplier: float) -> Iterator[str]:
    origin = intervention.origin
    positions = says_of(member, intervention.form).get("positions", ("every",)) or (origin.positions,)
    if origin.positions == "all" and "all" not in positions:
        yield "In other programs it acts on the token that begins a text, too; mechsteer leaves BOS alone."
    if origin.positions == "every" and "every" not in positions:
        yield "It leaves the token that begins a text alone, where mechsteer acts on BOS, too."
    if multiplier != 1.0:
        yield f"The multiplier {multiplier:g} is part of it."
    if origin.dtype and member.name != "mechsteer":
        yield f"It was learned on the model at {origin.dtype}; at another precision its effects may differ a little."
    if origin.prompt_format not in ("", "raw") and member.name != "mechsteer":
        yield f"It was learned from prompts in the format {origin.prompt_format}."
