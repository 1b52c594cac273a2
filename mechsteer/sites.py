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

# (d_in, d_out) of each site that was looked for in a model; None where the model lacks it.
_WIDTHS: WeakKeyDictionary[Model, dict["Site", tuple[int, int] | None]] = WeakKeyDictionary()


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
    def _input_hook(self) -> str | None:
        """The hook that shows, earlier in the same forward, what h is made from."""
        name = {"mlp.out": "mlp.out.hook_in", "attn.o": "attn.o.hook_in", "resid_mid": "hook_in"}.get(self.place)
        return None if name is None else f"blocks.{self.layer}.{name}"

    def widths(self, model: Model) -> tuple[int, int]:
        """(d_in, d_out): the width of h and that of the shift; one sentence if the model lacks this site."""
        if self.layer >= model.n_layers:
            raise InputError(f"The site {self} does not exist: {model.name} has layers 0 to {model.n_layers - 1}.")
        widths = _widths(model, self)
        if widths is None:
            available = [place for place in PLACES if _widths(model, Site(self.layer, place))]
            raise InputError(
                f"The site {self} does not exist: layer {self.layer} of {model.name} has {', '.join(available)}."
            )
        return widths

    def hooks(self, look: Look) -> list[Hook]:
        """Hooks that show (h, value) to `look` and add what it returns, if anything, to the value."""
        earlier: list[Tensor] = []

        def remember(tensor: Tensor, hook: object) -> None:
            earlier[:] = [tensor]

        def show(output: Tensor, hook: object) -> Tensor | None:
            h = value = output
            if self.place == "resid_mid":
                h = value = earlier.pop() + output
            elif self._input_hook is not None:
                h = earlier.pop()
                if h.ndim == 4:
                    h = rearrange(h, "batch pos head d_head -> batch pos (head d_head)")
            shift = look(h, value)
            return None if shift is None else output + shift

        return [(name, function) for name, function in ((self._input_hook, remember), (self.hook, show)) if name]


def all_sites(model: Model, places: tuple[str, ...] = PLACES) -> list[Site]:
    """Every site of the given places that the model has, by layer."""
    sites = [Site(layer, place) for layer in range(model.n_layers) for place in places]
    return [site for site in sites if _widths(model, site)]


def _widths(model: Model, site: Site) -> tuple[int, int] | None:
    known = _WIDTHS.setdefault(model, {})
    if site not in known:
        known[site] = _look_for(model, site)
    return known[site]


def _look_for(model: Model, site: Site) -> tuple[int, int] | None:
    if any(name not in model.bridge.hook_dict for name, _ in site.hooks(lambda h, value: None)):
        return None
    seen: list[tuple[Tensor, Tensor]] = []
    _probe(model, site.hooks(lambda h, value: seen.append((h, value))))
    if len(seen) != 1:
        return None
    h, value = seen[0]
    if site.place == "resid_mid":
        # It is put together from the block's input and what attention adds. Parallel blocks have none, and a block
        # that scales its branches or norms their sum would be misread: compare with what the second norm reads.
        norm = f"blocks.{site.layer}.ln2.hook_in"
        read: list[Tensor] = []
        if norm in model.bridge.hook_dict:
            _probe(model, [(norm, lambda tensor, hook: read.append(tensor))])
        if len(read) != 1 or not torch.allclose(read[0], value, rtol=1e-2, atol=1e-3 * float(value.abs().max())):
            return None
    return h.shape[-1], value.shape[-1]


def _probe(model: Model, hooks: list[Hook]) -> None:
    """The shortest forward that passes every hook."""
    tokens = torch.zeros(1, 2, dtype=torch.long)
    whole = torch.ones(1, 2, dtype=torch.bool)
    with torch.no_grad(), model.hooks(hooks):
        model.logits(TokenBatch(tokens, whole, whole), at=torch.tensor([[False, True]]))
