"""The paper's claims, a file each: `run` judges what its file says it `NEEDS`, and constants say the rest.

`THEME` is what the claim is about. `SCOPE` is "steer" (each steer that claims are asked of), "model" (once, for the model, its
pairs and the site), "study" (all sweeps together) or "first" (one steer, to look at). `NEEDS` is "evidence", "sweeps",
"one_operation", "chance", "coverage", "frozen_norms", "panel", "scores" (of one steer's texts, by the first judge) or
"all_scores". `TITLES` holds what each part of the claim says, in plain words; `FIGURE` the figure that shows what decided it,
`TABLES` where its numbers lie if not in tables named like it, `ACROSS` that each row is about another steer. `BOUNDS` are where
an estimate is judged, by part, if its interval is read against bounds of its own scale; clearing one of them decides the parts
in `EITHER`; the interval is over pairs, or over what `OVER` names. `CHECKS` are parts that hold by construction and test the
software: they are told apart from claims. A claim that is a `GATE` must be supported, or nothing else is judged of its steer.
`VERSION` rises when its verdicts change. A file outside the tree that `DRAWS` holds its own figure: `numbers` and `draw`, as in
the room of figures.
"""

from pathlib import Path

from mechsteer.registry import Family

CLAIMS = Family("claim", Path(__file__).parent, "analyses.claims")
THEMES = {
    "chance": "against chance",
    "measurement": "what is measured",
    "curves": "the paper's curves",
    "mechanism": "the mechanism",
    "methods": "methods",
    "": "other",
    "check": "the software (checks)",
}
"""What claims are about, in the order in which they are told. A claim's file names one, or none; checks stand apart."""
CHECKS = THEMES["check"]


def theme_of(claim: str) -> str:
    """What a claim is about, by its analysis."""
    member = CLAIMS.members().get(claim)
    return THEMES.get(member.get("THEME", "") if member else "", THEMES[""])
