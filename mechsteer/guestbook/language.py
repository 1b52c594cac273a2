"""A language of the guestbook: what a study, a judge and the training of a model need to know of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ..pairs.polarity import Pairs
from .checker import Check
from .pages import Text
from .words import Noun


@dataclass(frozen=True)
class Language:
    """Functions over one grammar; each is documented where it is defined."""

    name: str
    """By which its model is asked for; NAME/CONCEPT asks for pairs."""
    concepts: tuple[str, ...]
    """No two languages share one, so that a concept tells its language."""
    model_folder: Path
    vocabulary: Callable[[], tuple[str, ...]]
    draw_text: Callable[[Random], Text]
    sample: Callable[..., tuple[Text, ...]]
    pairs: Callable[..., Pairs]
    check: Callable[[str, str], Check]
    log_probability: Callable[[str, str], float]
    noun_asked: Callable[[str], Noun]
    reveal: Callable[[str, int], str]
