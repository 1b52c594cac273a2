"""Templates of pages, filled: each is one file with its style, and what it is given is escaped."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from .looks import palette

HERE = Path(__file__).parent


def filled(name: str, *, policy: str, **given: Any) -> str:
    """A template's page, under a policy of what it may load; `style.css` is in it, after the colours that mean something."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style = Markup(palette() + (HERE / "style.css").read_text(encoding="utf-8"))
    return environment.get_template(name).render(policy=policy, style=style, **given)
