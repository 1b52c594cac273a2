"""A study in plain sentences: what was studied, what a steer gains, and what each claim says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analyses.studies.finished import Study

from .numbers import shown, signed

TITLES = {
    "measurement: preference": "Preference is more than the texts' length and difficulty",
    "measurement: utility": "Utility is more than the texts' length and difficulty",
    "one_operation": "Hooks and edited weights are one operation",
    "manifold_exists: distance": "Unseen activations lie near the learnt ones",
    "manifold_exists: dimension": "Activations fill few dimensions",
    "off_manifold: growth": "Larger multipliers go further off the manifold",
    "off_manifold: explains": "At one multiplier, pairs taken further off lose more utility",
    "off_manifold: monotone": "Further off the manifold, utility is lower",
    "validity: preference": "Preference orders multipliers as the exact checker does",
    "validity: utility": "Utility orders multipliers as the exact checker does",
    "validity: level": "Fitted validity is the share of valid answers",
    "orthogonality: gradient": "The utility direction is orthogonal to the shift, by gradients",
    "orthogonality: regression": "The utility direction is orthogonal to the shift, by regression",
    "projection_gain: slope": "The projection of the shift is preference's slope at zero",
    "projection_gain: region": "The projection of the shift is the slope of the linear region",
    "linear_region: line": "Preference is a straight line around zero",
    "linear_region: tangent": "That line is the tangent at zero",
    "preference_curve: rivals": "The paper's preference curve predicts better than its rivals",
    "preference_curve: regions": "Preference grows, turns and levels off",
    "utility_curve: rivals": "The paper's utility curve predicts better than its rivals",
    "utility_curve: peak": "Utility peaks near zero",
    "transfer: preference": "Preference curves of learning pairs predict test pairs",
    "transfer: preference, shape": "Preference curves transfer in shape",
    "transfer: utility": "Utility curves of learning pairs predict test pairs",
    "transfer: utility, shape": "Utility curves transfer in shape",
    "random_control": "A random direction gains next to nothing",
    "split_wins": "SPLIT gains more than the other methods",
}
"""By the claim's name; a claim that is not here is called by its name."""
OUTCOMES = {"supported": "held", "refuted": "did not hold", "inconclusive": "undecided"}


def title(claim: str) -> str:
    """The claim in a few plain words."""
    return TITLES.get(claim, claim.replace("_", " "))


def lead(study: Study, claims: Sequence[dict[str, Any]]) -> list[str]:
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
        f"{best['intervention']} raises preference from {signed(best['preference_at_zero'])} to "
        f"{signed(best['largest_preference_within_one_nat_of_utility'])} nats while utility falls by no more than one nat "
        f"(m = {shown(best['multiplier_of_it'])}, a relative shift of {shown(best['relative_shift_of_it'])}).",
        *best["comparison"],
    ]
    if claims:
        counts = {outcome: sum(claim["outcome"] == outcome for claim in claims) for outcome in OUTCOMES}
        listed = ", ".join(f"{counts[outcome]} {words}" for outcome, words in OUTCOMES.items())
        found.append(f"Of {len(claims)} claims that were judged, {listed}.")
    return found
