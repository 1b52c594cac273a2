"""Tokens as words while they come: what may be shown already, and where a stop is reached."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedTokenizerBase

HALF = "\ufffd"
"""What stands for a character of which not all tokens have come."""


@dataclass
class Words:
    """The text of the tokens so far, cut where the first of `stops` begins."""

    tokenizer: PreTrainedTokenizerBase
    stops: Sequence[str] = ()
    tokens: list[int] = field(default_factory=list)
    whole: str = ""
    told: str = ""
    is_stopped: bool = False

    def add(self, token: int) -> str:
        """What can be shown more: not what may yet become a stop or another character."""
        self.tokens.append(token)
        # Without the clean-up that closes gaps before a mark: it rewrites what has been shown.
        self.whole = str(
            self.tokenizer.decode(self.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )
        begins = [at for stop in self.stops if (at := self.whole.find(stop)) >= 0]
        if begins:
            self.is_stopped, self.whole = True, self.whole[: min(begins)]
            return self.rest()
        return self._tell(self.whole[: len(self.whole) - self._unsure()])

    def rest(self) -> str:
        """What was held back, when nothing more comes."""
        return self._tell(self.whole)

    def _tell(self, text: str) -> str:
        # What the next token may change is held back. A decoder that rewrites more than that is not followed.
        if not text.startswith(self.told):
            return ""
        more, self.told = text[len(self.told) :], text
        return more

    def _unsure(self) -> int:
        """Characters at the end that the next token may change."""
        starts = (n for stop in self.stops for n in range(1, len(stop)) if self.whole.endswith(stop[:n]))
        return max([len(self.whole) - len(self.whole.rstrip(HALF)), *starts])


def alone(tokenizer: PreTrainedTokenizerBase, before: int, token: int) -> str:
    """One token as text, as it reads after the one before it."""
    begin, both = (
        str(tokenizer.decode(ids, clean_up_tokenization_spaces=False)) for ids in ([before], [before, token])
    )
    return (
        both[len(begin) :]
        if both.startswith(begin)
        else str(tokenizer.decode([token], clean_up_tokenization_spaces=False))
    )
