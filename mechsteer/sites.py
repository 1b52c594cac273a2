"""A site: the layer and the place at which an intervention acts. The only file that knows hook names.

Layers count from 0. An intervention adds m·(ΔW h + Δb) to what leaves the site:

| place      | h, what ΔW reads                    | what the shift is added to                  | W               |
|------------|-------------------------------------|---------------------------------------------|-----------------|
| mlp.out    | input of the down-projection        | output of the down-projection               | down-projection |
| attn.o     | heads' outputs, side by side        | output of attention's output projection     | that projection |
| resid_pre  | residual entering the block         | the same                                    | identity        |
| resid_mid  | residual between attention and MLP  | the same                                    | identity        |
| resid_post | residual leaving the block          | the same                                    | identity        |
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from .errors import InputError
from .models import Hook, Model, TokenBatch

PLACES = ("mlp.out", "attn.o", "resid_pre", "resid_mid", "resid_post")

# What a site shows on the way: h, and the value that the shift is added to.
Look = Callable[[Float[Tensor, "batch pos d_in"], Float[Tensor, "batch pos d_out"]], Tensor | None]

# (d_in, d_out) of each site that a model has.
_WIDTHS: WeakKeyDictionary[Model, dict["Site", tuple[int, int]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Ending:
    """What need not run again for a steer at a site: the block's module that ends with it, "" for the block itself, which
    then only fires these hooks, and modules that a steer there leaves alone."""

    module: str
    hooks: tuple[str, ...]
    finished: tuple[str, ...]


@dataclass(frozen=True, order=True)
class Site:
    """A place of a 0-based layer, written "3:resid_post"."""

    layer: int
    place: str

    def __post_init__(self):
        if self.place not in PLACES:
            raise InputError(f"The place {self.place!r} is unknown. Places are {', '.join(PLACES)}.")
        if self.layer < 0:
            raise InputError(f"The layer {self.layer} is negative. Layers count from 0.")

    @classmethod
    def parse(cls, text: str) -> "Site":
        """Read "LAYER:PLACE"."""
        layer, _, place = text.partition(":")
        if not layer.strip().lstrip("-").isdigit():
            raise InputError(f"The site {text!r} is not LAYER:PLACE. Write for example 3:resid_post.")
        return cls(int(layer), place.strip())

    def __str__(self) -> str:
        return f"{self.layer}:{self.place}"

    @property
    def hook(self) -> str:
        """TransformerLens's name of the hook at which the shift is added."""
        name = {
            "mlp.out": "mlp.out.hook_out",
            "attn.o": "attn.o.hook_out",
            "resid_pre": "hook_in",
            # Not hook_resid_mid: it is the input of the second norm, beside the residual stream, so a shift added
            # there reaches the MLP only. What attention adds to the residual is where both can be shifted.
            "resid_mid": "hook_attn_out",
            "resid_post": "hook_out",
        }[self.place]
        return f"blocks.{self.layer}.{name}"

    @property
    def input_hook(self) -> str | None:
        """The hook that shows, earlier in the same forward, what h is made from."""
        name = {"mlp.out": "mlp.out.hook_in", "attn.o": "attn.o.hook_in", "resid_mid": "hook_in"}.get(self.place)
        return None if name is None else f"blocks.{self.layer}.{name}"

    @property
    def ending(self) -> "Ending | None":
        """How a forward can go on from the site; None where only the whole block can be run again."""
        module, hooks, finished = {
            "mlp.out": ("mlp", ("mlp.out.hook_in", "mlp.out.hook_out"), ("attn",)),
            "attn.o": ("attn", ("attn.o.hook_in", "attn.o.hook_out"), ()),
            "resid_pre": (None, (), ()),
            # Not hook_attn_out: Gemma 2 normalises between the two, and its hook fires after the module.
            "resid_mid": ("attn", ("attn.hook_out",), ()),
            "resid_post": ("", ("hook_out",), ()),
        }[self.place]
        if module is None:
            return None
        return Ending(module, tuple(f"blocks.{self.layer}.{name}" for name in hooks), finished)

    def widths(self, model: Model) -> tuple[int, int]:
        """(d_in, d_out): the width of h and that of the shift; one sentence if the model lacks this site."""
        if self.layer >= model.n_layers:
            raise InputError(f"The site {self} does not exist: {model.name} has layers 0 to {model.n_layers - 1}.")
        found = _survey(model)
        if self not in found:
            available = ", ".join(site.place for site in found if site.layer == self.layer)
            raise InputError(f"The site {self} does not exist: layer {self.layer} of {model.name} has {available}.")
        return found[self]

    def hooks(self, look: Look) -> list[Hook]:
        """Hooks that show (h, value) to `look` and add what it returns, if anything, to the value."""
        earlier: list[Tensor] = []

        def remember(tensor: Tensor, hook: object) -> None:
            earlier[:] = [tensor]

        def show(output: Tensor, hook: object) -> Tensor | None:
            h = value = output
            if self.place == "resid_mid":
                h = value = earlier.pop() + output
            elif self.input_hook is not None:
                h = earlier.pop()
                if h.ndim == 4:
                    h = rearrange(h, "batch pos head d_head -> batch pos (head d_head)")
            shift = look(h, value)
            return None if shift is None else output + shift

        return [(name, function) for name, function in ((self.input_hook, remember), (self.hook, show)) if name]


def all_sites(model: Model, places: tuple[str, ...] = PLACES) -> list[Site]:
    """Every site of the given places that the model has, by layer."""
    return [site for site in _survey(model) if site.place in places]


def _survey(model: Model) -> dict[Site, tuple[int, int]]:
    """The sites that a model has, with their widths.

    All are looked for at once and at first use: within a steer that is under way, a look would be steered too.
    """
    if model not in _WIDTHS:
        sites = [Site(layer, place) for layer in range(model.n_layers) for place in PLACES]
        try:
            found = _look_for(model, sites)
        except (RuntimeError, ValueError, TypeError, AttributeError):
            # A hook that one kind of block cannot bear must not hide the sites that it can.
            found = {}
            for site in sites:
                with suppress(RuntimeError, ValueError, TypeError, AttributeError):
                    found |= _look_for(model, [site])
        _WIDTHS[model] = found
    return _WIDTHS[model]


def _look_for(model: Model, sites: list[Site]) -> dict[Site, tuple[int, int]]:
    """Which of the sites fire exactly once in a forward, and how wide they are."""
    names = model.hook_points
    seen: dict[Site, list[tuple[Tensor, Tensor]]] = {}
    norms: dict[Site, list[Tensor]] = {}
    hooks: list[Hook] = []
    for site in sites:
        own = site.hooks(lambda h, value, site=site: seen.setdefault(site, []).append((h, value)))
        if all(name in names for name, _ in own):
            hooks += own
        norm = f"blocks.{site.layer}.ln2.hook_in"
        if site.place == "resid_mid" and norm in names:
            hooks.append((norm, lambda tensor, hook, site=site: norms.setdefault(site, []).append(tensor)))
    _probe(model, hooks)
    once = [site for site in sites if len(seen.get(site, [])) == 1]
    return {
        site: (seen[site][0][0].shape[-1], seen[site][0][1].shape[-1])
        for site in once
        if site.place != "resid_mid" or _is_read_by(norms.get(site, []), seen[site][0][1])
    }


def _is_read_by(norm: list[Tensor], value: Tensor) -> bool:
    """Whether the second norm reads this residual. `resid_mid` is put together from the block's input and what attention
    adds; parallel blocks have none, and a block that scales its branches or norms their sum would be misread."""
    tolerance = 1e-3 * float(value.abs().max())
    return len(norm) == 1 and norm[0].shape == value.shape and torch.allclose(norm[0], value, rtol=1e-2, atol=tolerance)


def _probe(model: Model, hooks: list[Hook]) -> None:
    """The shortest forward that passes every hook."""
    tokens = torch.zeros(1, 2, dtype=torch.long)
    whole = torch.ones(1, 2, dtype=torch.bool)
    with torch.no_grad(), model.hooks(hooks):
        model.logits(TokenBatch(tokens, whole, whole), at=torch.tensor([[False, True]]))
