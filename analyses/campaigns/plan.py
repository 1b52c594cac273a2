"""The plan of a campaign: a TOML file with defaults, grids and overrides, and the cells that they make."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from mechsteer.errors import InputError, shown
from mechsteer.pairs.reading import label_of
from mechsteer.store.keys import digest
from mechsteer.toml import Toml, Where

from ..claims import CLAIMS
from ..studies.configuration import Given, check_name, read_table, settings_of, value_of
from ..studies.settings import Settings

TABLES = ("name", "primary", "defaults", "grid", "override")
FORMAT = 1
"""Of a campaign's folder; rises when what reads it could misread an older one."""


@dataclass(frozen=True)
class Cell:
    """One study of a campaign."""

    name: str
    """Of its folder within the campaign's."""
    settings: Settings
    condition: str
    """What the grid varies beside model, pairs and seed, in words: cells that share it are of one kind."""


@dataclass(frozen=True)
class CampaignPlan:
    """All cells, those of one model next to each other, so that each is opened once."""

    name: str
    primary: tuple[str, ...]
    """Claims that the campaign was made for, which are corrected for many tests apart from the rest, and more strictly."""
    cells: tuple[Cell, ...]
    share_of: str = ""
    """The whole plan's hash, where this is a share of it."""

    @property
    def id(self) -> str:
        """Differs where the results would; how the plan is run is no part of it, so that a share has the whole plan's."""
        return self.share_of or digest(
            [FORMAT, self.primary, [[cell.name, cell.settings.to_dict()] for cell in self.cells]]
        )

    @property
    def families(self) -> tuple[tuple[Cell, ...], ...]:
        """Cells that must follow each other in one place.

        A sweep takes up what was measured of its steer before, so that the last digits of cells that share a steer depend on
        which came first. Those learn from the same pairs, by the same model; others share nothing that was measured.
        """
        found: dict[tuple, list[Cell]] = {}
        for cell in self.cells:
            said = cell.settings
            pairs = (said.pairs, said.columns, said.group, said.limit, said.seed)
            found.setdefault((*said.opened_as, *pairs), []).append(cell)
        return tuple(map(tuple, found.values()))

    def shard(self, number: int, n: int) -> "CampaignPlan":
        """The share of one of `n` processes, from 1: whole families, those of a model together."""
        families = self.families
        chosen = families[(number - 1) * len(families) // n : number * len(families) // n]
        return self.part(tuple(cell for family in chosen for cell in family))

    def part(self, cells: tuple[Cell, ...]) -> "CampaignPlan":
        """Some of its cells, which belong to the whole plan as before."""
        return replace(self, cells=cells, share_of=self.id)


class Point(NamedTuple):
    """One combination of a grid's values."""

    where: Where
    """Of its grid."""
    axes: Mapping[str, Given]

    @property
    def values(self) -> dict[str, Any]:
        return {name: value for name, (value, _) in self.axes.items()}

    def __str__(self) -> str:
        return ", ".join(f"{name} = {_words(value)}" for name, value in self.values.items()) or "nothing of its own"


def read_plan(path: Path) -> CampaignPlan:
    """The plan in a file, or one sentence on what is wrong with it, with the line."""
    file = Toml.read(path)
    for name in file.content:
        if name not in TABLES:
            raise file.mistake(
                (name,), f"A plan has no {shown(name)!r}. Allowed are {', '.join(TABLES)}; settings stand under [defaults]."
            )  # fmt: skip
    name, primary = file.content.get("name", path.stem), file.content.get("primary", [])
    if not isinstance(name, str) or not name:
        raise file.mistake(("name",), f"'name' is {shown(repr(name))}. It must be text, in quotes.")
    defaults = read_table(file, ("defaults",)) if "defaults" in file.content else {}
    points = list(_points(file))
    made = list(zip(_settings(file, defaults, points), points, strict=True))
    if not made:
        raise InputError(f"{str(path)!r} has no cells. Give every list in [grid] one value or more.")
    seen: dict[Settings, Point] = {}
    for settings, point in made:
        if (other := seen.setdefault(settings, point)) is not point:
            raise file.mistake(
                point.where,
                f"The cell with {point} is the same study as an earlier one, with {other}. Leave one of them out.",
            )
    # Sorted by model alone: the rest stays in the order of the plan.
    models = list(dict.fromkeys(settings.opened_as for settings, _ in made))
    made.sort(key=lambda item: models.index(item[0].opened_as))
    cells = tuple(
        Cell(name, settings, _condition(point.values))
        for name, (settings, point) in zip(_names(made), made, strict=True)
    )  # fmt: skip
    return CampaignPlan(name, _primary(file, primary), cells)


def _primary(file: Toml, said: Any) -> tuple[str, ...]:
    claims = CLAIMS.members()
    parts = [f"{claim}: {part}" for claim, member in claims.items() for part in member.get("TITLES", {}) if part]
    if not isinstance(said, list):
        raise file.mistake(("primary",), f"'primary' is {shown(repr(said))}. It must be a list of claims.")
    for name in map(str, said):
        if name not in (*claims, *parts):
            close = get_close_matches(name, [*claims, *parts], 1)
            advice = (
                f"Did you mean {close[0]}?"
                if close
                else f"Allowed are {', '.join(claims)}, and parts such as {parts[0]}."
            )
            raise file.mistake(("primary",), f"There is no claim {shown(name)!r}. {advice}")
    return tuple(said)


def _points(file: Toml) -> Iterator[Point]:
    """Every combination of the values of a grid; of several grids, one after the other."""
    grids = file.content.get("grid", {})
    several = isinstance(grids, list)
    for number, grid in enumerate(grids if several else [grids]):
        where: Where = ("grid", number) if several else ("grid",)
        if not isinstance(grid, dict):
            raise file.mistake(where, "'grid' is no table. Write [grid], and under it model = [...].")
        axes = [_axis(file, (*where, name), name, values) for name, values in grid.items()]
        yield from (Point(where, dict(zip(grid, point, strict=True))) for point in product(*axes))


def _axis(file: Toml, where: Where, name: str, values: Any) -> list[Given]:
    check_name(file, where, name)
    if name == "extend":
        raise file.mistake(
            where, "Members from outside are in the whole campaign or not at all. Name them in [defaults]."
        )
    if not isinstance(values, list) or not values:
        raise file.mistake(where, f"'{name}' is {shown(repr(values))}. In a grid it must be a list of values to try.")
    return [Given(value_of(file, where, name, value), where) for value in values]


def _settings(file: Toml, defaults: Mapping[str, Given], points: Sequence[Point]) -> Iterator[Settings]:
    """Of every cell, its overrides applied one after the other; each must be for some cell."""
    given = [{**defaults, **point.axes} for point in points]
    for where, wanted, instead in _overrides(file):
        values = {name: value for name, (value, _) in wanted.items()}
        # What a cell does not say is as a study has it.
        chosen = [
            said
            for said in given
            if values == {name: said[name].value if name in said else getattr(_DEFAULTS, name) for name in wanted}
        ]
        if not chosen:
            words = ", ".join(f"{name} = {shown(_words(value))}" for name, value in values.items())
            raise file.mistake(where, f"No cell has {words}. Mend 'where', or leave this override out.")
        for said in chosen:
            said |= instead
    return (settings_of(file, said) for said in given)


def _overrides(file: Toml) -> Iterator[tuple[Where, Mapping[str, Given], Mapping[str, Given]]]:
    """Where each stands, what it is for, and what is said there instead."""
    overrides = file.content.get("override", [])
    if not isinstance(overrides, list):
        raise file.mistake(
            ("override",), "'override' is one table. Write [[override]], with 'where' and 'set' under it."
        )
    for number, override in enumerate(overrides):
        at: Where = ("override", number)
        if not isinstance(override, dict) or set(override) != {"where", "set"}:
            raise file.mistake(
                at, "An override has 'where', what cells say, and 'set', what these say instead. Give both."
            )
        yield (*at, "where"), read_table(file, (*at, "where")), read_table(file, (*at, "set"))


def _names(made: Sequence[tuple[Settings, Point]]) -> list[str]:
    """A folder's name for each cell: its model and pairs, and what else the grid varies."""
    names = [
        _slug("-".join([
            Path(settings.model).name, label_of(settings.pairs),
            *(f"{axis}-{_words(value)}" for axis, value in point.values.items() if axis not in ("model", "pairs")),
        ]))
        for settings, point in made
    ]  # fmt: skip
    count = Counter(names)
    return [
        name if count[name] == 1 else f"{name}-{digest(settings.to_dict())[:6]}"
        for name, (settings, _) in zip(names, made, strict=True)
    ]


def _condition(axes: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {_words(value)}" for name, value in axes.items() if name not in ("model", "pairs", "seed")
    )  # fmt: skip


def _words(value: Any) -> str:
    return "+".join(value) if isinstance(value, tuple) else str(value)


def _slug(words: str) -> str:
    return re.sub(r"[^a-z0-9_.+-]+", "-", words.lower())


_DEFAULTS = Settings()
