"""A study in plain sentences: what was studied, what came out beside the verdict, and what each claim says."""

from pathlib import Path

from analyses.claims import CLAIMS
from analyses.studies.finished import Study
from mechsteer.statistics.judging import Claim, Outcome

OUTCOMES = [outcome.value for outcome in Outcome]


def title(claim: Claim) -> str:
    """The claim in a few plain words, as its file has them; else its name."""
    member = CLAIMS.members().get(claim.claim)
    titles = {} if member is None else member.get("TITLES", {})
    return titles.get(claim.part, claim.name.replace("_", " "))


def lead(study: Study) -> list[str]:
    """What was studied and what came out beside the verdict, a sentence or two each."""
    model, pairs, best = study.summary["model"], study.summary["pairs"], study.summary["summary"]
    site, n = study.summary["site"], max(len(sweep.multipliers) for sweep in study.sweeps)
    because = site["because"]
    steers = "1 steer was" if len(study.sweeps) == 1 else f"{len(study.sweeps)} steers were"
    found = [
        f"{Path(model['name']).name}, a model of {model['n_layers']} layers of width {model['d_model']}, was steered at "
        f"{site['site']} ({site['hook']}, layers counted from 0)"
        f"{'.' if because == 'as asked' else f', chosen because {because}.'} "
        f"{steers} learnt from {pairs['learning']['n']} pairs of {pairs['learning']['name']} and measured on "
        f"{pairs['testing']['n']} other pairs at {n} multipliers.",
        *_of_pairs(study),
        *best["comparison"],
        *best["single_pairs"],
        *best["second"],
        *best["coverage"],
        *best["judged"],
    ]
    if claims := [claim for claim in study.claims if not claim.is_check]:
        listed = ", ".join(f"{sum(claim.outcome.value == name for claim in claims)} {name}" for name in OUTCOMES)
        n_checks = len(study.claims) - len(claims)
        passed = sum(claim.is_check and claim.outcome.value == "supported" for claim in study.claims)
        checks = f" {passed} of {n_checks} checks of the software passed." * bool(n_checks)
        found.append(f"Of {len(claims)} claims that were judged, {listed}.{checks}")
    return found


def _of_pairs(study: Study) -> list[str]:
    """What their check found, in a sentence or two; nothing where nothing was found."""
    found = " ".join(finding.found for finding in study.findings)
    return [f"The check of the pairs says: {found}"] if found else []
