"""Going on from a site: what lies before it does not depend on a steer there, so it is computed once.

The blocks below become the identity, and the residual that entered the site's block is put back at its input; inside the
block, what leads to the site is replaced by what it gave. Embeddings, masks and positions are computed as ever, and the
site's hooks fire as ever, so every family behaves as in a whole forward, bit for bit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..models.hooks import Ending
from ..models.model import Hook, Model
from ..models.others import is_hooked
from ..models.sites import Site

Forward = Callable[[], Any]


@torch.no_grad()
def entering(model: Model, layer: int, run: Forward) -> Float[Tensor, "batch pos d_model"]:
    """The residual stream as it enters block `layer` when `run` runs the model."""
    seen: list[Tensor] = []
    with stopping(model, [(Site(layer, "resid_pre").hook, lambda residual, hook: seen.append(residual))]):
        run()
    return seen[0]


@contextmanager
def stopping(model: Model, hooks: Sequence[Hook]) -> Iterator[None]:
    """A forward inside the block ends once the last of the hooks has seen what it wants; the block's rest is not run."""
    name, last = hooks[-1]

    def end(tensor: Tensor, hook: object) -> None:
        last(tensor, hook)
        raise _Stop

    with model.hooks([*hooks[:-1], (name, end)]), suppress(_Stop):
        yield


@contextmanager
def resumed(model: Model, layer: int, residual: Float[Tensor, "batch pos d_model"]) -> Iterator[None]:
    """Forwards inside the block skip the blocks below `layer` and go on from `residual`; batches must be the same.

    Where somebody else's hooks stand on a block below, nothing is skipped, so that they fire in every forward.
    """
    if any(is_hooked(model, block) for block in model.bridge.blocks[:layer]):
        yield
        return

    def put_back(entering: Tensor, hook: object) -> Tensor:
        return residual.to(entering.device)

    with ExitStack() as stack:
        for block in model.bridge.blocks[:layer]:
            stack.enter_context(forward_replaced(block, lambda hidden_states, *args, **kwargs: hidden_states))
        stack.enter_context(model.hooks([(Site(layer, "resid_pre").hook, put_back)]))
        yield


@dataclass(frozen=True, eq=False)
class Prefix:
    """What stood at the entry of the site's block, what its finished modules gave, and what went into the site's hooks.

    Modules may give a tuple, of which only the first, the residual's part, is read by the block.
    """

    site: Site
    entering: Float[Tensor, "*batch pos d_model"]
    given: dict[str, Tensor]
    hooked: dict[str, Tensor]
    n_more: dict[str, int | None]
    """By module, how many values follow the first in the tuple that it gives; None where it gives a tensor."""

    @classmethod
    @torch.no_grad()
    def record(cls, model: Model, site: Site, run: Forward, *, inside: bool = True) -> "Prefix":
        """One forward up to the site's block; `inside` it too, which takes more memory, unless told otherwise."""
        ending = _ending(model, site) if inside else None
        if ending is None:
            return cls(site, entering(model, site.layer, run), {}, {}, {})
        block, points = model.bridge.blocks[site.layer], model.hook_points
        given: dict[str, Tensor] = {}
        hooked: dict[str, Tensor] = {}
        n_more: dict[str, int | None] = {}

        def into(name: str):
            return lambda module, args: hooked.__setitem__(name, args[0])

        def out_of(name: str):
            def look(module: nn.Module, args: Any, output: Any) -> None:
                is_tuple = isinstance(output, tuple)
                n_more[name] = len(output) - 1 if is_tuple else None
                if name in ending.finished:
                    given[name] = output[0] if is_tuple else output

            return look

        enters = Site(site.layer, "resid_pre").hook
        with ExitStack() as stack:
            for name in {enters, *ending.hooks}:
                # Not a hook of TransformerLens's: it may see another shape than what the hook point is given.
                stack.callback(points[name].register_forward_pre_hook(into(name)).remove)
            for name in filter(None, (ending.module, *ending.finished)):
                stack.callback(getattr(block, name).register_forward_hook(out_of(name)).remove)
            stack.callback(block.register_forward_hook(_stop).remove)
            with suppress(_Stop):
                run()
        residual = hooked[enters] if enters in ending.hooks else hooked.pop(enters)
        return cls(site, residual, given, hooked, n_more)

    @contextmanager
    def resumed(self, model: Model) -> Iterator[None]:
        """Forwards inside the block go on from the site."""
        ending, block = self.site.ending, model.bridge.blocks[self.site.layer]
        with ExitStack() as stack:
            stack.enter_context(resumed(model, self.site.layer, self.entering))
            if ending is not None and self.hooked:
                for name in ending.finished:
                    forward = self._giving(name, lambda name=name: self.given[name])
                    stack.enter_context(forward_replaced(getattr(block, name), forward))
                module = getattr(block, ending.module) if ending.module else block
                points = model.hook_points
                # It fires its hooks on what they were given, and gives what the last one makes of it.
                forward = self._giving(ending.module, lambda: [points[n](self.hooked[n]) for n in ending.hooks][-1])
                stack.enter_context(forward_replaced(module, forward))
            yield

    def map(self, function: Callable[[Tensor], Tensor]) -> "Prefix":
        """The same with every tensor put through `function`: other rows, other columns."""
        return Prefix.join([self], lambda tensors: function(tensors[0]))

    @staticmethod
    def join(parts: "Sequence[Prefix]", function: Callable[[list[Tensor]], Tensor]) -> "Prefix":
        """One of many, each of its tensors made by `function` from theirs."""

        def joined(kept: list[dict[str, Tensor]]) -> dict[str, Tensor]:
            return {name: function([tensors[name] for tensors in kept]) for name in kept[0]}

        return Prefix(
            parts[0].site,
            function([part.entering for part in parts]),
            joined([part.given for part in parts]),
            joined([part.hooked for part in parts]),
            parts[0].n_more,
        )

    @property
    def n_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in (self.entering, *self.given.values(), *self.hooked.values()))

    def _giving(self, name: str, value: Callable[[], Tensor]) -> Callable[..., Any]:
        """A forward that gives `value` in the form in which the module gave it."""
        n_more = self.n_more.get(name)
        return lambda *args, **kwargs: value() if n_more is None else (value(), *[None] * n_more)


def _ending(model: Model, site: Site) -> Ending | None:
    """The site's ending, if the block has the modules that it names."""
    ending, block = site.ending, model.bridge.blocks[site.layer]
    if ending is None:
        return None
    modules = [getattr(block, name, None) for name in (ending.module, *ending.finished, *ending.within) if name]
    # A component without a name of its own, such as OPT's MLP, is a view of modules that the block itself runs.
    return ending if all(getattr(module, "name", None) for module in modules) else None


@contextmanager
def forward_replaced(module: nn.Module, forward: Callable[..., Any]) -> Iterator[None]:
    """`module` runs another forward inside the block."""
    before = vars(module).get("forward")
    # A plain assignment would be redirected into the wrapped module.
    object.__setattr__(module, "forward", forward)
    try:
        yield
    finally:
        if before is None:
            object.__delattr__(module, "forward")
        else:
            object.__setattr__(module, "forward", before)


class _Stop(Exception):
    """Raised where the rest of a forward is not needed."""


def _stop(*args: Any) -> None:
    raise _Stop
