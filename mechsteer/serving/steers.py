"""The steers that an endpoint was given, by the names under which requests ask for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import InputError
from ..families import RULES
from ..interventions.audit import Audit
from ..interventions.base import Intervention
from ..measuring.drafts import Acting
from ..measuring.ordinary import OrdinaryText
from ..models.sites import POSITIONS, write_sites
from .requests import Steer


@dataclass(frozen=True, eq=False)
class Steers:
    """In the order in which they act where several do; each was found to fit the model."""

    by_name: Mapping[str, Intervention]
    ordinary: OrdinaryText | None = None
    """From which distances are measured; without it none is told."""

    def acting(self, asked: Sequence[Steer]) -> tuple[Acting, ...]:
        """What a request's steers are, in its order."""
        found = tuple(map(self._acting, asked))
        if len({acting.rank for acting in found}) < len(found):
            raise InputError(
                "The request names a steer twice with the same positions and rule. Add up its multipliers."
            )
        return found

    def _acting(self, asked: Steer) -> Acting:
        if asked.name not in self.by_name:
            known = ", ".join(self.by_name) or "none: name files by --intervention when you start the server"
            raise InputError(f"The steer {asked.name!r} is unknown. This server has {known}.")
        steer = self.by_name[asked.name]
        positions = asked.positions or steer.origin.positions
        if positions not in POSITIONS:
            raise InputError(f"The positions {positions!r} are unknown. Choose {', '.join(POSITIONS)}.")
        if asked.rule is not None:
            steer = replace(steer, rule=RULES.load(asked.rule)())
        # Drafts share what has the same rank, so it says all that may differ but the multiplier.
        rules = [str(self.by_name[asked.name].rule), *RULES.members()]
        rank = (
            list(self.by_name).index(asked.name), rules.index(asked.rule or rules[0]), POSITIONS.index(positions),
        )  # fmt: skip
        return Acting(rank, steer, asked.multiplier, positions)

    def described(self) -> list[dict[str, Any]]:
        """What they are, for those who ask which there are."""
        return [
            {
                "name": name, "method": steer.origin.method, "form": steer.form, "rule": str(steer.rule),
                "site": write_sites(steer.sites), "positions": steer.origin.positions,
            }
            for name, steer in self.by_name.items()
        ]  # fmt: skip


def told(asked: Sequence[Steer], steers: Sequence[Acting], audits: Sequence[Audit]) -> list[dict[str, Any]]:
    """What each steer did to one text: where, at how many tokens, and how large ‖shift‖/‖h‖ was."""
    return [
        {
            "name": name.name, "multiplier": acting.multiplier, "positions": acting.positions,
            "rule": str(acting.intervention.rule),
            "sites": [
                {
                    "site": str(site), "hook": site.hook, "n_positions": one.n_positions,
                    "relative_shift": {
                        "median": one.median_relative_shift, "low": one.quantile(0.05), "high": one.quantile(0.95),
                        "mean": one.mean_relative_shift, "largest": one.max_relative_shift,
                    },
                }
                for site, one in audit.at.items()
            ],
        }
        for name, acting, audit in zip(asked, steers, audits, strict=True)
    ]  # fmt: skip
