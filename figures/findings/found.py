"""What findings are drawn from: a campaign, the studies of its finished cells, and how tables and pictures stand on a page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from math import isfinite
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from analyses.campaigns.campaign import Campaign
from analyses.campaigns.survey import DONE
from analyses.studies.finished import Study
from mechsteer.families import form_title
from mechsteer.measuring.sweeps import Sweep
from mechsteer.store.keys import Key

from ..campaigns import short
from ..drawing.style import style

PNG_DPI = 130


@dataclass(frozen=True)
class Cell:
    """A finished cell: where it stands in the campaign, in words, and its study."""

    name: str
    model: str
    concept: str
    condition: str
    study: Study

    @property
    def place(self) -> dict[str, str]:
        """The columns by which a table names it."""
        return {"model": self.model, "pairs": self.concept} | ({"but": self.condition} if self.condition else {})


@dataclass(frozen=True)
class Found:
    """A campaign as sections read it; models and pairs are called by their short names."""

    campaign: Campaign
    pictures: Path
    cells: tuple[Cell, ...]
    prefix: str = ""
    """What the names of pictures begin with, where several campaigns stand on a page."""
    drawn: dict[str, bytes] = field(default_factory=dict)
    """Pictures by their files' names; they are written with the page, so that a section that fails leaves the old ones."""

    @classmethod
    def of(cls, campaign: Campaign, pictures: Path, prefix: str = "") -> "Found":
        models, concepts = (short(cell[name] for cell in campaign.cells) for name in ("model", "concept"))
        cells = [
            Cell(
                cell["name"], models[cell["model"]], concepts[cell["concept"]], cell["condition"],
                Study.load(campaign.folder / cell["name"]),
            )
            for cell in campaign.cells if cell["state"] == DONE
        ]  # fmt: skip
        return cls(campaign, pictures, tuple(cells), prefix)

    @property
    def claims(self) -> pd.DataFrame:
        """Every claim of every finished cell, corrected over the campaign, without checks of the software."""
        return self._placed(self.campaign.claims.loc[~self.campaign.claims["is_check"]])

    @property
    def checks(self) -> pd.DataFrame:
        """The checks alone, such as whether means transfer from learning to test pairs."""
        return self._placed(self.campaign.claims.loc[self.campaign.claims["is_check"]])

    def _placed(self, claims: pd.DataFrame) -> pd.DataFrame:
        """Those of finished cells, with models and pairs by their short names."""
        by_name = {cell.name: cell for cell in self.cells}
        claims = claims.loc[claims["cell"].isin(list(by_name))].copy()
        claims["model"] = [by_name[name].model for name in claims["cell"]]
        claims["concept"] = [by_name[name].concept for name in claims["cell"]]
        return claims

    def picture(self, figure: Figure | None, name: str, says: str) -> str:
        """Keep a picture, and give the Markdown that shows it with its caption; "" where there is none."""
        if figure is None:
            return ""
        file, drawn = f"{self.prefix}{name}.png", BytesIO()
        with style():
            figure.savefig(drawn, dpi=PNG_DPI)
        self.drawn[file] = drawn.getvalue()
        return f"![{says}]({self.pictures.name}/{file})\n\n*{says}.* {figure.get_label()}".strip()

    def pictures_of(self, name: str, module: ModuleType, says: str, cells: Iterable[Cell]) -> list[str]:
        """One of each of these cells under the plan's usual settings that has one."""
        drawn = (
            self.picture(module.draw(cell.study), f"{cell.name}-{name}", f"{cell.model}, {cell.concept}: {says}")
            for cell in cells if not cell.condition
        )  # fmt: skip
        return [*filter(None, drawn)]


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as a table of Markdown; a column that only some have is empty in the others."""
    if not rows:
        return "Nothing is finished that could stand here."
    columns = list(dict.fromkeys(name for row in rows for name in row))
    # A pipe in a name of somebody's data would be a column.
    cells = [[str(row.get(name, "")).replace("|", "\\|") for name in columns] for row in rows]
    numeric = [all(line[at].strip("-+[], ()").replace(".", "")[:1].isdigit() or line[at] in ("", "–") for line in cells)
               for at in range(len(columns))]  # fmt: skip
    head = [columns, ["---:" if is_numeric else "---" for is_numeric in numeric]]
    return "\n".join(f"| {' | '.join(line)} |" for line in [*head, *cells])


def number(value: float | None, digits: int = 2) -> str:
    """So many decimals; what is unknown is a dash."""
    return "–" if value is None or not isfinite(value) else f"{value:.{digits}f}"


def interval(value: float | None, low: float | None, high: float | None, digits: int = 2) -> str:
    """An estimate and its interval."""
    if value is None or not isfinite(value):
        return "–"
    return f"{number(value, digits)} [{number(low, digits)}, {number(high, digits)}]"


def first_seeds(cell: Cell) -> list[Key]:
    """For each method and form that a cell compares, the steer of its first seed."""
    firsts: dict[tuple[str, str], Key] = {}
    for key in cell.study.fits:
        firsts.setdefault((key.method, key.form), key)
    return list(firsts.values())


def all_seeds(cell: Cell, method: str, form: str) -> list[Sweep]:
    """The sweeps of a method and form, one for each training seed."""
    return [sweep for sweep in cell.study.sweeps if (sweep.key.method, sweep.key.form) == (method, form)]


def steer(key: Key) -> dict[str, str]:
    """The columns that name a steer's method and form."""
    return {"method": key.method, "form": form_title(key.form)}


def place_of(claim: Mapping[str, Any]) -> dict[str, str]:
    """The columns by which a table names the cell of a claim."""
    return {"model": claim["model"], "pairs": claim["concept"]} | (
        {"but": claim["condition"]} if claim["condition"] else {}
    )


def steer_of(claim: Mapping[str, Any]) -> str:
    """What a claim is about, in words."""
    steer = (
        f"{claim['method']} {form_title(claim['form']) if claim['form'] else ''}".strip() or "the model and its pairs"
    )
    return steer + f" against {claim['against']}" * bool(claim["against"])
