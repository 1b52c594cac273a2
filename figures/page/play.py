"""The page on which a model is steered by hand: it asks the server that it came from, and nothing else."""

from collections.abc import Sequence
from math import pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from analyses.studies.measured import Measured
from analyses.studies.settings import Settings
from mechsteer.models.sites import write_sites

from .contents import steer_data
from .page import embedded_json, policy
from .templates import HERE, filled

if TYPE_CHECKING:
    from mechsteer.interventions.base import Intervention

SCRIPTS = ("elements.js", "play.js")
REACH = 4.0
"""How far the slider goes of a steer whose useful range nobody has measured."""


def steer_on_page(
    name: str, source: str, steer: "Intervention", measured: Measured | None, model: str
) -> dict[str, Any]:
    """A steer as the page shows it: how far its slider goes, its curves, and how to study it."""
    low, high = measured.useful if measured is not None else (-REACH / 2, REACH / 2)
    furthest = min(2 * max(-low, high), steer.rule.largest or float("inf")) or REACH
    pairs = measured.study.summary["settings"]["pairs"] if measured is not None else "PAIRS.jsonl"
    return {
        "name": name, "says": steer.name, "furthest": furthest, "unit": "rad" if steer.rule.largest == pi else "",
        "useful": None if measured is None else [low, high],
        "curves": None if measured is None else steer_data(measured.study, measured.sweep, False),
        "command": _command(name, source, steer, pairs, model),
    }  # fmt: skip


def _command(name: str, source: str, steer: "Intervention", pairs: str, model: str) -> str:
    """A study of this very steer, beside one that is learned from the pairs at its sites."""
    return Settings(
        model=model, pairs=pairs, site=write_sites(steer.sites), methods=("DiffMean",), forms=("vector",),
        intervention=(source,), claims=(f"{name}-{steer.form}",), format=steer.origin.prompt_format,
    ).command  # fmt: skip


def render(model: str, prompt: str, steers: Sequence[dict[str, Any]], *, has_chat: bool) -> str:
    """The whole page."""
    script = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return filled(
        "play.html",
        title=f"{Path(model).name}, steered by hand",
        policy=policy(script, asks_server=True),
        script=Markup(script),
        data=Markup(embedded_json({"model": model, "steers": steers})),
        model=Path(model).name,
        prompt=prompt,
        has_chat=has_chat,
    )
