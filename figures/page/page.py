"""The page put together: template, style, scripts and data in one file, under a policy that forbids the network."""

import base64
import gzip
import hashlib
import json
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from bokeh.resources import Resources
from markupsafe import Markup

from analyses.studies.finished import Study
from mechsteer.errors import InputError
from mechsteer.pairs.reading import label_of
from mechsteer.store.atomic import write_atomically

from .contents import study_data
from .looks import page_shades
from .side_by_side import compare
from .templates import HERE, filled
from .view import TERMS, study_view

SCRIPTS = ("elements.js", "tables.js", "charts.js", "multiplier.js", "texts.js", "pairs.js", "methods.js", "page.js")
"""In the order in which they need each other."""
MAX_VALUES = 250_000
"""Values of single pairs that a page holds of each quantity; steers beyond it are shown by their means."""


def write_report(folders: Sequence[Path], path: Path | None = None) -> Path:
    """Write the page of these studies, by default as report.html in the first one's folder."""
    if not folders:
        raise InputError("No study came. Pass the folder of at least one finished study.")
    studies = [Study.load(folder) for folder in folders]
    text = render(studies)
    path = write_atomically(
        path or Path(folders[0]) / "report.html", lambda temporary: temporary.write_text(text, encoding="utf-8")
    )
    studies[0].wrote([path])
    return path


def draw_and_report(folder: Path, each: Callable = map) -> None:
    """All that a study shows: its figures, then its page. `each` maps as the built-in does, and may use several processes."""
    from .. import draw_all

    draw_all(Study.load(folder), folder / "figures", each)
    write_report([folder])


def render(studies: Sequence[Study]) -> str:
    """The whole page."""
    labels = _labels(studies)
    views = [study_view(study, label) for study, label in zip(studies, labels, strict=True)]
    data = [study_data(study, MAX_VALUES // len(studies)) for study in studies]
    library, script = _library(), "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return filled(
        "page.html",
        title=labels[0] if len(labels) == 1 else f"{len(labels)} studies of steering",
        policy=policy(library, script),
        library=Markup(library),
        script=Markup(script),
        terms=TERMS,
        data=Markup(embedded_json({"gzip": packed({"labels": labels, "looks": page_shades(labels), "studies": data})})),
        studies=views,
        comparison=compare(studies, labels, views) if len(studies) > 1 else None,
    )


def embedded_json(value: Any) -> str:
    """JSON that is safe within a script element: no character in it can end the element, or a line of JavaScript."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.translate({ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def packed(value: Any) -> str:
    """JSON as text that is a third as long, which browsers unpack; the same of the same."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


@cache
def _library() -> str:
    """Bokeh's own JavaScript, as its Python package brings it."""
    return "\n".join(Resources(mode="inline", components=["bokeh", "bokeh-api"], log_level="error").js_raw)


def policy(*scripts: str, asks_server: bool = False) -> str:
    """What the page may do: run these scripts alone, and reach nothing outside itself, or only the server that it came from."""
    connect = "'self'" if asks_server else "'none'"
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; connect-src {connect}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _labels(studies: Sequence[Study]) -> list[str]:
    """A short name for each study: model, pairs and site, and the folder where these do not tell them apart."""
    labels = [
        " · ".join(
            (
                Path(study.summary["model"]["name"]).name,
                label_of(study.summary["settings"]["pairs"]),
                study.summary["site"]["site"],
            )
        )
        for study in studies
    ]
    return [
        label if labels.count(label) == 1 else f"{label} · {study.folder.name}"
        for label, study in zip(labels, studies, strict=True)
    ]
