"""What a steer's file says, in the conventions of every program that might read it, and what it leaves open."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..families import FORMATS
from ..interventions.base import Intervention, Shift
from ..interventions.rules.add import Add
from ..models.sites import Site
from .loading import load_intervention
from .modules import GGUF_TENSORS, MODULES, tensor_of
from .named import GENERAL, PICKLES, SteerFile, Unsaid
from .pickles import read_pickle, strange
from .stream import other_name

FROM = ("model", "revision", "fingerprint", "dtype", "prompt_format", "pairs")
"""Of an origin, what a user must know to use a steer rightly."""
HINTS = ("controlvector.model_hint", "model_type")
"""Settings of files that say of which kind the model is, but not which it is."""


def inspect(source: str | Path, n_layers: int | None = None) -> dict[str, Any]:
    """What a file is: format, form, operation, sites, norms, origin, and what is unknown; or, first, what its format asks.

    Args:
        n_layers: of the model, which tells whether a block is its last.
    """
    file = SteerFile.of(source)
    try:
        steer = load_intervention(source)
    except Unsaid as unsaid:
        return {"file": str(file.path), **_asked(file), "because": str(unsaid)}
    beside = file.beside()
    format = file.format(beside)
    origin, is_ours = steer.origin, format == "mechsteer" or beside is not None
    return {
        "file": str(file.path),
        "format": format,
        "about": FORMATS[format].title,
        "form": steer.form,
        "operation": _operation(steer),
        "positions": origin.positions,
        "method": origin.method,
        "sites": [_site(site, shift, n_layers) for site, shift in steer.shifts.items()],
        **{name: getattr(origin, name) for name in FROM if is_ours or name in ("model", "revision")},
        "settings": dict(origin.settings),
        "notes": list(beside.notes) if beside else [],
        "unknown": list(_unknown(steer, format, is_ours)),
    }


def _operation(steer: Intervention) -> str:
    """What the steer does to the output of its sites, in words."""
    if isinstance(steer.rule, Add):
        return "adds m·(ΔW h + Δb) to the output"
    return f"changes the output by the rule {steer.rule}, given m and ΔW h + Δb"


def _asked(file: SteerFile) -> dict[str, Any]:
    """Of a file that does not say enough: what is asked, and what its tensors look like."""
    try:
        format = file.format(None)
        asks: Mapping[str, str] = {**FORMATS[format].get("ASKS", {}), **FORMATS[format].get("MAY", {})}
    except Unsaid:
        format, asks = None, {"format": GENERAL["format"]}
    return {"format": format, "asks": dict(asks), "tensors": _tensors(file.path) if file.path.suffix in PICKLES else {}}


def _tensors(path: Path) -> dict[str, Any]:
    value = read_pickle(path)
    found = value if isinstance(value, dict) else {"": value}
    return {
        str(name): {"unusable": what}
        if (what := strange(tensor))
        else {"shape": list(tensor.shape), "dtype": str(tensor.dtype), "norm": float(tensor.detach().double().norm())}
        for name, tensor in found.items()
        if isinstance(tensor, Tensor)
    }


def _site(site: Site, shift: Shift, n_layers: int | None) -> dict[str, Any]:
    """A site in every convention; null where a convention has no name for it."""
    same = other_name(site, n_layers)
    left = next((one.layer for one in (site, same) if one is not None and one.place == "resid_post"), None)
    entered = {"resid_pre": site.layer, "resid_post": site.layer + 1}.get(site.place)
    d_in, d_out = shift.widths
    return {
        "site": str(site),
        "same_as": same and str(same),
        "hook": site.hook,
        # Past the last block the tuple holds what the final norm makes of it.
        "hidden_states": None if entered == n_layers else entered,
        "llama_cpp": f"direction.{left}" if left else tensor_of(site) if site.place in GGUF_TENSORS else None,
        "module": f"layers.{site.layer}.{MODULES[site.place][0]}" if site.place in MODULES else None,
        "form": shift.form,
        "d_in": d_in,
        "d_out": d_out,
        "norm": shift.norm,
    }


def _unknown(steer: Intervention, format: str, is_ours: bool) -> Iterator[str]:
    origin = steer.origin
    if not origin.model:
        hints = {name: value for name, value in origin.settings.items() if name in HINTS}
        said = "".join(f"; its {name} is {value!r}" for name, value in hints.items())
        yield f"the model that it was made for{said}"
    elif not origin.fingerprint:
        yield f"whether a model called {origin.model!r} has the weights that it was made for"
    if not origin.dtype:
        yield "at which precision it was learned"
    if not origin.pairs:
        yield "from what it was learned"
    if not is_ours:
        yield f"which tokens its maker meant: {origin.positions!r} is what programs do that read the format"
        yield from (FORMATS[format].get("LEAVES") or {"scale": "by which multiplier its maker used it"}).values()
