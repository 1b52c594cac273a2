"""What a request may ask for, in OpenAI's words, and the drafts that it asks for."""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..errors import InputError, shown

LARGEST_SEED = 2**63 - 1
DEFAULT_CHAT_TOKENS = 256
"""Of a dialogue that does not say how long its answer may be; OpenAI's completions have 16."""
Kind = TypeVar("Kind", bound="Request")


class Steer(BaseModel):
    """A steer by name, how strongly it acts, at which positions, and by which rule if by another than its own."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str
    multiplier: float = 1.0
    positions: str | None = None
    rule: str | None = None


class Request(BaseModel):
    """What both kinds of request have. What would change the answer and is not done here is refused, not passed over."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    model: str
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    n: Annotated[int, Field(ge=1, le=128)] = 1
    seed: Annotated[int, Field(ge=-LARGEST_SEED, le=LARGEST_SEED)] | None = None
    stop: Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=4)] = []
    stream: bool = False
    stream_options: dict[Literal["include_usage", "include_obfuscation"], bool] | None = None
    steer: list[Steer] = []
    token_details: bool = False
    """Whether each token says what the model without a steer makes of it, and how far h reaches along each steer."""
    distances: bool = False
    """Whether these details also hold, for each steer, how far the steered h lies from ordinary text, where 1 is ordinary."""
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None
    logit_bias: dict[Any, Any] | None = Field(default=None, max_length=0)
    user: str | None = None

    @field_validator("stop", "steer", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        """One may come without its list, and null is none."""
        return [] if value is None else [value] if isinstance(value, str | dict) else value

    @field_validator("temperature", "top_p", "n", "stream", mode="before")
    @classmethod
    def _default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if value is None else value

    @model_validator(mode="after")
    def _distances_are_told_with_details(self: Kind) -> Kind:
        if self.distances and not self.token_details:
            raise ValueError("distances needs token_details to be true")
        return self

    @property
    def n_likeliest(self) -> int | None:
        """How many likely tokens are told beside each one; None where no log-probabilities are asked for."""
        raise NotImplementedError

    def seeds(self, n: int) -> list[int]:
        """One for each text: that which came and those after it, or one by chance."""
        first = secrets.randbelow(2**31) if self.seed is None else self.seed
        return [first + index for index in range(n)]


class Completion(Request):
    """POST /v1/completions."""

    prompt: str | list[str] | list[int] | list[list[int]]
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    echo: Literal[False] | None = None
    best_of: Literal[1] | None = None
    suffix: Literal[""] | None = None

    @field_validator("prompt")
    @classmethod
    def _some(cls, value: Any) -> Any:
        if value == []:
            raise ValueError("No prompt came")
        return value

    @property
    def prompts(self) -> Sequence[str | list[int]]:
        """Texts, or the token ids that came instead."""
        several = isinstance(self.prompt, list) and not (self.prompt and isinstance(self.prompt[0], int))
        return self.prompt if several else [self.prompt]  # pyright: ignore[reportReturnType]

    @property
    def n_likeliest(self) -> int | None:
        return self.logprobs


class TextPart(BaseModel):
    """A part of a message; others than text cannot be read."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One turn of a dialogue."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None
    tool_calls: Annotated[list[Any], Field(max_length=0)] | None = None
    model_config = ConfigDict(extra="ignore")

    @property
    def turn(self) -> tuple[str, str]:
        """Its role and what is said."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return "system" if self.role == "developer" else self.role, text


class Chat(Request):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1)]
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _likeliest_are_told_with_log_probabilities(self) -> "Chat":
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs to be true")
        return self

    @property
    def n_likeliest(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None


def read(kind: type[Kind], body: bytes) -> Kind:
    """The request, or one sentence on the first thing that is wrong with it."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"] if not str(step).startswith(("list[", "constrained")))
        came = "" if first["type"] in ("missing", "json_invalid") else f" It is {shown(first['input'])!r}."
        raise InputError(f"{place or 'The body'}: {first['msg']}.{came} Correct it.") from error
