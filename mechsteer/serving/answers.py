"""Answers in OpenAI's shapes, whole or piece by piece; what is ours stands beside as `steer`, `seed` and `tokens`."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from transformers import PreTrainedTokenizerBase

from ..measuring.drafts import Token
from .words import alone

REASONS = {"end": "stop", "stopped": "stop", "length": "length"}


@dataclass(frozen=True)
class Piece:
    """What one choice says more: text, the tokens from which it came, and at its end why it ended and what is ours."""

    index: int
    text: str = ""
    tokens: tuple[tuple[int, Token], ...] = ()
    """Each after the one that stands before it."""
    begins: bool = True
    """Whether it is the first of its choice."""
    reason: str | None = None
    n_tokens: int = 0
    """How many were written, at the end."""
    ours: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def join(pieces: "Sequence[Piece]") -> "Piece":
        """All of one choice, the last of which ends it."""
        last = pieces[-1]
        tokens = tuple(token for piece in pieces for token in piece.tokens)
        text = "".join(piece.text for piece in pieces)
        return replace(last, text=text, tokens=tokens, begins=True)


@dataclass(frozen=True, eq=False)
class Shape:
    """One answer: its identity, and how a choice is written in it."""

    kind: str
    chunk_kind: str
    model: str
    tokenizer: PreTrainedTokenizerBase
    n_likeliest: int | None
    token_details: bool
    whole: Callable[["Shape", Piece], dict[str, Any]]
    part: Callable[["Shape", Piece], dict[str, Any]]
    id: str = field(default_factory=lambda: f"mechsteer-{uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def answer(self, choices: Sequence[Piece], n_prompt: int) -> dict[str, Any]:
        """The whole answer."""
        written = [self._choice(choice, self.whole) for choice in choices]
        return self._said(self.kind, written) | {"usage": usage(n_prompt, sum(choice.n_tokens for choice in choices))}

    def chunk(self, piece: Piece) -> dict[str, Any]:
        """A piece of a stream."""
        return self._said(self.chunk_kind, [self._choice(piece, self.part)])

    def last_chunk(self, n_prompt: int, n_written: int) -> dict[str, Any]:
        """The one that tells the usage, if that was asked for."""
        return self._said(self.chunk_kind, []) | {"usage": usage(n_prompt, n_written)}

    def _said(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices}

    def _choice(self, piece: Piece, written: Callable[["Shape", Piece], dict[str, Any]]) -> dict[str, Any]:
        choice = {"index": piece.index, "finish_reason": piece.reason} | written(self, piece) | dict(piece.ours)
        if self.token_details:
            choice["tokens"] = [
                {
                    "id": token.id, "text": alone(self.tokenizer, before, token.id), "logprob": token.log_probability,
                    "base_logprob": token.base_log_probability, "along": list(token.along),
                    **({"distances": list(token.distances)} if token.distances else {}),
                }
                for before, token in piece.tokens
            ]  # fmt: skip
        return choice

    def said(self, before: int, token: Token) -> list[tuple[str, float]]:
        """The likeliest tokens as text."""
        return [(alone(self.tokenizer, before, other), value) for other, value in token.likeliest]


def usage(n_prompt: int, n_written: int) -> dict[str, int]:
    """Tokens read and written."""
    return {"prompt_tokens": n_prompt, "completion_tokens": n_written, "total_tokens": n_prompt + n_written}


def _text(shape: Shape, piece: Piece) -> dict[str, Any]:
    if shape.n_likeliest is None:
        return {"text": piece.text, "logprobs": None}
    words = [alone(shape.tokenizer, before, token.id) for before, token in piece.tokens]
    return {
        "text": piece.text,
        "logprobs": {
            "tokens": words, "token_logprobs": [token.log_probability for _, token in piece.tokens],
            "top_logprobs": [dict(shape.said(*pair)) for pair in piece.tokens] if shape.n_likeliest else None,
            "text_offset": [sum(map(len, words[:index])) for index in range(len(words))],
        },
    }  # fmt: skip


def _text_part(shape: Shape, piece: Piece) -> dict[str, Any]:
    """Where in the whole text its tokens stand, a piece does not know."""
    part = _text(shape, piece)
    if part["logprobs"] is not None:
        part["logprobs"]["text_offset"] = None
    return part


def _message(shape: Shape, piece: Piece) -> dict[str, Any]:
    message = {"role": "assistant", "content": piece.text, "refusal": None}
    return {"message": message, "logprobs": _content(shape, piece)}


def _delta(shape: Shape, piece: Piece) -> dict[str, Any]:
    # Clients join what comes under the same name, the role too.
    role = {"role": "assistant"} if piece.begins else {}
    return {"delta": role | {"content": piece.text}, "logprobs": _content(shape, piece)}


def _content(shape: Shape, piece: Piece) -> dict[str, Any] | None:
    if shape.n_likeliest is None:
        return None

    def told(text: str, value: float) -> dict[str, Any]:
        return {"token": text, "logprob": value, "bytes": list(text.encode())}

    content = [
        told(alone(shape.tokenizer, before, token.id), token.log_probability)
        | {"top_logprobs": [told(*other) for other in shape.said(before, token)]}
        for before, token in piece.tokens
    ]
    return {"content": content, "refusal": None}


TEXTS = {"kind": "text_completion", "chunk_kind": "text_completion", "whole": _text, "part": _text_part}
CHATS = {"kind": "chat.completion", "chunk_kind": "chat.completion.chunk", "whole": _message, "part": _delta}
"""What differs between the two kinds of answers."""
