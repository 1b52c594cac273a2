"""`mechsteer train`: one steer."""

from pathlib import Path
from typing import Annotated

from ..errors import InputError
from .options import (
    ColumnsOption,
    DeviceOption,
    DtypeOption,
    FormatOption,
    GroupOption,
    JsonOption,
    ModelOption,
    PairsOption,
    SeedOption,
    learning,
    open_model,
    read_pairs,
    running,
    steers,
)
from .printing import echo, echo_json


def train(
    site: Annotated[
        str,
        steers(
            help="Where to steer: layers from 0, places mlp.out, attn.o, resid_pre, resid_mid, resid_post.",
            metavar="LAYER:PLACE",
        ),
    ],
    out: Annotated[
        Path,
        running(help="The .safetensors file to write; the history goes beside it as parquet.", metavar="FILE"),
    ],
    model: ModelOption = "guestbook",
    pairs: PairsOption = "guestbook/sentiment",
    columns: ColumnsOption = "",
    group: GroupOption = None,
    prompt_format: FormatOption = "raw",
    form: Annotated[str, steers(help="vector, lora or local_weight.", metavar="FORM")] = "vector",
    method: Annotated[
        str, steers(help="SFT, RePS, SPLIT, or DiffMean, which needs no training.", metavar="METHOD")
    ] = "SPLIT",
    positions: Annotated[
        str, steers(help="Tokens to steer: 'all' but the first (BOS), 'completion' or 'query'.", metavar="POSITIONS")
    ] = "all",
    steps: Annotated[int | None, learning(help="Training steps, by default 150.", min=1, metavar="N")] = None,
    batch_size: Annotated[int | None, learning(help="Pairs in a step, by default 8.", min=1, metavar="N")] = None,
    learning_rate: Annotated[
        float | None,
        learning(help="Share of the activations' size that a step may move each entry of the delta.", metavar="SHARE"),
    ] = None,
    reference: Annotated[
        bool,
        learning("--reference", help="Use the settings of the paper's public code instead of our defaults."),
    ] = False,
    validation: Annotated[
        str | None, learning(help="Pairs that choose the step whose state is kept.", metavar="PAIRS")
    ] = None,
    patience: Annotated[
        int | None,
        learning(help="With --validation: stop after so many measurements without a better one.", min=1, metavar="N"),
    ] = None,
    gradient_checkpointing: Annotated[
        bool, learning("--gradient-checkpointing", help="Compute more and keep less, for large models.")
    ] = False,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn a vector, a LoRA or a local weight from pairs.

    An interrupted run goes on when the command is repeated.
    """
    import torch

    import mechsteer as ms

    from ..interventions import FORMS
    from ..methods import OBJECTIVES, Recipe
    from ..store.atomic import write_atomically

    given = {"steps": steps, "batch_size": batch_size, "learning_rate": learning_rate}
    given = {name: value for name, value in given.items() if value is not None}
    if reference and given.keys() - {"learning_rate"}:
        raise InputError("--reference brings its own steps and batch size. Leave out --steps and --batch-size.")
    place = ms.Site.parse(site)
    for name, value, known in (("form", form, FORMS), ("method", method, ["DiffMean", *OBJECTIVES])):
        if value not in known:
            raise InputError(f"The {name} {value!r} is unknown. Choose {', '.join(known)}.")
    if out.suffix != ".safetensors":
        raise InputError(f"--out is {str(out)!r}. Name a file that ends in .safetensors.")
    opened = open_model(model, device, dtype)
    teaching = read_pairs(pairs, columns, group)
    content = {
        "out": str(out), "method": method, "form": form, "site": str(place), "hook": place.hook, "n_pairs": len(teaching),
    }  # fmt: skip
    words = f"{out}: {method} {form} at {place} ({place.hook}) from {len(teaching)} pairs"
    if method == "DiffMean":
        if form != "vector":
            raise InputError(f"DiffMean gives a vector, not a {form}. Choose --form vector or another method.")
        if positions != "all":
            raise InputError("DiffMean reads completion tokens and is for all positions. Leave out --positions.")
        ms.diff_mean(opened, teaching, place, prompt_format=prompt_format).save(out)
    else:
        recipe = OBJECTIVES[method].reference(form) if reference else Recipe(OBJECTIVES[method](), {})
        start = FORMS[form].init(place, *place.widths(opened), generator=torch.Generator().manual_seed(seed))
        checkpoint = out.with_name(f".{out.name}.partial")
        trained = ms.train(
            opened, start, teaching, recipe.objective, seed=seed, prompt_format=prompt_format, positions=positions,
            validation=None if validation is None else read_pairs(validation, columns, group), patience=patience,
            checkpoint=checkpoint, gradient_checkpointing=gradient_checkpointing, **recipe.settings | given,
        )  # fmt: skip
        trained.intervention.save(out)
        history = out.with_suffix(".history.parquet")
        write_atomically(history, lambda temporary: trained.history.to_parquet(temporary, index=False))
        checkpoint.unlink()
        last = trained.history.tail(10)[["loss", "preference", "utility"]].mean().to_dict()
        content |= {"history": str(history), "steps": len(trained.history), "last_ten_steps": last}
        words += (
            f" in {len(trained.history)} steps; over the last ten, loss {last['loss']:.3f}, preference "
            f"{last['preference']:+.2f} and utility {last['utility']:.2f} nats"
        )
    if as_json:
        echo_json(content)
    else:
        echo(words)
