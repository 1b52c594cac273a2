"""`mechsteer inspect`: what a steer's file is."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from .options import (
    DeviceMapOption,
    DeviceOption,
    DtypeOption,
    ExtendOption,
    JsonOption,
    SteeredPairsOption,
    open_steered,
    pairs_for,
    what,
)
from .printing import Table, echo, echo_json, number

if TYPE_CHECKING:
    from ..interventions import Intervention
    from ..models.model import Model


def inspect(
    file: Annotated[str, typer.Argument(help="A steer's file or folder, of any format.", metavar="FILE")],
    model: Annotated[
        str | None, what(help="Tell on this model how large the shift is beside what it is added to.", metavar="MODEL")
    ] = None,
    pairs: SteeredPairsOption = None,
    device: DeviceOption = None,
    device_map: DeviceMapOption = None,
    dtype: DtypeOption = None,
    extend: ExtendOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say what a steer's file is, in every program's terms.

    Its form, sites in every convention, norms, operation, positions and model, and what is unknown.
    """
    from ..formats.inspecting import inspect as look

    if pairs is not None and model is None:
        raise InputError("--pairs came without --model, on which the shift would be measured. Name a model.")
    content = look(file)
    if model is not None and "sites" in content:
        place = {"device": device, "device_map": device_map, "dtype": dtype}
        opened, steer = open_steered(file, model, rule=None, any_model=True, **place)
        content = look(file, opened.n_layers) | {"on_model": _on(opened, steer, pairs)}
    if as_json:
        echo_json(content)
    else:
        echo(*_told(content))


def _on(opened: "Model", steer: "Intervention", pairs: str | None) -> dict[str, Any]:
    """The relative shift at multiplier one, at each site, over a few pairs."""
    import torch

    import mechsteer as ms

    from ..models.model import pad_batch

    some = pairs_for(opened, pairs)
    if some is None:
        raise InputError("On which texts is not said. Pass --pairs.")
    encoded = ms.encode_pairs(opened, some[:8], steer.origin.prompt_format)
    batch = pad_batch([(pair.positive, pair.begin) for pair in encoded], opened.padding_token)
    with torch.no_grad(), ms.steer(opened, steer, 1.0) as audit:
        opened.logits(batch, at=batch.completion_mask)
    return {
        "model": opened.name,
        "relative_shift": {str(site): one.median_relative_shift for site, one in audit.at.items()},
    }


def _told(content: dict[str, Any]) -> list[Any]:
    if "sites" not in content:
        asks = [f"#{name}=...: {words}" for name, words in content["asks"].items()]
        tensors = [
            f"It holds {name or 'a value'}, {one['unusable']}, which no format reads."
            if "unusable" in one
            else f"It holds {name or 'a tensor'} of shape {tuple(one['shape'])}, {one['dtype']}, norm {number(one['norm'])}."
            for name, one in content["tensors"].items()
        ]
        return [content["because"], *tensors, "What may be said after its name:", *asks]
    columns = ("site", "same_as", "hook", "hidden_states", "llama_cpp", "module", "form", "d_in", "d_out", "norm")
    shown = content.get("on_model", {}).get("relative_shift", {})
    rows = [
        (
            *("-" if row[name] is None else str(row[name]) for name in columns[:-1]),
            number(row["norm"]),
            *([number(shown[row["site"]])] if shown else []),
        )
        for row in content["sites"]
    ]
    names = (
        "site",
        "same as",
        "hook",
        "hidden_states",
        "llama.cpp",
        "module",
        "form",
        "d_in",
        "d_out",
        "norm",
        "‖Δh‖/‖h‖",
    )
    origin = [
        f"{name.replace('_', ' ')}: {content[name]}"
        for name in ("model", "revision", "fingerprint", "dtype", "prompt_format", "pairs")
        if content.get(name)
    ]
    return [
        f"{content['file']}: {content['about']} ({content['format']})",
        f"{content['method']} {content['form']}; positions: {content['positions']}; operation: {content['operation']}",
        Table.of(
            "Layers count from 0; hidden_states is the index of Hugging Face's tuple, whose last entry is after the final norm",
            names[: len(rows[0])],
            rows,
        ),
        *origin,
        *(["; ".join(f"{name} {value}" for name, value in content["settings"].items())] if content["settings"] else []),
        *content["notes"],
        *(f"Unknown: {words}." for words in content["unknown"]),
    ]
