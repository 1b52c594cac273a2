"""The families of the toolkit, each a room whose files are its members; naming and listing them needs no PyTorch."""

from pathlib import Path

from .registry import Family

_HERE = Path(__file__).parent

FORMS = Family("form", _HERE / "interventions", "mechsteer.interventions", "mechsteer.interventions.base:Shift")
"""What a shift looks like: `TITLE` and `STYLE` say how it is written and drawn."""
RULES = Family(
    "rule", _HERE / "interventions" / "rules", "mechsteer.interventions.rules",
    "mechsteer.interventions.rules.base:Rule",
)  # fmt: skip
"""How m·Δh is applied: `STRENGTH` says what m means."""
OBJECTIVES = Family(
    "objective", _HERE / "methods" / "objectives", "mechsteer.methods.objectives",
    "mechsteer.methods.objectives.base:Objective",
)  # fmt: skip
"""What training minimises; each is a method of learning by its name."""
RECIPES = Family("recipe", _HERE / "methods" / "recipes", "mechsteer.methods.recipes")
"""How training goes about it, as switches by method and form."""
METHODS = Family("method", _HERE / "methods", "mechsteer.methods")
"""Ways of learning without training: `FORMS` says which forms they give, `CONTROL` that they stand for chance."""
MANIFOLDS = Family("manifold", _HERE / "manifolds", "mechsteer.manifolds", "mechsteer.manifolds.base:Manifold")
"""Where activations may lie: `DISTANCE` is what the distance to one is called in tables."""
FORMATS = Family("format", _HERE / "formats", "mechsteer.formats")
"""Files of steers: `SUFFIXES` says what they are called."""
JUDGES = Family("judge", _HERE / "judges", "mechsteer.judges", "mechsteer.judges.base:Judge")
"""What a text is worth: `TITLE` says by whom; `MODEL` is its model if none is named, `ASKED` says that it is asked in words,
`ENDPOINT` that this is over a network, `CHECKS` that it knows the guestbooks alone."""


def form_title(name: str) -> str:
    """How a form is written, also one that a study knows and this version does not."""
    return FORMS[name].title if name in FORMS.members() else name.replace("_", " ")
