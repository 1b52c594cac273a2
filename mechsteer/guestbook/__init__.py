"""The guestbook: small English-like languages whose every probability is known, and models that have learnt them.

Guests review food, places, people and things. A query asks about a noun, and an answer of one to three sentences is
praise or complaint (sentiment), sure or hedged (certainty), present or past (tense), each drawn independently from the others.
The rich guestbook (`rich/`) is a second language, in which concepts are graded and claims can fail.
"""

from pathlib import Path

from ..errors import InputError, shown
from . import grammar
from .checker import Check, check
from .entropy import answer_entropy
from .grammar import Text, log_probability, reveal, revealed, sample
from .language import Language
from .polarity import pairs
from .rich import RICH
from .words import CONCEPTS, TOPICS

NAME = "guestbook"
"""By which its model and its pairs are asked for."""
MODEL_FOLDER = Path(__file__).parent / "model"
PLAIN = Language(
    name=NAME,
    concepts=CONCEPTS,
    model_folder=MODEL_FOLDER,
    vocabulary=grammar.vocabulary,
    draw_text=grammar.draw_text,
    sample=sample,
    pairs=pairs,
    check=check,
    log_probability=log_probability,
    noun_asked=grammar.noun_asked,
    reveal=reveal,
)
LANGUAGES = {language.name: language for language in (PLAIN, RICH)}


def language_of(concept: str) -> Language:
    """The language that has a concept."""
    for language in LANGUAGES.values():
        if concept in language.concepts:
            return language
    raise InputError(f"No language of the guestbook has a concept {shown(concept)}.")


__all__ = [
    "CONCEPTS",
    "LANGUAGES",
    "MODEL_FOLDER",
    "NAME",
    "PLAIN",
    "RICH",
    "TOPICS",
    "Check",
    "Language",
    "Text",
    "answer_entropy",
    "check",
    "language_of",
    "log_probability",
    "pairs",
    "reveal",
    "revealed",
    "sample",
]
