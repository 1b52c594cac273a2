"""The endpoint: OpenAI's routes over one model and its steers, as a Starlette application."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request as Incoming
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from ..errors import InputError, shown
from ..models.model import Model
from ..models.prompt_format import PromptFormat
from ..models.prompts import encode_dialogue, encode_prompt
from .answers import CHATS, TEXTS, Piece, Shape
from .job import Job
from .requests import DEFAULT_CHAT_TOKENS, Chat, Completion, Request, read
from .steers import Steers
from .waiting import Broken, QueueFull, Waiting

LOOPBACK = ("127.0.0.1", "localhost")
"""Other names of this machine are refused, so that no page of the web can reach it under a name of its own."""


@dataclass(frozen=True, eq=False)
class Endpoint:
    """What answers; dialogues are always read by the chat template, texts by the format unless it is that."""

    model: Model
    steers: Steers
    waiting: Waiting
    prompt_format: str = "raw"

    @property
    def routes(self) -> list[Route]:
        """OpenAI's."""
        return [
            Route("/v1/models", self.models),
            Route("/v1/completions", self.completions, methods=["POST"]),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
        ]

    async def models(self, request: Incoming) -> Response:
        """The one that is served, and what may steer it."""
        model = {"id": self.model.name, "object": "model", "created": 0, "owned_by": "mechsteer"}
        described = {"context_length": self.model.context_length, "steers": self.steers.described()}
        return JSONResponse({"object": "list", "data": [model | described]})

    async def completions(self, request: Incoming) -> Response:
        """Prompts, continued."""
        asked = read(Completion, await _body(request))
        is_chat = PromptFormat.parse(self.prompt_format).name == "chat"
        prompt_format = "raw" if is_chat else self.prompt_format
        prompts = [
            encode_prompt(self.model, prompt, prompt_format) if isinstance(prompt, str) else self._known(prompt)
            for prompt in asked.prompts
        ]
        return await self._answer(request, asked, prompts, asked.max_tokens or 16, TEXTS)

    async def chat(self, request: Incoming) -> Response:
        """A dialogue, answered."""
        asked = read(Chat, await _body(request))
        is_chat = PromptFormat.parse(self.prompt_format).name == "chat"
        turns = [message.turn for message in asked.messages]
        prompt = encode_dialogue(self.model, turns, self.prompt_format if is_chat else "chat")
        room = (self.model.context_length or len(prompt) + DEFAULT_CHAT_TOKENS) - len(prompt)
        longest = asked.max_completion_tokens or asked.max_tokens or max(1, min(DEFAULT_CHAT_TOKENS, room))
        return await self._answer(request, asked, [prompt], longest, CHATS)

    def _known(self, tokens: list[int]) -> list[int]:
        if not tokens or not all(0 <= token < self.model.d_vocab for token in tokens):
            raise InputError(
                f"prompt: it is a list of token ids, which must be of 0 to {self.model.d_vocab - 1}, one at least."
            )
        return tokens

    async def _answer(
        self, request: Incoming, asked: Request, prompts: list[list[int]], longest: int, kind: dict[str, Any]
    ) -> Response:
        if asked.model != self.model.name:
            raise HTTPException(404, f"The model {shown(asked.model)!r} is not served here, but {self.model.name!r}.")
        for prompt in prompts:
            self.model.check_length(len(prompt) + longest, "The prompt with all that may follow")
        shape = Shape(
            model=self.model.name, tokenizer=self.model.require_tokenizer(), n_likeliest=asked.n_likeliest,
            token_details=asked.token_details, **kind,
        )  # fmt: skip
        job = Job(self.model, self.steers, asked, prompts, longest)
        self.waiting.put(job.drafts())
        n_prompt = sum(map(len, prompts))
        if asked.stream:
            with_usage = (asked.stream_options or {}).get("include_usage", False)
            return StreamingResponse(_stream(job, shape, n_prompt, with_usage), media_type="text/event-stream")
        choices = await _unless_left(request, job)
        return Response(status_code=499) if choices is None else JSONResponse(shape.answer(choices, n_prompt))


async def _body(request: Incoming) -> bytes:
    """Of a request that says that it is JSON: no page of another server can send one without having asked."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "The body must be JSON. Send it with Content-Type: application/json.")
    return await request.body()


async def _stream(job: Job, shape: Shape, n_prompt: int, with_usage: bool) -> AsyncIterator[str]:
    """Server-sent events, one as soon as there is something to show."""
    n_written = 0
    try:
        async for piece in job.pieces():
            n_written += piece.n_tokens
            if piece.text or piece.begins or piece.reason or shape.token_details or shape.n_likeliest is not None:
                yield _event(shape.chunk(piece))
        if with_usage:
            yield _event(shape.last_chunk(n_prompt, n_written))
        yield "data: [DONE]\n\n"
    except (InputError, Broken) as error:
        yield _event(_said(error)[0])


def _event(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"


async def _unless_left(request: Incoming, job: Job) -> list[Piece] | None:
    """The whole answer, or None as soon as the one who asked has gone."""

    async def leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    answer, gone = asyncio.ensure_future(job.choices()), asyncio.ensure_future(leave())
    try:
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        return await answer if answer.done() else None
    finally:
        job.is_left = True
        answer.cancel()
        gone.cancel()


def _said(error: Exception) -> tuple[dict[str, Any], int]:
    """In OpenAI's shape, with its status."""
    if isinstance(error, QueueFull):
        sentence, kind, status = (
            "So many texts wait already that no more are taken. Ask again.",
            "rate_limit_error",
            429,
        )
    elif isinstance(error, InputError):
        sentence, kind, status = str(error), "invalid_request_error", 400
    elif isinstance(error, HTTPException):
        sentence, kind, status = error.detail, "invalid_request_error", error.status_code
    else:
        sentence, kind, status = "The server failed; its log says how.", "server_error", 500
    return {"error": {"message": sentence, "type": kind, "param": None, "code": None}}, status


async def _refuse(request: Incoming, error: Exception) -> Response:
    content, status = _said(error)
    return JSONResponse(content, status, headers={"Retry-After": "1"} if status == 429 else None)


def application(endpoint: Endpoint, more: Sequence[BaseRoute] = (), middleware: Sequence[Middleware] = ()) -> Starlette:
    """All of it; its thread writes while the application lives."""

    @asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        endpoint.waiting.start()
        try:
            yield
        finally:
            endpoint.waiting.close()

    return Starlette(
        routes=[*endpoint.routes, *more],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK)), *middleware],
        exception_handlers={kind: _refuse for kind in (InputError, QueueFull, Broken, HTTPException, Exception)},
        lifespan=living,
    )
