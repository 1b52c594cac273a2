"""What every rule is: how a strength m and a delta Δh become what is added at a site."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...brief import brief
from ...models.sites import Site


@final
@dataclass(frozen=True, eq=False)
class Moment:
    """What a rule sees of one forward at one site; with a cache, only the newest tokens of a text.

    `value` is what the shift is added to, in the model's dtype, and `delta` is Δh there, in that of the intervention's tensors.
    `position` counts a text's tokens from 0, so that a rule with a memory knows where a text begins, and `is_completion` tells
    the completion's tokens, or those generated, from the prompt's; both are None where a forward does not say.
    """

    site: Site
    h: Float[Tensor, "rows pos d_in"]
    value: Float[Tensor, "rows pos d_out"]
    delta: Float[Tensor, "rows pos d_out"]
    multiplier: Float[Tensor, " rows"]
    steered: Bool[Tensor, "rows pos"]
    position: Int[Tensor, "rows pos"] | None = None
    is_completion: Bool[Tensor, "rows pos"] | None = None

    __repr__ = brief

    @property
    def m(self) -> Float[Tensor, "rows 1 1"]:
        """Each row's strength, beside the delta."""
        return self.multiplier.to(self.delta.device)[:, None, None]

    def at(self, multiplier: Float[Tensor, " rows"]) -> "Moment":
        """The same under other strengths."""
        return replace(self, multiplier=multiplier)


@dataclass(frozen=True)
class Rule(ABC):
    """A small value; a new rule is a new file with one class that has a `shift`, and whose `STRENGTH` says what m means.

    At strength 0, and at tokens that are not steered, nothing is added, whatever a rule says.
    """

    name: ClassVar[str]
    is_linear: ClassVar[bool] = False
    """Whether the shift under m is m times that under 1, where h and the value are the same."""
    is_per_token: ClassVar[bool] = True
    """Whether a token's shift depends on nothing but its own h, value, Δh and m. Then the fast engine serves the rule; one
    that looks at other tokens, at positions, or back at earlier forwards says False and is served by the plain one."""
    needs_direction: ClassVar[bool] = False
    """Whether it speaks of the delta's direction alone, so that nothing can be learned from a delta of zero."""
    largest: ClassVar[float | None] = None
    """The strength beyond which more is no more; None where there is none."""

    @abstractmethod
    def shift(self, moment: Moment) -> Float[Tensor, "rows pos d_out"]:
        """What to add to the value, in the delta's dtype."""

    def begin(self) -> "Rule":
        """The rule that a `steer` block acts by: itself, or for a rule with a memory a copy whose memory is empty."""
        return self

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its fields by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def __str__(self) -> str:
        settings = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
        return f"{self.name}({settings})" if settings else self.name


def applied(rule: Rule, moment: Moment) -> Float[Tensor, "rows pos d_out"]:
    """What the rule adds; nothing where m is 0, even if the delta is infinite, and nothing at tokens that are not steered."""
    shift = rule.shift(moment)
    return without_zeros(shift, moment.multiplier).masked_fill(~moment.steered.to(shift.device)[..., None], 0.0)


def without_zeros(
    shift: Float[Tensor, "rows pos d_out"], multiplier: Float[Tensor, " rows"]
) -> Float[Tensor, "rows pos d_out"]:
    """Nothing in the rows whose strength is 0."""
    # Not a mask over the whole shift: an engine takes it in every forward. And looked for where the multipliers lie, the CPU as
    # a rule, for a GPU that is asked must first finish its work.
    rows = (multiplier == 0).nonzero()[:, 0].to(shift.device)
    return shift.index_fill(0, rows, 0.0) if len(rows) else shift


def dot(one: Float[Tensor, "*batch d"], other: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch 1"]:
    """Inner products, beside the vectors."""
    return torch.linalg.vecdot(one, other)[..., None]
