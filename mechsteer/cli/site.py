"""`mechsteer site`: where to steer, and how far."""

from .options import (
    ColumnsOption,
    DeviceMapOption,
    DeviceOption,
    DtypeOption,
    FormatOption,
    GroupOption,
    JsonOption,
    LayersAfterOption,
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
    layers_after: LayersAfterOption = 1,
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

    from ..measuring.useful import USEFUL

    compared = read_pairs(pairs, columns, group, limit, seed)
    opened = open_model(model, device, dtype, device_map=device_map)
    prompt_format = with_template(prompt_format, template_option)
    choice = ms.choose_site(opened, compared, prompt_format=prompt_format, layers_after=layers_after, seed=seed)
    sites = choice.table.drop_duplicates(["layer", "place"]).sort_values("useful_gain", ascending=False)
    rows = sites.to_dict("records")
    (there,) = (row for row in rows if (row["layer"], row["place"]) == (choice.site.layer, choice.site.place))
    because = f"{choice.site} ({choice.site.hook}): {choice.because}; there m = {there['useful_multiplier']:.3g}."
    if as_json:
        echo_json({"site": str(choice.site), "hook": choice.site.hook, "because": because, "sites": rows})
        return
    echo(
        Table.of(
            f"The best {min(MOST_SITES, len(rows))} of {len(rows)} sites, where {USEFUL:g} nats of utility are lost",
            ("site", "m", "preference gained (nats) [95 %]", "surely worse than the best", "layers after it"),
            [
                (
                    f"{row['layer']}:{row['place']}",
                    number(row["useful_multiplier"]),
                    f"{number(row['useful_gain'])} [{number(row['low'])}, {number(row['high'])}]",
                    "yes" if row["behind"] < 0 else "",
                    str(row["layers_after"]),
                )
                for row in rows[:MOST_SITES]
            ],
        ),
        because,
    )
