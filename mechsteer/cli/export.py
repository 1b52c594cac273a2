"""`mechsteer export`: a steer as other programs read it."""

from pathlib import Path
from typing import Annotated

import typer

from ..families import FORMATS
from ..formats.named import format_to_write, written_formats
from .options import (
    AnyModelOption,
    DeviceMapOption,
    DeviceOption,
    DtypeOption,
    ExtendOption,
    JsonOption,
    SteeredModelOption,
    SteeredPairsOption,
    open_steered,
    pairs_for,
    running,
    steers,
)
from .printing import echo, echo_json


def export(
    steer: Annotated[str, typer.Argument(help="The steer's file.", metavar="STEER")],
    to: Annotated[
        str,
        steers(help="; ".join(f"{name}: {FORMATS[name].title}" for name in written_formats()) + ".", metavar="FORMAT"),
    ],
    out: Annotated[Path, running(help="The file or folder to write.", metavar="PATH")],
    multiplier: Annotated[
        float, steers("--multiplier", "-m", help="Other programs know none: it becomes part of the shift.", metavar="M")
    ] = 1.0,
    model: SteeredModelOption = None,
    pairs: SteeredPairsOption = None,
    any_model: AnyModelOption = False,
    device: DeviceOption = None,
    device_map: DeviceMapOption = None,
    dtype: DtypeOption = None,
    extend: ExtendOption = "",
    as_json: JsonOption = False,
) -> None:
    """Write a steer as other programs read it, and prove it.

    It is read again and compared, and how far it differs is said. What the format cannot say stands beside it in mechsteer.json.
    """
    from ..formats.exporting import export as write
    from ..formats.loading import load_intervention

    member, opened, intervention = format_to_write(to), None, load_intervention(steer)
    if model is not None or pairs is not None or member.get("NEEDS_MODEL"):
        place = {"device": device, "device_map": device_map, "dtype": dtype}
        opened, intervention = open_steered(steer, model, rule=None, any_model=any_model, **place)
    some = None if opened is None else pairs_for(opened, pairs)
    done = write(intervention, out, to, model=opened, pairs=some, multiplier=multiplier)
    content = {
        "out": str(done.path), "format": done.format, "notes": list(done.notes), "difference": done.difference,
        "losses": done.losses, "effect": done.effect,
    }  # fmt: skip
    if as_json:
        echo_json(content)
        return
    echo(f"{done.path}: {intervention.name} as {done.format}")
    if done.difference is None:
        echo("This format cannot be read back, so it was not checked.")
    else:
        echo(f"Read again, Δh on random h differs by {done.difference:.1g} of its largest entry.")
    if done.losses is not None:
        echo(
            f"Losses of a few pairs differ by {done.losses:.1g} nats at most; the steer changes them by up to {done.effect:.3g}."
        )
    echo(*done.notes)
