"""What a study is asked to do, in words that can be written down and repeated."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from mechsteer.errors import InputError
from mechsteer.interventions import FORMS
from mechsteer.methods import OBJECTIVES
from mechsteer.models.prompts import FORMATS
from mechsteer.models.sites import Site

METHODS = ("DiffMean", "Random", *OBJECTIVES)
VECTORS = ("DiffMean", "Random")
"""Methods that need no training, and give vectors."""


@dataclass(frozen=True)
class Settings:
    """The options of `mechsteer study`; the defaults are the embedded default."""

    model: str = "guestbook"
    pairs: str = "guestbook/sentiment"
    test_pairs: str | None = None
    columns: tuple[str, ...] = ()
    """As "ours=theirs", of the files of pairs and of test pairs."""
    group: str | None = None
    site: str = "auto"
    multipliers: str = "auto"
    format: str = "raw"
    methods: tuple[str, ...] = ("DiffMean", "Random", "SFT", "RePS", "SPLIT")
    forms: tuple[str, ...] = ("vector", "lora", "local_weight")
    seeds: int = 1
    steps: int = 150
    other_pairs: tuple[str, ...] = ()
    claims: tuple[str, ...] = ("DiffMean-vector",)
    seed: int = 0
    device: str | None = None
    dtype: str | None = None

    def __post_init__(self):
        parse_columns(self.columns)
        if self.site != "auto":
            Site.parse(self.site)
        if self.multipliers != "auto":
            parse_multipliers(self.multipliers)
        for name, value, known in (
            ("format", [self.format], FORMATS),
            ("method", self.methods, METHODS),
            ("form", self.forms, FORMS),
        ):
            if unknown := [item for item in value if item not in known]:
                raise InputError(f"The {name} {unknown[0]!r} is unknown. Choose {', '.join(known)}.")
        trained = [method for method in self.methods if method not in VECTORS]
        if not self.methods or not self.forms or (not trained and "vector" not in self.forms):
            raise InputError("No steer is left to study: name at least one method and one form (DiffMean is a vector).")
        for name in self.claims:
            method, _, form = name.partition("-")
            if method not in METHODS or form not in FORMS:
                raise InputError(
                    f"The steer {name!r} is not METHOD-FORM. Write for example DiffMean-vector,SPLIT-lora."
                )
        if self.seeds < 1 or self.steps < 1:
            raise InputError(f"{self.seeds} seeds of {self.steps} steps came. Both must be at least one.")

    @property
    def command(self) -> str:
        """The command line that repeats the study."""
        options = [
            f"--{item.name.replace('_', '-')}={shlex.quote(_text(getattr(self, item.name)))}"
            for item in fields(self)
            if getattr(self, item.name) != item.default
        ]
        return " ".join(["mechsteer study", *options])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def parse_columns(columns: Sequence[str]) -> dict[str, str]:
    """Our name of each column, and the file's own, from "ours=theirs"."""
    found = {}
    for item in columns:
        ours, _, theirs = item.partition("=")
        if not (ours and theirs):
            raise InputError(f"The column {item!r} is not OURS=THEIRS. Write query=prompt,positive=good,negative=bad.")
        found[ours] = theirs
    return found


def parse_multipliers(text: str) -> np.ndarray:
    """Read "LO:HI:N", N evenly spaced multipliers from LO to HI; zero, the base model, always comes along."""
    try:
        low, high, n = text.split(":")
        grid = np.linspace(float(low), float(high), int(n))
    except ValueError as error:
        raise InputError(f"The multipliers {text!r} are not LO:HI:N. Write for example -4:4:41, or auto.") from error
    if not np.isfinite(grid).all() or len(grid) < 2 or grid[0] >= grid[-1]:
        raise InputError(
            f"The multipliers {text!r} do not rise from LO to HI in N >= 2 steps. Write for example -4:4:41."
        )
    return np.union1d(grid, [0.0])
