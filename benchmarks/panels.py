"""Does distance from the manifold tell what harms? The panel at every layer of a model, by metric.

`python benchmarks/panels.py --model MODEL --pairs PAIRS` prints, in Markdown, for the residual stream after each block (or for
`--sites`) rank correlations over directions of equal length, where the median one loses half a nat: of each distance with the
incoherence of what is written, given the Fisher form, and with what pairs lose; and how the claim `causes` would be judged.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tables import head, line  # noqa: E402

import mechsteer as ms  # noqa: E402
from analyses.claims import causes  # noqa: E402
from analyses.evidence import panel  # noqa: E402
from mechsteer import guestbook  # noqa: E402
from mechsteer.manifolds.metrics import METRICS  # noqa: E402
from mechsteer.models.sites import parse_sites  # noqa: E402
from mechsteer.store.keys import Key, labelled  # noqa: E402

SHOWN = (*(f"{causes.DISTANCE}, {metric}" for metric in METRICS), *causes.FREE_OF_METRIC)


def main(
    model: Annotated[str, typer.Option(help="A hub name, a folder, or guestbook.")] = "guestbook",
    pairs: Annotated[str, typer.Option(help="Pairs, half of which make the manifold.")] = "guestbook/sentiment",
    sites: Annotated[str, typer.Option(help="Places, with commas; by default resid_post of every layer.")] = "",
    n_directions: Annotated[int, typer.Option(help="About so many directions.")] = 64,
) -> None:
    opened = ms.load_model(model)
    ms.use_threads_for(opened)
    learning, testing = ms.load_pairs(pairs).split(0.5, seed=0)
    concept = pairs.split("/")[1] if pairs.startswith(f"{guestbook.NAME}/") else ""
    others = [ms.load_pairs(f"{guestbook.NAME}/{name}") for name in guestbook.CONCEPTS if concept and name != concept]
    places = parse_sites(sites) if sites else [ms.Site(layer, "resid_post") for layer in range(opened.n_layers)]
    print(head("site", "distance", "reliability", "with incoherence", "given the Fisher form", "with what pairs lose"))
    for site in places:
        table = panel.measure(
            opened, site, learning, testing, others, concept=concept, n_directions=n_directions
        )  # fmt: skip
        result = causes.run(labelled(table, Key(model=opened.name, sites=str(site))))
        for row in result.tables["predictors"].set_index("predictor").reindex(SHOWN).dropna(how="all").itertuples():
            cells = [
                f"{row.reliability:.2f}",
                _interval(row, ""),
                _interval(row, "given_fisher_"),
                f"{row.with_lost:+.2f}",
            ]
            print(line(str(site), str(row.Index), *cells))
        (claim,) = result.claims
        print(line(str(site), f"causes: {claim.outcome.value}", "", "", "", ""), flush=True)


def _interval(row, name: str) -> str:
    return f"{getattr(row, f'{name}estimate'):+.2f} [{getattr(row, f'{name}low'):+.2f}, {getattr(row, f'{name}high'):+.2f}]"


if __name__ == "__main__":
    typer.run(main)
