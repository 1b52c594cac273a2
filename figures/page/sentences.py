"""A study in plain sentences: what was studied, what a steer gains, and what each claim says."""

from pathlib import Path

from analyses.claims import CLAIMS
from analyses.studies.finished import Study
from mechsteer.measuring.useful import USEFUL
from mechsteer.statistics.judging import Claim
from mechsteer.store.keys import Key

from .numbers import shown, signed

OUTCOMES = {"supported": "held", "refuted": "did not hold", "inconclusive": "undecided"}


def title(claim: Claim) -> str:
    """The claim in a few plain words, as its file has them; else its name."""
    member = CLAIMS.members().get(claim.claim)
    titles = {} if member is None else member.get("TITLES", {})
    return titles.get(claim.part, claim.name.replace("_", " "))


def lead(study: Study) -> list[str]:
    """What was studied and what came out, a sentence or two each."""
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
        f"{Key.of(best['key']).steer} raises preference from {signed(best['preference_at_zero'])} to "
        f"{signed(best['largest_useful_preference'])} nats, and the share of pairs that prefer the concept from "
        f"{best['accuracy_at_zero']:.2f} to {best['accuracy_of_it']:.2f}, while utility falls by no more than {USEFUL:g} nats "
        f"(m = {shown(best['multiplier_of_it'])}, a relative shift of {shown(best['relative_shift_of_it'])}).",
        *best["comparison"],
        *best["single_pairs"],
        *best["second"],
        *best["coverage"],
    ]
    if claims := [claim for claim in study.claims if not claim.is_check]:
        counts = {outcome: sum(claim.outcome.value == outcome for claim in claims) for outcome in OUTCOMES}
        listed = ", ".join(f"{counts[outcome]} {words}" for outcome, words in OUTCOMES.items())
        n_checks = len(study.claims) - len(claims)
        passed = sum(claim.is_check and claim.outcome.value == "supported" for claim in study.claims)
        checks = f" {passed} of {n_checks} checks of the software passed." * bool(n_checks)
        found.append(f"Of {len(claims)} claims that were judged, {listed}.{checks}")
    return found


def _of_pairs(study: Study) -> list[str]:
    """What their check found, in a sentence or two; nothing where nothing was found."""
    found = " ".join(finding.found for finding in study.findings)
    return [f"The check of the pairs says: {found}"] if found else []
