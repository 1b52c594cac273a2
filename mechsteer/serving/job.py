"""A request at work: its drafts, and what their writer tells of them, brought from its thread to the request's own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cached_property

from ..measuring.drafts import Acting, Draft, Token, Written
from ..models.model import Model
from .answers import REASONS, Piece
from .requests import Request
from .steers import Steers, told
from .words import Words


@dataclass(eq=False)
class Job:
    """Pieces of all its choices, in the order in which they are written."""

    model: Model
    steers: Steers
    request: Request
    prompts: list[list[int]]
    max_new_tokens: int
    is_left: bool = False
    """Whether nobody waits for it any more; the writer then ends its drafts."""
    _pieces: asyncio.Queue[Piece | Exception] = field(default_factory=asyncio.Queue)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)

    @cached_property
    def acting(self) -> tuple[Acting, ...]:
        """The steers that it asks for."""
        return self.steers.acting(self.request.steer)

    def drafts(self) -> list[Draft]:
        """Each prompt's choices, one after the other."""
        request, made = self.request, []
        for prompt in self.prompts:
            for seed in request.seeds(request.n):
                choice = _Choice(self, len(made), seed, Words(self.model.require_tokenizer(), request.stop), prompt[-1])
                made.append(Draft(
                    prompt, choice.heard, choice.ended, self.acting, self.max_new_tokens, request.temperature, request.top_p,
                    seed, request.n_likeliest or 0, request.token_details,
                    self.steers.ordinary if request.distances else None,
                ))  # fmt: skip
        return made

    def tell(self, piece: Piece | Exception) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    async def pieces(self) -> AsyncIterator[Piece]:
        """Until every choice has ended. Whoever stops listening leaves the job, and its drafts end."""
        n_open = len(self.prompts) * self.request.n
        try:
            while n_open:
                piece = await self._pieces.get()
                if isinstance(piece, Exception):
                    raise piece
                n_open -= piece.reason is not None
                yield piece
        finally:
            self.is_left = True

    async def choices(self) -> list[Piece]:
        """All of them, whole."""
        found: list[list[Piece]] = [[] for _ in range(len(self.prompts) * self.request.n)]
        async for piece in self.pieces():
            found[piece.index].append(piece)
        return [Piece.join(pieces) for pieces in found]


@dataclass(eq=False)
class _Choice:
    """One text of a job, told in the writer's thread."""

    job: Job
    index: int
    seed: int
    words: Words
    before: int
    """The token that stands before the next one."""
    begins: bool = True
    is_done: bool = False

    def heard(self, token: Token) -> bool:
        """Whether to go on."""
        # Who has left may have taken the loop with him.
        if self.job.is_left:
            return False
        self.job.tell(Piece(self.index, self.words.add(token.id), ((self.before, token),), self.begins))
        self.before, self.begins = token.id, False
        return not self.words.is_stopped

    def ended(self, how: Written | Exception) -> None:
        """What went wrong after the end of this choice is not its own."""
        if self.is_done or self.job.is_left:
            return
        self.is_done = True
        if isinstance(how, Exception):
            self.job.tell(how)
            return
        ours = {"seed": self.seed, "steer": told(self.job.request.steer, self.job.acting, how.audits)}
        rest, reason = self.words.rest(), REASONS[how.reason]
        self.job.tell(Piece(self.index, rest, (), self.begins, reason, len(how.tokens), ours))
