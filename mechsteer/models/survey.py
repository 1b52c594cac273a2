"""Which sites a model has, how wide they are, and hooks that show what stands there."""

from collections.abc import Callable
from contextlib import suppress
from weakref import WeakKeyDictionary

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from .hooks import PLACES, reads_middle
from .model import Hook, Model, TokenBatch
from .sites import Site

Look = Callable[[Float[Tensor, "batch pos d_in"], Float[Tensor, "batch pos d_out"]], Tensor | None]
"""What a site shows on the way: h, and the value that the shift is added to; what it returns, if anything, is added."""

# (d_in, d_out) of each site that a model has.
_WIDTHS: WeakKeyDictionary[Model, dict[Site, tuple[int, int]]] = WeakKeyDictionary()


def widths(site: Site, model: Model) -> tuple[int, int]:
    """(d_in, d_out): the width of h and that of the shift; one sentence if the model lacks this site."""
    if site.layer >= model.n_layers:
        raise InputError(f"The site {site} does not exist: {model.name} has layers 0 to {model.n_layers - 1}.")
    found = _survey(model)
    if site not in found:
        available = ", ".join(other.place for other in found if other.layer == site.layer) or "none that can be steered"
        raise InputError(f"The site {site} does not exist: layer {site.layer} of {model.name} has {available}.")
    return found[site]


def hooks(site: Site, look: Look) -> list[Hook]:
    """Hooks that show (h, value) to `look` and add what it returns, if anything, to the value."""
    earlier: list[Tensor] = []

    def remember(tensor: Tensor, hook: object) -> None:
        earlier[:] = [tensor]

    def show(output: Tensor, hook: object) -> Tensor | None:
        h = value = output
        if site.place == "resid_mid":
            h = value = earlier[-1] + output
        elif site.input_hook is not None:
            h = earlier[-1]
            if h.ndim == 4:
                h = rearrange(h, "batch pos head d_head -> batch pos (head d_head)")
        shift = look(h, value)
        return None if shift is None else output + shift

    return [(name, function) for name, function in ((site.input_hook, remember), (site.hook, show)) if name]


def all_sites(model: Model, places: tuple[str, ...] = tuple(PLACES)) -> list[Site]:
    """Every site of the given places that the model has, by layer."""
    return [site for site in _survey(model) if site.place in places]


def adds_plainly(model: Model, layer: int) -> bool:
    """Whether a block adds what the last maps of attention and MLP give as it is: no norm and no factor comes after them."""
    sites = [Site(layer, place) for place in ("resid_pre", "attn.o", "mlp.out", "resid_post")]
    if not {*sites} <= _survey(model).keys():
        return False
    seen: dict[Site, Tensor] = {}
    looks = (site.hooks(lambda h, value, site=site: seen.update({site: value})) for site in sites)
    _probe(model, [hook for some in looks for hook in some])
    *parts, left = (seen[site].double() for site in sites)
    # No more than what two sums round by.
    largest = torch.stack([*parts, left]).abs().amax(0)
    return bool(((left - sum(parts)).abs() <= 4 * torch.finfo(seen[sites[-1]].dtype).eps * largest).all())


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
    """Which of the sites fire exactly once in a forward, on vectors by position, and how wide they are."""
    names = model.hook_points
    seen: dict[Site, list[tuple[Tensor, Tensor]]] = {}
    norms: dict[Site, list[Tensor]] = {}
    hooks: list[Hook] = []
    for site in sites:
        own = site.hooks(lambda h, value, site=site: seen.setdefault(site, []).append((h, value)))
        if all(name in names for name, _ in own):
            hooks += own
        norm = reads_middle(site.layer)
        if site.place == "resid_mid" and norm in names:
            hooks.append((norm, lambda tensor, hook, site=site: norms.setdefault(site, []).append(tensor)))
    _probe(model, hooks)
    # Some families carry several residual streams side by side, [batch pos stream d_model]: no shift of ours fits them.
    once = [site for site in sites if [value.ndim for _, value in seen.get(site, [])] == [3]]
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
