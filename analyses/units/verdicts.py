"""A claim, judged by what it needs: one steer's evidence, all sweeps, or a table."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mechsteer.errors import InputError
from mechsteer.families import MANIFOLDS
from mechsteer.measuring.sweeps import Sweep
from mechsteer.models.sites import parse_sites
from mechsteer.statistics.judging import Claim
from mechsteer.store.atomic import write_json
from mechsteer.store.units import Bench, Unit

from ..claims import CLAIMS
from ..claims.result import Result, undecided
from ..claims.verdict import judge
from ..evidence.evidence import why_none
from ..evidence.scores import Judged
from .evidence import Chance, Collect, Cover, EditWeights, FreezeNorms
from .judged import Score
from .panels import Panel
from .sweeps import Measure

TableGiven = EditWeights | Chance | Cover | FreezeNorms | Panel
"""What makes one table, by which a claim is judged."""
Given = Collect | TableGiven | tuple[Measure, ...] | Measure | Score | tuple[Score, ...]
"""What a claim is judged by; the sweep alone of a steer of which there can be no evidence."""


@dataclass(frozen=True)
class Judge(Unit[Result]):
    """One analysis; its claims are not yet corrected for how many a study judges."""

    claim: str
    code: str
    """Of the claim's file: its version, or its content where it is from outside the tree, as any manifold's there."""
    given: Given
    seed: int

    kind = "claim"
    version = 9

    @classmethod
    def by(cls, claim: str, given: Given, seed: int) -> "Judge":
        member = CLAIMS[claim]
        foreign = "".join(manifold.content for manifold in MANIFOLDS.members().values())
        return cls(claim, (member.code or "1") + foreign, given, seed)

    @property
    def words(self) -> str:
        return f"the claim {self.claim}"

    def compute(self, at: Bench) -> Result:
        if isinstance(self.given, (tuple, Score)):
            try:
                given = _of_several(self.given, at)
            except InputError as error:
                of = self.given if isinstance(self.given, Score) else self.given[0]
                return Result((undecided(self.claim, "", of.result, "", str(error)),))
        elif isinstance(self.given, TableGiven):
            found = at.get(self.given)
            if found.because:
                return Result((undecided(self.claim, "", self.given.result, "", found.because),))
            (given,) = found.tables.values()
        elif isinstance(self.given, Measure):
            sites, rule = parse_sites(self.given.steer.sites), self.given.steer.rule
            return Result((undecided(self.claim, "", self.given.result, "", why_none(sites, rule)),))
        else:
            given = at.get(self.given)
        return judge(CLAIMS[self.claim], given, self.seed)

    def save(self, value: Result, folder: Path) -> None:
        write_json([claim.to_dict() for claim in value.claims], folder / "claims.json")
        for name, table in value.tables.items():
            table.to_parquet(folder / f"{name}.parquet", index=False)

    def load(self, folder: Path) -> Result:
        rows = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
        tables = {path.stem: pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))}
        return Result(tuple(Claim.from_dict(row) for row in rows), tables)


def _of_several(given: Score | tuple[Measure | Score, ...], at: Bench) -> Judged | list[Judged] | list[Sweep]:
    """Sweeps, or what a judge says of one steer's texts or of several."""
    if isinstance(given, Score):
        return given.judged(at)
    return [unit.judged(at) if isinstance(unit, Score) else at.get(unit) for unit in given]  # type: ignore[return-value]
