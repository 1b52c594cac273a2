"""`mechsteer sweep`: one steer, measured."""

from pathlib import Path
from typing import Annotated

from .options import (
    AnyModelOption,
    ColumnsOption,
    DeviceMapOption,
    DeviceOption,
    DtypeOption,
    ExtendOption,
    GroupOption,
    InterventionOption,
    JsonOption,
    LearnedFormatOption,
    LearnedPositionsOption,
    LimitOption,
    MultipliersOption,
    PairsOption,
    RuleOption,
    SteeredModelOption,
    TemplateOption,
    check_output,
    open_steered,
    read_pairs,
    running,
    with_template,
)
from .printing import Table, echo, echo_json, number


def sweep(
    intervention: InterventionOption,
    out: Annotated[Path, running(help="The .parquet file to write.", metavar="FILE")],
    model: SteeredModelOption = None,
    pairs: PairsOption = "guestbook/sentiment",
    columns: ColumnsOption = "",
    group: GroupOption = None,
    limit: LimitOption = None,
    prompt_format: LearnedFormatOption = None,
    template_option: TemplateOption = None,
    multipliers: MultipliersOption = "auto",
    positions: LearnedPositionsOption = None,
    rule: RuleOption = None,
    any_model: AnyModelOption = False,
    batch_tokens: Annotated[
        int | None,
        running(
            help="Tokens in a forward, by default what suits the device; fewer take less memory.", min=1, metavar="N"
        ),
    ] = None,
    device: DeviceOption = None,
    device_map: DeviceMapOption = None,
    dtype: DtypeOption = None,
    extend: ExtendOption = "",
    as_json: JsonOption = False,
) -> None:
    """Measure preference and utility at every multiplier."""
    import numpy as np

    import mechsteer as ms
    from analyses.studies.settings import n_to_find, parse_multipliers

    n_found = n_to_find(multipliers)
    grid = parse_multipliers(multipliers) if n_found is None else np.empty(0)
    check_output(out, ".parquet")
    measured = read_pairs(pairs, columns, group, limit)
    place = {"device": device, "device_map": device_map, "dtype": dtype}
    opened, steer = open_steered(intervention, model, rule=rule, any_model=any_model, **place)
    prompt_format = with_template(prompt_format or steer.origin.prompt_format, template_option)
    if n_found is not None:
        grid = ms.find_multipliers(opened, steer, measured, n=n_found, prompt_format=prompt_format, positions=positions)
    found = ms.run_sweep(
        opened, steer, measured, grid, prompt_format=prompt_format, positions=positions, batch_tokens=batch_tokens
    )
    found.save(out)
    defined = np.isfinite(found.utility).all(axis=0)
    utility = found.utility[:, defined].mean(axis=1) if defined.any() else [None] * len(found.multipliers)
    rows = [
        dict(zip(("multiplier", "relative_shift", "preference", "utility"), map(_float, row), strict=True))
        for row in zip(
            found.multipliers, found.relative_shift.mean(axis=1), found.preference.mean(axis=1), utility, strict=True
        )
    ]
    content = {
        "out": str(out), "steer": found.key.steer, "hook": found.hooks, "n_pairs": len(found.pairs),
        "pairs_without_utility": int((~defined).sum()), "means": rows,
    }  # fmt: skip
    if as_json:
        echo_json(content)
        return
    echo(
        Table.of(
            f"{found.key.steer} ({found.hooks}): nats, means over {len(found.pairs)} pairs",
            ("m", "‖shift‖/‖h‖", "preference", "utility"),
            [
                (
                    number(row["multiplier"], 4),
                    number(row["relative_shift"]),
                    _nats(row["preference"]),
                    _nats(row["utility"]),
                )
                for row in rows
            ],
        )
    )
    if not defined.all():
        echo(
            f"Utility is undefined at some multiplier for {content['pairs_without_utility']} pairs, which its means leave out."
        )
    echo(str(out))


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _nats(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
