"""What a finished study found: `read` gives it to programs, `told` makes two screens of it, `details` all that there is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .printing import Block, Box, Table, estimate, number, records

LABELS = {"slope_at_zero": "slope between the multipliers next to zero"} | {
    f"{name}_{side}": f"{words}, m {sign} 0"
    for side, sign in (("negative", "<"), ("positive", ">"))
    for name, words in {
        "half_nat": "half a nat lost, on a smooth curve",
        "half_lost": "half of that side's loss lost",
        "near_linear": "a tenth of the sweep's span off its tangent",
        "converges": "levels off",
    }.items()
}
"""Of properties whose name alone would say too much or too little: a curve that bends at zero has another tangent (see
`projection_gain`), the useful range is read on lines, and claims ask for a tenth of what preference rises in that range."""
MOST_FINDINGS = 2
"""Of the pairs, that are told at first sight beside those that weigh, which the box names."""


def read(folder: Path) -> dict[str, Any]:
    """The summary of a study from its folder; neither a model nor torch is needed."""
    from analyses.studies.finished import Study
    from analyses.verdict import verdicts_of

    from ..store.keys import Key

    found = Study.load(folder)
    study, sums = found.told, found.sums
    summary = study["summary"]
    key = Key.of(summary["key"])
    return {
        "folder": str(folder),
        "verdicts": [verdict.to_dict() for verdict in verdicts_of(found)],
        **{key: study[key] for key in ("command", "mechsteer", "model", "pairs", "site")},
        "curves": {"steer": key.steer} | {name: _curve(fit) for name, fit in found.fits_of(key).items()},
        "frontier": records(found.table("frontier")) if sums.has("frontier.parquet") else [],
        "tuning": records(found.table("tuning")) if sums.has("tuning.parquet") else [],
        "claims": [claim.to_dict() for claim in found.claims],
        "summary": summary,
        "findings": [finding.to_dict() for finding in found.findings],
        "seconds": study["seconds"],
        "report": str(folder / "report.html") if sums.has("report.html") else None,
        "figures": list(map(str, sums.paths("figures/*.png"))),
    }


def told(content: dict[str, Any]) -> Iterator[Block]:
    """The verdict and what it rests on, on two screens."""
    first, *others = content["verdicts"]
    yield _box(first)
    yield from (f"{item['steer']}: {item['headline']}" for item in others)
    yield " ".join(_what(content))
    known = [reason["told"] for reason in first["reasons"]]
    yield from [f"- {finding['found']}" for finding in content["findings"] if finding["found"] not in known][
        :MOST_FINDINGS
    ]
    yield ""
    if content["frontier"]:
        yield _frontier(content["frontier"])
    if content["claims"]:
        yield f"Claims supported / refuted / inconclusive: {_by_theme(content['claims'])}."
    folder = content["folder"]
    page = f"; page: {content['report']}" if content["report"] else ""
    yield f"More: mechsteer show {folder} --details, or --claim NAME{page}"


def details(content: dict[str, Any]) -> Iterator[Block]:
    """All that a study has found."""
    from ..store.keys import Key

    summary = content["summary"]
    yield from map(_box, content["verdicts"])
    yield from _what(content)
    yield f"The site: {content['site']['because']}."
    yield from (f"- {finding['found']} {finding['advice']}" for finding in content["findings"])
    yield ""
    yield from (
        f"- {verdict['steer']}, {reason['name']}: {reason['told']} {reason['advice']}"
        for verdict in content["verdicts"]
        for reason in verdict["reasons"]
    )
    yield ""
    yield _curves(content)
    if content["frontier"]:
        yield _frontier(content["frontier"])
    if content["tuning"]:
        yield _tuning(content["tuning"])
    if content["claims"]:
        yield _claims(content["claims"])
        yield f"Open one, with its table and figure: mechsteer show {content['folder']} --claim NAME\n"
    yield from (*summary["comparison"], *summary["single_pairs"], *summary["second"], *summary["coverage"])
    yield from summary["judged"]
    yield (
        f"Within {summary['useful']:g} nats of utility, {Key.of(summary['key']).steer} takes preference from "
        f"{summary['preference_at_zero']:.2f} to {summary['largest_useful_preference']:.2f} nats, and the share of pairs that "
        f"prefer the concept from {summary['accuracy_at_zero']:.2f} to {summary['accuracy_of_it']:.2f}, at "
        f"m = {summary['multiplier_of_it']:.3g} (relative shift {summary['relative_shift_of_it']:.3g})."
    )
    if summary["pairs_without_utility"]:
        yield f"Utility is undefined at some multiplier for {summary['pairs_without_utility']} pairs."
    seconds = content["seconds"]
    stages = ", ".join(f"{stage} {spent:.1f}" for stage, spent in seconds.items())
    yield f"\nSeconds by stage: {stages}; in all {sum(seconds.values()):.0f}."
    look_at = "report.html" if content["report"] else "figures/"
    yield f"Everything is in {content['folder']}; begin with its {look_at}."


def _box(verdict: dict[str, Any]) -> Box:
    return Box(verdict["ended"], verdict["headline"], [(row["label"], row["words"]) for row in verdict["told"]])


def _what(content: dict[str, Any]) -> Iterator[str]:
    """What was studied."""
    model, pairs, site = content["model"], content["pairs"], content["site"]
    yield (
        f"{model['name']} ({model['n_layers']} layers of width {model['d_model']}, {model['dtype']}), steered at "
        f"{site['site']} ({site['hook']})."
    )
    yield (
        f"{pairs['learning']['n']} pairs of {pairs['learning']['name']} to learn from, "
        f"{pairs['testing']['n']} of {pairs['testing']['name']} measured. In all {sum(content['seconds'].values()):.0f} s."
    )


def _by_theme(rows: list[dict[str, Any]]) -> str:
    """How many claims came out how, by what they are on; checks of the software are counted apart."""
    from analyses.claims import CHECKS, THEMES, theme_of

    from ..statistics.judging import Outcome

    of = [(CHECKS if row["is_check"] else theme_of(row["claim"]), row["outcome"]) for row in rows]
    counted = {theme: [str(of.count((theme, outcome.value))) for outcome in Outcome] for theme, _ in of}
    return ", ".join(f"{theme} {' / '.join(counted[theme])}" for theme in THEMES.values() if theme in counted)


def _curve(fit: dict[str, Any]) -> dict[str, Any]:
    rivals = [rival for rival in fit["rivals"] if rival["held_out_error"] is not None]
    best = min(rivals, key=lambda rival: rival["held_out_error"], default=None)
    errors = ("held_out_error", "end_error")
    return {
        "status": fit["status"],
        "variant": fit["variant"],
        **{name: fit["score"][name] for name in ("r_squared", *errors)},
        "best_rival": best and {name: best[name] for name in ("name", *errors)},
        "spline": {name: fit["spline"][name] for name in errors},
        "properties": fit["properties"],
        "fitted": {name: fit["fitted"][name] for name in fit["agreeing"]},
    }


def _curves(content: dict[str, Any]) -> Table:
    curves, summary = content["curves"], content["summary"]
    both = (curves["preference"], curves["utility"])
    rows = [
        ("at m = 0 (nats)", *(f"{summary[f'{name}_at_zero']:.2f}" for name in ("preference", "utility"))),
        ("the paper's curve", *(_fit(curve) for curve in both)),
        ("R² in sample", *(number(curve["r_squared"], 4) for curve in both)),
        ("misses unseen blocks by (nats), ends", *(_errors(curve) for curve in both)),
        ("the best rival by", *(_rival(curve["best_rival"]) for curve in both)),
        ("a spline without theory by", *(_errors(curve["spline"]) for curve in both)),
    ]
    for name in dict.fromkeys(name for curve in both for name in curve["properties"]):
        rows.append((LABELS.get(name) or name.replace("_", " "), *(_measured(curve, name) for curve in both)))
    return Table.of(f"Curves of {curves['steer']}, and what was measured", ("", "preference", "utility"), rows)


def _fit(curve: dict[str, Any]) -> str:
    status = curve["status"].lower().replace("_", " ")
    return status if curve["variant"] is None else f"{curve['variant']}, {status}"


def _rival(best: dict[str, Any] | None) -> str:
    return "-" if best is None else f"{_errors(best)} {best['name']}"


def _errors(score: dict[str, Any]) -> str:
    return f"{number(score['held_out_error'])}, {number(score['end_error'])}"


def _measured(curve: dict[str, Any], name: str) -> str:
    """What was measured, and what the fitted curve says of it where they agree."""
    measured = _property(curve["properties"].get(name))
    return measured if name not in curve["fitted"] else f"{measured} (fit {number(curve['fitted'][name]['estimate'])})"


def _property(value: dict[str, Any] | None) -> str:
    if value is None:
        return ""
    if value["estimate"] is None:
        return "beyond the sweep" if value["beyond"] else "none"
    low, high = (
        "beyond" if value["interval"][end] is None else number(value["interval"][end]) for end in ("low", "high")
    )
    return f"{number(value['estimate'])} [{low}, {high}]"


def _frontier(rows: list[dict[str, Any]]) -> Table:
    budgets = sorted({row["budget"] for row in rows} - {None})
    gained: dict[str, dict[float | None, dict[str, Any]]] = {}
    for row in rows:
        gained.setdefault(f"{row['method']} {row['form'].replace('_', ' ')}", {})[row["budget"]] = row
    return Table.of(
        "Preference gained (nats) at each loss of utility (nats); mean up to a half",
        ("steer", *(f"{budget:g}" for budget in budgets), "mean [95 %]"),
        [
            (steer, *(f"{by_budget[budget]['gained']:.1f}" for budget in budgets), _gained(by_budget[None]))
            for steer, by_budget in gained.items()
        ],
    )


def _tuning(rows: list[dict[str, Any]]) -> Table:
    n = 1 + max(row["trial"] for row in rows)
    best: dict[str, list[str]] = {}
    for row in rows:
        steer = f"{row['method']} {row['form'].replace('_', ' ')}"
        best.setdefault(steer, []).append(number(row["best_of_so_many"]))
    return Table.of(
        "What the best of so many settings gains on validation pairs (nats, mean over losses up to a half)",
        ("steer", *(str(count) for count in range(1, n + 1))),
        [(steer, *values) for steer, values in best.items()],
    )


def _gained(row: dict[str, Any]) -> str:
    return f"{row['gained']:.1f} [{row['low']:.1f}, {row['high']:.1f}]"


def _claims(rows: list[dict[str, Any]]) -> Table:
    from analyses.claims import CLAIMS

    from ..statistics.judging import Claim
    from ..store.keys import Key

    sections: dict[str, list[tuple[str, ...]]] = {}
    known = CLAIMS.members()
    for row in rows:
        claim, key = Claim.from_dict(row), Key.of(row)
        heading, label = key.steer or key.sites, claim.name
        # The site is the same for all of them.
        steer = key.without("sites").steer.replace("_", " ") or "all steers"
        if claim.is_check:
            heading, label = "checks of the software, which hold by construction", f"{claim.name}, {steer}"
        elif claim.claim in known and known[claim.claim].get("ACROSS"):
            heading, label = claim.name, steer + (f", against {claim.against}" if claim.against else "")
        found = f"{estimate(row, digits=2)} {row['unit']}"
        sections.setdefault(heading, []).append((label, row["outcome"], found))
    return Table("What holds of the paper's assumptions", ("claim", "outcome", "estimate [95 %]"), sections)
