"""Drafts: texts that are written in one batch, each under steers and settings of its own."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria, TopPLogitsWarper

from ..errors import InputError
from ..interventions.audit import Audit, SiteAudit
from ..interventions.base import Intervention
from ..interventions.steering import steer
from ..models.model import Model, pad_batch
from ..models.sites import Site
from .generation import end_tokens
from .ordinary import Ordinary, OrdinaryText, residual
from .ways import are_said, says_nothing, way_for

IMPOSSIBLE = -9999.0
"""The log-probability of what cannot come; JSON has no infinity, and this is how OpenAI writes it."""
COLDEST = 1e-6
"""A temperature below it is greedy: logits that are divided by it may overflow."""


@dataclass(frozen=True, eq=False)
class Acting:
    """A steer at work on a draft. Drafts of a batch share it where the rank is the same; a lower rank acts first."""

    rank: tuple[int, ...]
    intervention: Intervention
    multiplier: float
    positions: str | None = None


@dataclass(frozen=True)
class Token:
    """A token that was written: ln P by the steered model, before temperature; the likeliest tokens, if they were asked for.

    `base_log_probability` is that of the model without a steer, which reads the same text, and `along` is by steer how far h
    reaches along Δh, before the steer acts, where the token is predicted (at the last of its sites); both only if asked for.
    `distances` are by steer how far the steered h lies there from ordinary text, where 1 is ordinary; None where nobody knows.
    """

    id: int
    log_probability: float
    likeliest: tuple[tuple[int, float], ...] = ()
    base_log_probability: float | None = None
    along: tuple[float, ...] = ()
    distances: tuple[float | None, ...] = ()


@dataclass(frozen=True, eq=False)
class Written:
    """How a draft ended: by an "end" token, by its "length", or because its reader "stopped" it; an audit for each steer."""

    tokens: tuple[Token, ...]
    reason: str
    audits: tuple[Audit, ...]


@dataclass(frozen=True, eq=False)
class Draft:
    """What is to be written: a prompt's continuation, sampled with a generator of its own, or greedy at temperature 0."""

    prompt: Sequence[int]
    heard: Callable[[Token], bool]
    """Is told each token when it is written, but for one that ends the text, and says whether to go on."""
    ended: Callable[[Written | Exception], None]
    """Is told how it ended, which may be long before others of the batch do."""
    steers: tuple[Acting, ...] = ()
    max_new_tokens: int = 48
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    n_likeliest: int = 0
    beside_base: bool = False
    """Whether tokens say what the model without a steer makes of them."""
    ordinary: OrdinaryText | None = None
    """If it came, tokens say how far from such text the steered activations lie."""


def fit_together(model: Model, drafts: Sequence[Draft]) -> bool:
    """Whether the model has positions for all of them side by side."""
    widest = max(len(draft.prompt) for draft in drafts) + max(draft.max_new_tokens for draft in drafts)
    return model.context_length is None or widest <= model.context_length


def write_drafts(model: Model, drafts: Sequence[Draft]) -> None:
    """Write all of them in one batch, as each would be written alone; with one draft it is `generate` of one prompt."""
    longest = max(draft.max_new_tokens for draft in drafts)
    way = way_for(model, [draft.prompt for draft in drafts], longest)
    if not way.side_by_side and len(drafts) > 1:
        # Alone, a text and the base model's row are equally long, so that nothing is padded.
        for draft in drafts:
            if draft.beside_base:
                write_drafts(model, [draft])
        drafts = [draft for draft in drafts if not draft.beside_base]
    if not drafts:
        return
    compared = [index for index, draft in enumerate(drafts) if draft.beside_base]
    prompts = [draft.prompt for draft in drafts]
    # The model without a steer reads what is written in further rows of the batch.
    batch = pad_batch([(ids, len(ids)) for ids in [*prompts, *(prompts[index] for index in compared)]],
                      model.padding_token, side="left").to(model.device)  # fmt: skip
    rows = [_Row(draft, torch.Generator(model.device).manual_seed(draft.seed)) for draft in drafts]
    writer = _Writer(model, rows, compared)
    shared = _shared(drafts, len(batch.tokens))
    ordinary = next((draft.ordinary for draft in drafts if draft.ordinary is not None), None)
    # Before any steer acts: it may have to be read first.
    known = {} if ordinary is None else {acting.rank: ordinary.at(_arrives(acting)) for acting, _ in shared}
    with ExitStack() as stack:
        for acting, multipliers in shared:
            writer.along[acting.rank] = _look(stack, model, acting) if compared else []
            writer.audits[acting.rank] = stack.enter_context(
                steer(model, acting.intervention, multipliers, acting.positions)
            )
        # Behind all steers, so that what is seen is what they have made.
        for acting, _ in shared:
            if (near := known.get(acting.rank)) is not None:
                writer.near[acting.rank] = near, _newest(stack, model, _arrives(acting), lambda h, value: value)
        settings = GenerationConfig(max_new_tokens=longest, do_sample=False, pad_token_id=model.padding_token)
        way.write(model, batch, settings, writer, [_Ends(writer)])


def _shared(drafts: Sequence[Draft], n_rows: int) -> list[tuple[Acting, Float[Tensor, " rows"]]]:
    """Each steer of the batch with its multiplier in every row, 0 where it is not asked for; outer ones first."""
    found: dict[tuple[int, ...], tuple[Acting, Tensor]] = {}
    for row, draft in enumerate(drafts):
        for acting in draft.steers:
            found.setdefault(acting.rank, (acting, torch.zeros(n_rows)))[1][row] = acting.multiplier
    return [found[rank] for rank in sorted(found)]


def _look(stack: ExitStack, model: Model, acting: Acting) -> list[Float[Tensor, " rows"]]:
    """A list that always holds, by row, how far the newest h reaches along Δh."""
    site, shift = list(acting.intervention.shifts.items())[-1]

    def along(h: Float[Tensor, "rows d_in"], value: Float[Tensor, "rows d_out"]) -> Float[Tensor, " rows"]:
        delta = shift.delta(h)
        unit = delta / torch.linalg.vector_norm(delta, dim=-1, keepdim=True).clamp(min=1e-20)
        return torch.linalg.vecdot(value.to(unit.dtype), unit)

    return _newest(stack, model, site, along)


def _newest(stack: ExitStack, model: Model, site: Site, take: Callable[[Tensor, Tensor], Tensor]) -> list[Tensor]:
    """A list that always holds what `take` makes of h and the value at the newest token of every row."""
    seen: list[Tensor] = []

    def look(h: Float[Tensor, "batch pos d_in"], value: Float[Tensor, "batch pos d_out"]) -> None:
        seen[:] = [take(h[:, -1], value[:, -1])]

    stack.enter_context(model.hooks(site.hooks(look)))
    return seen


def _arrives(acting: Acting) -> Site:
    """Where in the residual stream what the last of a steer's sites adds arrives."""
    return residual(acting.intervention.sites[-1])


@dataclass(eq=False)
class _Row:
    """A draft while it is written."""

    draft: Draft
    generator: torch.Generator
    tokens: list[Token] = field(default_factory=list)
    forwards: list[tuple[int, int]] = field(default_factory=list)
    """Which forward each token came from, and in which row of it."""
    is_done: bool = False

    def choose(self, logits: Float[Tensor, " d_vocab"]) -> int:
        """As Hugging Face's `generate` chooses, with a generator of this row's own."""
        if self.draft.temperature < COLDEST:
            return int(logits.argmax())
        scores = (logits / self.draft.temperature)[None]
        if self.draft.top_p < 1:
            scores = TopPLogitsWarper(self.draft.top_p)(torch.empty(0), scores)  # pyright: ignore[reportArgumentType]
        return int(torch.multinomial(scores.softmax(-1), 1, generator=self.generator))


class _Writer(LogitsProcessor):
    """Chooses every row's next token, so that a draft gets what it would get alone, and tells what was chosen."""

    def __init__(self, model: Model, rows: Sequence[_Row], compared: Sequence[int]):
        self.model, self.rows = model, rows
        self.base_row = {index: len(rows) + number for number, index in enumerate(compared)}
        self.ends = end_tokens(model)
        self.audits: dict[tuple[int, ...], Audit] = {}
        self.along: dict[tuple[int, ...], list[Float[Tensor, " rows"]]] = {}
        self.near: dict[tuple[int, ...], tuple[Ordinary, list[Float[Tensor, "rows d_out"]]]] = {}
        self.distances: dict[tuple[int, ...], list[float | None]] = {}
        self.n_forwards = 0

    def __call__(
        self, input_ids: Int[Tensor, "rows pos"], scores: Float[Tensor, "rows d_vocab"]
    ) -> Float[Tensor, "rows d_vocab"]:
        said = scores.log_softmax(-1).clamp(min=IMPOSSIBLE)
        self.distances = {
            rank: _distances(near, seen[0][: len(self.now())]) for rank, (near, seen) in self.near.items()
        }
        chosen = torch.full(scores.shape[:1], self.model.padding_token, device=scores.device)
        for place, index in enumerate(self.now()):
            if not self.rows[index].is_done:
                chosen[place] = self._next(index, place, scores[place], said)
        for index, base in self.base_row.items():
            chosen[base] = chosen[index]
        self.n_forwards += 1
        return torch.full_like(scores, -torch.inf).scatter(1, chosen[:, None], 0.0)

    def now(self) -> Sequence[int]:
        """The drafts that the current forward reads."""
        batch = self.model.batch
        return range(len(self.rows)) if batch is None or batch.row is None else [batch.row]

    def _next(
        self, index: int, place: int, logits: Float[Tensor, " d_vocab"], said: Float[Tensor, "rows d_vocab"]
    ) -> int:
        """The token that a draft goes on with, told to its reader."""
        row, draft = self.rows[index], self.rows[index].draft
        if not are_said(logits):
            self._end(row, says_nothing(self.model))
            return self.model.padding_token
        chosen = row.choose(logits)
        row.forwards.append((self.n_forwards, place))
        likeliest = said[place].topk(min(draft.n_likeliest, len(logits)))
        token = Token(
            chosen, float(said[place, chosen]),
            tuple(zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)),
            float(said[self.base_row[index], chosen]) if draft.beside_base else None,
            tuple(float(self.along[acting.rank][0][place]) for acting in draft.steers) if draft.beside_base else (),
            tuple(self.distances[acting.rank][place] if acting.rank in self.distances else None for acting in draft.steers)
            if draft.ordinary is not None else (),
        )  # fmt: skip
        row.tokens.append(token)
        if chosen in self.ends:
            self._end(row, "end")
        elif not draft.heard(token):
            self._end(row, "stopped")
        elif len(row.tokens) == draft.max_new_tokens:
            self._end(row, "length")
        return chosen

    def _end(self, row: _Row, how: str | InputError) -> None:
        row.is_done = True
        audits = tuple(self._audit(acting, row) for acting in row.draft.steers)
        row.draft.ended(Written(tuple(row.tokens), how, audits) if isinstance(how, str) else how)

    def _audit(self, acting: Acting, row: _Row) -> Audit:
        """What a steer did to one row, in the forwards from which its tokens came."""
        return Audit({
            site: SiteAudit(site, [whole.seen[at].rows(slice(place, place + 1)) for at, place in row.forwards])
            for site, whole in self.audits[acting.rank].at.items()
        })  # fmt: skip


def _distances(near: Ordinary, h: Float[Tensor, "rows d_out"]) -> list[float | None]:
    """From ordinary text, of every row; None where h is not finite."""
    return [float(one) if one == one else None for one in near.distance(h.float().cpu().numpy())]


class _Ends(StoppingCriteria):
    """Ends the rows that are done, so that a batch ends with its last draft."""

    def __init__(self, writer: _Writer):
        self.writer = writer

    def __call__(self, input_ids: Int[Tensor, "rows pos"], scores: object, **more: object) -> Bool[Tensor, " rows"]:
        done = [self.writer.rows[index].is_done for index in self.writer.now()]
        done += [self.writer.rows[index].is_done for index in self.writer.base_row]
        return torch.tensor(done, device=input_ids.device)
