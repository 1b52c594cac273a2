"""The page on which a model is steered by hand: it asks the server that it came from, and nothing else."""

import shlex
from collections.abc import Sequence
from dataclasses import replace
from math import pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.studies.measured import Measured
from analyses.studies.settings import Settings
from analyses.verdict.facts import Facts
from mechsteer.models.sites import write_sites
from mechsteer.statistics.judging import Outcome

from .contents import QUANTITIES, steer_data
from .page import embedded_json, policy
from .templates import HERE, filled

if TYPE_CHECKING:
    from mechsteer.interventions.base import Intervention

SCRIPTS = ("elements.js", "play.js")
REACH = 4.0
"""How far the slider goes of a steer whose useful range nobody has measured."""


def steer_on_page(
    name: str, source: str, steer: "Intervention", measured: Measured | None, asked: Settings
) -> dict[str, Any]:
    """A steer as the page shows it: how far its slider goes, its curves, and how to study it as was `asked`."""
    low, high = measured.useful if measured is not None else (-REACH / 2, REACH / 2)
    furthest = min(2 * max(-low, high), steer.rule.largest or float("inf")) or REACH
    if measured is not None:
        asked = replace(asked, pairs=measured.study.summary["settings"]["pairs"])
    return {
        "name": name, "says": steer.name, "furthest": furthest, "unit": "rad" if steer.rule.largest == pi else "",
        "useful": None if measured is None else [low, high],
        "curves": None if measured is None else steer_data(measured.study, measured.sweep, False),
        "refuted": [] if measured is None else _refuted(measured),
        "command": _command(name, source, steer, asked),
    }  # fmt: skip


def _refuted(measured: Measured) -> list[str]:
    """Quantities whose curve the study refutes where the steer is useful."""
    facts = Facts(measured.study, measured.sweep)
    claims = {quantity: facts.claim(f"{quantity}_curve", "adequate") for quantity in QUANTITIES}
    return [name for name, claim in claims.items() if claim is not None and claim.outcome is Outcome.REFUTED]


def _command(name: str, source: str, steer: "Intervention", asked: Settings) -> str:
    """A study of this very steer, beside one that is learned from the pairs at its sites."""
    settings = replace(
        asked, site=write_sites(steer.sites), methods=("DiffMean",), forms=("vector",), intervention=(source,),
        claims=(f"{name}-{steer.form}",),
    )  # fmt: skip
    return _into(settings, name)


def _into(settings: Settings, name: str) -> str:
    return f"{settings.command} --out={shlex.quote(f'results/{name}')}"


def render(asked: Settings, prompt: str, steers: Sequence[dict[str, Any]], *, has_chat: bool) -> str:
    """The whole page; studies are made as was `asked`."""
    model = Path(asked.model).name
    script = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return filled(
        "play.html",
        title=f"{model}, steered by hand",
        policy=policy(script, asks_server=True),
        script=Markup(script),
        data=Markup(embedded_json({"model": asked.model, "command": _into(asked, model), "steers": steers})),
        model=model,
        prompt=prompt,
        has_chat=has_chat,
    )
