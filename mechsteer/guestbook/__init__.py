"""The guestbook: a small English-like language whose every probability is known, and a model that has learnt it.

Guests review food, places, people and things. A query asks about a noun, and an answer of one to three sentences is
praise or complaint (sentiment), sure or hedged (certainty), present or past (tense), each drawn apart from the others.
"""

from pathlib import Path

from .checker import Check, check
from .entropy import answer_entropy
from .grammar import Text, log_probability, reveal, revealed, sample
from .polarity import pairs
from .words import CONCEPTS, TOPICS

NAME = "guestbook"
"""By which its model and its pairs are asked for."""
MODEL_FOLDER = Path(__file__).parent / "model"

__all__ = [
    "CONCEPTS",
    "MODEL_FOLDER",
    "NAME",
    "TOPICS",
    "Check",
    "Text",
    "answer_entropy",
    "check",
    "log_probability",
    "pairs",
    "reveal",
    "revealed",
    "sample",
]
