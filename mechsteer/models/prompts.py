"""From the text of a pair to token ids, with the query's end on a token boundary, always."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import cast

from transformers import PreTrainedTokenizerBase

from ..errors import InputError
from ..pairs.polarity import Pairs, PolarityPair
from .chat import ChatTemplate, Turn
from .model import Model
from .prompt_format import PromptFormat
from .vocabulary import check_known

_log = logging.getLogger("mechsteer")


@dataclass(frozen=True)
class EncodedPair:
    """A pair's two texts as token ids; each completion begins at index `begin`, and what stands before is shared, unless the
    negative one answers a query of its own."""

    id: str
    begin: int
    positive: tuple[int, ...]
    negative: tuple[int, ...]
    moved: bool = False
    """Whether `begin` lies before the end of the query's text, because a token spans both."""
    negative_begin: int | None = None
    """Where the negative completion begins, if queries differ."""

    @property
    def begins(self) -> tuple[int, int]:
        """Where each completion begins."""
        return self.begin, self.begin if self.negative_begin is None else self.negative_begin

    @property
    def texts(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Both, the positive one first."""
        return self.positive, self.negative

    @property
    def counts(self) -> tuple[int, int]:
        """Tokens of each completion."""
        positive, negative = (len(text) - begin for text, begin in zip(self.texts, self.begins, strict=True))
        return positive, negative

    def swapped(self) -> "EncodedPair":
        """The same texts with their roles exchanged."""
        begin, other = self.begins[::-1]
        return EncodedPair(
            self.id, begin, self.negative, self.positive, self.moved, None if self.negative_begin is None else other
        )


def encode_pairs(model: Model, pairs: Pairs | Sequence[PolarityPair], prompt_format: str = "raw") -> list[EncodedPair]:
    """Tokenize pairs.

    Args:
        prompt_format: "raw" adds nothing to query and completion but the tokenizer's own first token. "cued" puts "\\nAnswer:"
            between them, or another cue: 'cued {"cue": " Reply:"}'. "chat" is what the
            tokenizer's chat template renders for the query and its answer, end of turn included, under the template's options:
            'chat {"enable_thinking": false}' (`PromptFormat`).

    Query and completion are tokenized together, since many tokenizers put a space in front of what stands alone. Where
    the last token of the query then depends on what follows it, the completion begins at the last token that does not
    (`moved`): its log-likelihood then covers the query's last letters as well, for both completions alike.
    """
    read = _reader(model, prompt_format)
    ids = [pair.id or str(index) for index, pair in enumerate(pairs)]
    if repeated := [name for name, n in Counter(ids).items() if n > 1]:
        raise InputError(f"Two pairs have the id {repeated[0]!r}. Give each pair an id of its own, or none at all.")
    encoded = [read.pair(replace(pair, id=name)) for name, pair in zip(ids, pairs, strict=True)]
    for pair in encoded:
        model.check_length(max(len(pair.positive), len(pair.negative)), f"Pair {pair.id!r}")
    whole = [" ".join(query + text for query, text in zip(pair.queries, pair.texts[2:], strict=True)) for pair in pairs]
    check_known(model, whole, [pair.positive + pair.negative for pair in encoded], "pairs")
    return encoded


def encode_prompt(model: Model, query: str, prompt_format: str = "raw") -> list[int]:
    """Token ids of a query that is to be continued; in chat, up to where the assistant begins to answer."""
    ids = _reader(model, prompt_format).prompt(query)
    if not ids:
        raise InputError(f"The prompt {query!r} has no tokens for {model.name}. Write something that it can read.")
    check_known(model, [query], [ids], "prompts")
    return ids


def encode_dialogue(model: Model, turns: Sequence[Turn], prompt_format: str = "chat") -> list[int]:
    """Token ids of a dialogue of several turns, up to where the assistant begins to answer."""
    read = _reader(model, prompt_format)
    if not isinstance(read, _Chat):
        raise InputError(f"A dialogue came for the format {prompt_format}. Choose chat.")
    ids = read.dialogue(turns)
    if not ids:
        raise InputError(f"The dialogue has no tokens for {model.name}. Write something that it can read.")
    check_known(model, [text for _, text in turns], [ids] * len(turns), "messages")
    return ids


def settled(tokenizer: PreTrainedTokenizerBase | None, prompt_format: str) -> str:
    """The format with today's date in it, if its template writes the date: what is measured tomorrow is another thing."""
    chosen = PromptFormat.parse(prompt_format)
    if chosen.name == "chat" and tokenizer is not None and ChatTemplate(tokenizer, chosen).checked().writes_the_date:
        chosen = chosen.including({"today": date.today().isoformat()})
    return str(chosen)


@dataclass(frozen=True)
class _Raw:
    """Texts as they are, with a cue between query and completion if there is one."""

    tokenizer: PreTrainedTokenizerBase
    cue: str = ""

    def prompt(self, query: str) -> list[int]:
        return self.ids(query + self.cue)

    def pair(self, pair: PolarityPair) -> EncodedPair:
        asked = [query + self.cue for query in pair.queries]
        told = [text + self._spaced(answer) for text, answer in zip(asked, pair.texts[2:], strict=True)]
        return _encoded(pair, *map(self.ids, (*asked, *told)))

    def _spaced(self, answer: str) -> str:
        """A cue is a word of its own."""
        is_apart = not self.cue or self.cue[-1].isspace() or answer[0].isspace()
        return answer if is_apart else f" {answer}"

    def ids(self, text: str, *, with_special: bool = True) -> list[int]:
        """As tokens, without the end token that some tokenizers append to every text: a query would never be a prefix."""
        ids = cast(list[int], list(self.tokenizer(text, add_special_tokens=with_special)["input_ids"]))
        n_written = text.endswith(str(self.tokenizer.eos_token))
        if len(ids) > 1 + n_written and ids[-1 - n_written :] == [self.tokenizer.eos_token_id] * (1 + n_written):
            ids.pop()
        return ids


@dataclass(frozen=True)
class _Chat:
    """Query and answer as the dialogue that the template renders."""

    template: ChatTemplate
    raw: _Raw

    def prompt(self, query: str) -> list[int]:
        turns = [("user", query), ("assistant", "Hello")]
        prompt = self.template.prompt(turns[:1])
        before = self.template.whole(turns)[: self.template.place(turns, -1).start]
        n_shared = _n_shared(prompt, before)
        if prompt[n_shared:].strip() or before[n_shared:].strip():
            _say_once(
                f"The chat template writes {prompt[n_shared:]!r} before an answer that is to be generated, and "
                f"{before[n_shared:]!r} before one that is measured; a template option may make them the same."
            )
        return self._ids(prompt)

    def dialogue(self, turns: Sequence[Turn]) -> list[int]:
        return self._ids(self.template.prompt(turns))

    def pair(self, pair: PolarityPair) -> EncodedPair:
        texts, befores = [], []
        for query, answer in zip(pair.queries, pair.texts[2:], strict=True):
            turns = [("user", query), ("assistant", answer.strip())]
            text = self.template.whole(turns)
            # A space before the answer is the answer's: in many vocabularies they are one token.
            befores.append(text[: self.template.place(turns, -1).start].rstrip(" "))
            texts.append(text.rstrip())
        if befores[0] != befores[1] and not pair.is_matched:
            raise InputError(
                f"Pair {pair.id!r}: the chat template writes something else before one answer than before the other. "
                "Choose other template options, or the format raw."
            )
        return _encoded(pair, *map(self._ids, (*befores, *texts)))

    def _ids(self, text: str) -> list[int]:
        # A template writes its own first token.
        return self.raw.ids(text, with_special=False)


def _reader(model: Model, prompt_format: str) -> _Raw | _Chat:
    chosen = PromptFormat.parse(prompt_format)
    raw = _Raw(model.require_tokenizer(), chosen.cue)
    return _Chat(ChatTemplate(raw.tokenizer, chosen).checked(), raw) if chosen.name == "chat" else raw


def _encoded(
    pair: PolarityPair, query: list[int], other: list[int], positive: list[int], negative: list[int]
) -> EncodedPair:
    begins = [_n_shared(query, positive), _n_shared(other, negative)]
    if not pair.is_matched:
        begins = [min(begins)] * 2
    if min(begins) == 0:
        raise InputError(
            f"Pair {pair.id!r}: no token stands before the completion, so its first token has no probability. "
            "Give the pair a query, or use a tokenizer that begins texts with a token of its own."
        )
    n_alike = _n_shared(positive, negative)
    if n_alike == min(len(positive), len(negative)):
        raise InputError(
            f"Pair {pair.id!r}: as tokens, one completion is the beginning of the other, so they do not exclude "
            "each other. End both with the end token, or leave the pair out."
        )
    if pair.is_matched and n_alike > min(begins):
        raise InputError(
            f"Pair {pair.id!r}: one text's query goes on as the other's completion begins, so that no token tells them apart. "
            "Leave the pair out."
        )
    moved = begins[0] < len(query) or begins[1] < len(other)
    return EncodedPair(
        pair.id, begins[0], tuple(positive), tuple(negative), moved, begins[1] if pair.is_matched else None
    )


@cache
def _say_once(line: str) -> None:
    _log.warning(line)


def _n_shared(one: Sequence, other: Sequence) -> int:
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
