"""The rich guestbook: a language in which claims can fail, since concepts are graded, lean to a side, and go along with mistakes.

Guests praise or complain, are sure or hedge, speak formally or not, each to a degree, and every cue of it is weak. How
common a side is depends on what is spoken of. Careless guests put verbs into the wrong number; praise goes along with valid
answers by 0.6, assurance by 0.3, and register not at all. The time of the year is an angle that words follow around a ring.
"""

from pathlib import Path

from ..language import Language
from .checker import check
from .grammar import draw_text, log_probability, noun_asked, reveal, sample, vocabulary
from .polarity import pairs
from .words import CONCEPTS

RICH = Language(
    name="guestbook-rich",
    concepts=CONCEPTS,
    model_folder=Path(__file__).parent / "model",
    vocabulary=vocabulary,
    draw_text=draw_text,
    sample=sample,
    pairs=pairs,
    check=check,
    log_probability=log_probability,
    noun_asked=noun_asked,
    reveal=reveal,
)

__all__ = ["RICH"]
