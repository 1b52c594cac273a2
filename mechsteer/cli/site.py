"""`mechsteer site`: where to steer, and how far."""

from .options import (
    ColumnsOption,
    DeviceMapOption,
    DeviceOption,
    DtypeOption,
    FormatOption,
    GroupOption,
    JsonOption,
    LimitOption,
    ModelOption,
    PairsOption,
    SeedOption,
    TemplateOption,
    open_model,
    read_pairs,
    with_template,
)
from .printing import Table, echo, echo_json, number

MOST_SITES = 12


def site(
    model: ModelOption = "guestbook",
    pairs: PairsOption = "guestbook/sentiment",
    columns: ColumnsOption = "",
    group: GroupOption = None,
    limit: LimitOption = None,
    prompt_format: FormatOption = "raw",
    template_option: TemplateOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    device_map: DeviceMapOption = None,
    dtype: DtypeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare all sites, and recommend one and a multiplier.

    Each is steered by its DiffMean vector at equal relative shifts ‖mΔh‖/‖h‖, by forward passes alone.
    """
    import mechsteer as ms

    compared = read_pairs(pairs, columns, group, limit, seed)
    opened = open_model(model, device, dtype, device_map=device_map)
    prompt_format = with_template(prompt_format, template_option)
    choice = ms.choose_site(opened, compared, prompt_format=prompt_format, seed=seed)
    best = choice.table.loc[choice.table.groupby(["layer", "place"])["gain_per_nat"].idxmax()]
    rows = best.sort_values("gain_per_nat", ascending=False).to_dict("records")
    because = f"{choice.site} ({choice.site.hook}): {choice.because}; there m = {rows[0]['multiplier']:.3g}."
    if as_json:
        echo_json({"site": str(choice.site), "hook": choice.site.hook, "because": because, "sites": rows})
        return
    names = ("relative_shift", "multiplier", "preference_gained", "utility_lost", "gain_per_nat")
    echo(
        Table.of(
            f"The best {min(MOST_SITES, len(rows))} of {len(rows)} sites, each at its best shift (nats, means)",
            ("site", "‖mΔh‖/‖h‖", "m", "preference gained", "utility lost", "gained per nat"),
            [(f"{row['layer']}:{row['place']}", *(number(row[name]) for name in names)) for row in rows[:MOST_SITES]],
        ),
        because,
    )
