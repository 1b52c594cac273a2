"""Every analysis, the worlds that it is tried in, and what each of its claims should come to there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

from numpy import ndarray

from analyses.claims import (
    causes,
    control,
    coverage,
    frozen_norms,
    linear_region,
    manifold_exists,
    measurement,
    off_manifold,
    one_mechanism,
    one_operation,
    orthogonality,
    preference_curve,
    projection_gain,
    settles,
    split_wins,
    transfer,
    utility_curve,
    validity,
)
from analyses.claims.result import Result
from analyses.claims.rivals import PARTS
from mechsteer.statistics.judging import Outcome

from .chance import chance
from .completions import completions
from .curves import (
    PREFERENCE,
    UTILITY,
    bowl,
    constant,
    even,
    falling_in_waves,
    flat_at_zero,
    jump,
    odd,
    saturating,
    steer,
    two_steps,
    waves,
    wide,
)
from .forms import vectors_and_lora
from .manifold import cloud, clustered, flat, make
from .methods import study
from .norms import frozen
from .operations import compared
from .panel import candidates, panel
from .readouts import QUIET, readouts

TRUE, FALSE, UNKNOWN = Outcome.SUPPORTED, Outcome.REFUTED, Outcome.INCONCLUSIVE
FEW = 12
"""Pairs, of which no claim can be decided."""
MANY = 1000
"""Pairs, of which claims on curves can be: pairs differ as on the guestbook, whose 200 are too few for some."""
TRANSFERS = ("preference", "preference, shape", "utility", "utility, shape")


@dataclass(frozen=True)
class Case:
    """A world, an analysis, and what each of its claims should come to there; `judge` is given a seed."""

    analysis: ModuleType
    world: str
    judge: Callable[[int], Result]
    truth: dict[str, Outcome]


def _cases(
    analysis: ModuleType,
    worlds: Mapping[str, tuple[Callable[..., Any], Mapping[str, Outcome]]],
    few: int = FEW,
) -> list[Case]:
    """A case for each world, built from a seed, and the first one with too few pairs."""
    first, (build, claims) = next(iter(worlds.items()))
    too_few = {f"{first.split(';')[0]}; {few} units": (partial(build, n_pairs=few), dict.fromkeys(claims, UNKNOWN))}
    return [
        Case(
            analysis,
            world,
            lambda seed, build=build: analysis.run(build(seed=seed)),
            {f"{analysis.NAME}: {claim}" if claim else analysis.NAME: outcome for claim, outcome in truth.items()},
        )
        for world, (build, truth) in ({**worlds, **too_few}).items()
    ]


def _lower(curve: Callable[[ndarray], ndarray]) -> Callable[[ndarray], ndarray]:
    """As a utility: of completions that are not likely."""
    return lambda multipliers: curve(multipliers) - 50


CASES = [
    *_cases(
        measurement,
        {
            "log-odds have nothing to do with length; 200 pairs": (
                partial(steer, n_pairs=200),
                {"preference": TRUE, "utility": TRUE},
            ),
            "length is 80 % of their variance": (
                partial(steer, n_pairs=100, by_length=0.8),
                {"preference": FALSE, "utility": FALSE},
            ),
            "log-odds have nothing to do with length, which 20 pairs could not tell": (
                partial(steer, n_pairs=20),
                {"preference": UNKNOWN, "utility": UNKNOWN},
            ),
        },
    ),
    *_cases(
        coverage,
        {
            "others do as the pairs, a second set that is harder by two nats too; a third of the guestbook's scatter": (
                partial(completions, harder=2.0, scatter=0.3),
                dict.fromkeys([part for part in coverage.TITLES if part != "odds, sampled"], TRUE),
            ),
            "others do as the pairs, and hardly scatter": (
                partial(completions, scatter=0.1),
                {"odds, sampled": TRUE},
            ),
            "others gain half as much": (
                partial(completions, 0.5, scatter=0.3),
                dict.fromkeys(("preference, sampled", "odds, sampled", "preference, second pairs"), FALSE),
            ),
            "others lose four times as much": (
                partial(completions, lost=4.0, scatter=0.3),
                {
                    "utility, sampled": FALSE,
                    "utility, second pairs": FALSE,
                    "preference, sampled": TRUE,
                    "preference, second pairs": TRUE,
                },
            ),
            "others gain and lose thrice as much, and no checker tells sides": (
                partial(completions, 3.0, 3.0, checked=False, scatter=0.3),
                dict.fromkeys(("loss, sampled", "preference, second pairs", "utility, second pairs"), FALSE),
            ),
        },
    ),
    *_cases(
        one_operation,
        {
            "an affine layer": (compared, {"": TRUE}),
            "an intervention that leaves half of the tokens alone": (partial(compared, gated=True), {"": FALSE}),
        },
    ),
    *_cases(
        manifold_exists,
        {
            "a torus of dimension 2 in 16": (make, {"distance": TRUE, "dimension": TRUE}),
            "a linear subspace of dimension 3, filled evenly; 2,000 learning tokens, 80 pairs": (
                partial(make, points=flat, n_pairs=80, n_learning=2000),
                # Of few dimensions, but no fewer than its covariance says.
                {"distance": FALSE, "dimension": FALSE},
            ),
            "a Gaussian in all directions": (partial(make, points=cloud), {"distance": FALSE, "dimension": FALSE}),
            "a Gaussian cloud for each token, all directions; nearer than one Gaussian; 2,000 learning tokens": (
                partial(clustered, n_learning=2000),
                {"distance": FALSE, "dimension": FALSE},
            ),
            "the same clouds, too few tokens to see a surface in one": (clustered, {"distance": UNKNOWN}),
        },
    ),
    *_cases(
        off_manifold,
        {
            "utility decays with a pair's own distance, which grows with m": (
                # What |m| would say as well is no witness of distance.
                make,
                {"growth": TRUE, "explains": TRUE, "monotone": UNKNOWN},
            ),
            "it does, and a larger m takes three pairs in ten less far; 200 pairs": (
                partial(make, turned_back=0.3, n_pairs=200),
                {"explains": TRUE, "monotone": TRUE},
            ),
            "a larger m takes three pairs in ten less far, and utility decays with m alone; 200 pairs": (
                partial(make, turned_back=0.3, decay_by_distance=0.0, n_pairs=200),
                {"explains": FALSE, "monotone": FALSE},
            ),
            "it decays with the size of m alone, each pair at a pace that is not its distance; 200 pairs": (
                partial(make, decay_by_distance=0.0, n_pairs=200),
                {"growth": TRUE, "explains": FALSE, "monotone": UNKNOWN},
            ),
            "steered onto other points of the manifold; 200 pairs": (
                partial(make, steered_onto_manifold=True, n_pairs=200),
                # What distances hardly differ by, their order over multipliers does not tell either.
                {"growth": FALSE, "explains": UNKNOWN, "monotone": UNKNOWN},
            ),
            "utility decays with a pair's own distance, but all pairs are shifted alike; 200 pairs": (
                partial(make, spread=0.0, n_pairs=200),
                {"growth": TRUE, "explains": UNKNOWN, "monotone": UNKNOWN},
            ),
            "their shifts differ by 3 %, which their distances hardly show; 200 pairs": (
                partial(make, spread=0.03, n_pairs=200),
                {"growth": TRUE, "explains": UNKNOWN, "monotone": UNKNOWN},
            ),
            "utility is highest where m = 3; 200 pairs": (
                partial(make, centre=3.0, n_pairs=200),
                {"growth": TRUE, "monotone": FALSE},
            ),
        },
    ),
    *_cases(
        validity,
        {
            "answers stay valid as far as log-odds promise; 200 answers and pairs": (
                partial(make, nats=2.0, n_pairs=200),
                {"preference": TRUE, "utility": TRUE, "level": TRUE},
            ),
            "log-odds promise twice the range in which answers stay valid; 64 answers, 200 pairs": (
                partial(make, nats=2.0, promised=2.0, n_answers=64, n_pairs=200),
                {"preference": TRUE, "utility": TRUE, "level": FALSE},
            ),
            "log-odds promise half of it; 64 answers, 200 pairs": (
                partial(make, nats=2.0, promised=0.5, n_answers=64, n_pairs=200),
                {"preference": TRUE, "utility": TRUE, "level": FALSE},
            ),
            "answers stay valid as far as log-odds promise; 16 answers": (
                partial(make, nats=2.0, n_answers=16),
                {"level": UNKNOWN},
            ),
            "valid answers become more with m, their concept comes and goes": (
                partial(make, valid="rises"),
                {"preference": FALSE, "utility": FALSE, "level": FALSE},
            ),
        },
    ),
    *_cases(
        orthogonality,
        {
            "ω_p along Δh, cos(ω_u, ω_p) = 0; 200 pairs that hardly differ": (
                partial(readouts, noise=QUIET),
                {"small": TRUE, "special": TRUE},
            ),
            "ω_p along Δh, cos(ω_u, ω_p) = 0.3; 200 pairs": (
                partial(readouts, utility=0.3),
                {"small": FALSE, "special": FALSE},
            ),
            "ω_p along Δh, cos(ω_u, ω_p) = 0.6; 200 pairs": (
                partial(readouts, utility=0.6),
                {"small": FALSE, "special": FALSE},
            ),
            "ω_u across nearly all that activations do, and Δh one of those directions; 200 pairs": (
                partial(readouts, utility=0.4, within=0.1, n_filled=8, noise=0.05),
                {"small": TRUE, "special": FALSE},
            ),
            "Δh across ω_u, and nearly as much across ω_p; 200 pairs that hardly differ": (
                partial(readouts, utility=0.003, preference=0.01, noise=0.006),
                {"small": FALSE, "special": TRUE},
            ),
            "Δh across ω_p, so that preference does not change; 200 pairs": (
                partial(readouts, utility=0.3, preference=0.0),
                {"small": UNKNOWN, "special": FALSE},
            ),
            "cos(ω_u, ω_p) = 0, and the gradients of single pairs are nearly all noise; 200 pairs": (
                partial(readouts, noise=10.0),
                {"small": UNKNOWN, "special": UNKNOWN},
            ),
        },
    ),
    *_cases(
        projection_gain,
        {
            "ω_pᵀ Δh is the slope of a line that levels off": (
                partial(steer, saturating, wide),
                {"slope": TRUE, "region": TRUE},
            ),
            "ω_pᵀ Δh is a fifth of it": (
                partial(steer, saturating, wide, projected=0.2),
                {"slope": FALSE, "region": FALSE},
            ),
            "a line but for its slope at zero, which is ω_pᵀ Δh": (
                partial(steer, flat_at_zero, wide),
                {"slope": TRUE, "region": FALSE},
            ),
            "preference does not change": (partial(steer, constant, wide), {"slope": UNKNOWN, "region": UNKNOWN}),
        },
    ),
    *_cases(
        linear_region,
        {
            "a line that levels off; 1,000 pairs": (
                partial(steer, saturating, wide, n_pairs=MANY),
                {"line": TRUE, "tangent": TRUE},
            ),
            "a line but for its slope at zero": (partial(steer, flat_at_zero, wide), {"line": TRUE, "tangent": FALSE}),
            "a line on each side of zero, and none through it": (
                partial(steer, bowl, wide),
                {"line": FALSE, "tangent": FALSE},
            ),
            "a jump at zero": (partial(steer, jump, wide), {"line": FALSE, "tangent": FALSE}),
            "a line beyond the useful range, waves within it": (
                partial(steer, waves),
                {"line": FALSE, "tangent": FALSE},
            ),
            "preference does not change": (partial(steer, constant, wide), {"line": UNKNOWN, "tangent": UNKNOWN}),
        },
    ),
    *_cases(
        preference_curve,
        {
            "eq. 15, level at both ends; 1,000 pairs": (
                partial(steer, n_pairs=MANY),
                dict.fromkeys((*PARTS[:2], "regions"), TRUE),
            ),
            "two logistic steps, the second not over at the end": (
                partial(steer, two_steps),
                {"best of rivals": FALSE, "regions": FALSE},
            ),
            "waves": (partial(steer, waves), {"adequate": FALSE, "adequate, whole sweep": FALSE}),
        },
    ),
    *_cases(
        utility_curve,
        {
            "eq. 17, highest around zero; 1,000 pairs": (
                # Whether it is adequate in the useful range alone takes more pairs than these (families.py).
                partial(steer, n_pairs=MANY),
                dict.fromkeys((*PARTS[1:], "peak"), TRUE),
            ),
            "two logistic steps, highest at the end; 1,000 pairs": (
                partial(steer, utility=_lower(two_steps), n_pairs=MANY),
                {"peak": FALSE},
            ),
            "waves; 1,000 pairs": (
                partial(steer, utility=falling_in_waves, n_pairs=MANY),
                {"adequate": FALSE, "adequate, whole sweep": FALSE},
            ),
        },
    ),
    *_cases(
        transfer,
        {
            "learning and test pairs follow the same curves": (steer, dict.fromkeys(TRANSFERS, TRUE)),
            "those of the learning pairs are lower and less high": (
                partial(steer, learning=(lambda m: 4 + 0.3 * PREFERENCE(m), lambda m: -60 + 0.5 * UTILITY(m))),
                dict(zip(TRANSFERS, (FALSE, TRUE, FALSE, TRUE), strict=True)),
            ),
            "they are odd where those of the test pairs are even, or peak elsewhere": (
                partial(steer, even, learning=(odd, lambda m: UTILITY(m - 4))),
                dict.fromkeys(TRANSFERS, FALSE),
            ),
        },
    ),
    *_cases(
        causes,
        {
            "distance does harm, whatever the output makes of it; 32 answers to each": (
                partial(panel, n_answers=32),
                {"": TRUE},
            ),
            "the Fisher form does harm, and distance goes with it; 24 directions of a family": (
                partial(panel, 0.0, fisher=1.5, alike=0.7, n_pairs=24),
                {"": FALSE},
            ),
            "what leads further off does less harm": (partial(panel, -1.5, fisher=1.0, alike=-0.5), {"": FALSE}),
            "distance does harm in one metric, and the reverse in another": (
                partial(panel, agree=-0.95),
                {"": UNKNOWN},
            ),
            "distance does harm, but two halves of the tokens do not agree on it": (
                partial(panel, halves=3.0),
                {"": UNKNOWN},
            ),
        },
        few=3,
    ),
    *_cases(
        settles,
        {
            "both lose nothing, and one gains three nats; 200 pairs and answers": (
                partial(candidates, n_pairs=200),
                {"harmless displacement": TRUE, "free preference": TRUE},
            ),
            "both lose three tenths of a nat": (
                partial(candidates, 0.3),
                {"harmless displacement": FALSE, "free preference": FALSE},
            ),
            "neither loses anything, and half of the answers are invalid": (
                partial(candidates, harm=0.5),
                {"harmless displacement": FALSE, "free preference": FALSE},
            ),
            "neither loses anything, and nothing is gained; 200 pairs and answers": (
                partial(candidates, gained=0.2, n_pairs=200),
                {"harmless displacement": TRUE, "free preference": FALSE},
            ),
        },
    ),
    *_cases(
        one_mechanism,
        {
            "a LoRA loses utility at the shifts at which vectors do": (
                partial(vectors_and_lora, vectors_apart=0.05),
                dict.fromkeys(one_mechanism.SIDES, TRUE),
            ),
            "it loses it at two thirds of these shifts": (
                partial(vectors_and_lora, 2 / 3, vectors_apart=0.05),
                dict.fromkeys(one_mechanism.SIDES, FALSE),
            ),
            "it loses it at three halves of these shifts, where m is positive": (
                partial(vectors_and_lora, 3 / 2, one_side=True, vectors_apart=0.05),
                {"m < 0": TRUE, "m > 0": FALSE},
            ),
            "its shifts are nine times as long on a tenth of the pairs, which lose no more for it": (
                partial(vectors_and_lora, vectors_apart=0.05, ruled=9.0),
                dict.fromkeys(one_mechanism.SIDES, FALSE),
            ),
            "a LoRA does as vectors do; 60 pairs": (
                partial(vectors_and_lora, vectors_apart=0.05, n_pairs=60),
                dict.fromkeys(one_mechanism.SIDES, UNKNOWN),
            ),
        },
    ),
    *_cases(
        frozen_norms,
        {
            "freezing changes nothing but single pairs; 100 pairs": (
                partial(frozen, n_pairs=100),
                {"preference": TRUE, "utility": TRUE},
            ),
            "it changes a third of what steering does": (
                partial(frozen, 1 / 3),
                {"preference": FALSE, "utility": FALSE},
            ),
            "it changes nothing of preference, and doubles what is lost": (
                partial(frozen, 0.0, other=1.0),
                {"preference": TRUE, "utility": FALSE},
            ),
            "it changes single pairs by as much as steering does, and the mean by nothing": (
                partial(frozen, own=1.0),
                {"preference": UNKNOWN, "utility": UNKNOWN},
            ),
            "it changes half of what steering does, all on pairs whose norms sinks rule, a tenth; 200 pairs": (
                partial(frozen, 0.5, sinks=0.1, n_pairs=200),
                {"preference": FALSE, "utility": FALSE},
            ),
        },
    ),
    *_cases(
        control,
        {
            "a steer that gains six standard deviations of chance": (partial(chance, 6.0), {"": TRUE}),
            "a steer that gains nothing": (partial(chance, 0.0), {"": FALSE}),
        },
    ),
    *_cases(
        split_wins,
        {
            "SPLIT gains half more, with three training seeds": (
                partial(study, {"SPLIT": 9.0, "SFT": 6.0}, n_seeds=3, seed_spread=0.05),
                {"": TRUE},
            ),
            "SPLIT gains a third less, with three training seeds": (
                partial(study, {"SPLIT": 6.0, "SFT": 9.0}, n_seeds=3, seed_spread=0.05),
                {"": FALSE},
            ),
            "both gain as much, but for the luck of two training seeds": (
                partial(study, {"SPLIT": 6.0, "SFT": 6.0}, n_seeds=2, seed_spread=0.2),
                {"": UNKNOWN},
            ),
            "SPLIT gains half more, with one training seed": (
                partial(study, {"SPLIT": 9.0, "SFT": 6.0}),
                {"": UNKNOWN},
            ),
        },
    ),
]
