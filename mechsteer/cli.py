"""The command line: the front door, which may import every room."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .errors import InputError

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Why does steering a language model work, and why does it fail?",
)

ModelOption = Annotated[str, typer.Option(help="'guestbook', a folder with a Hugging Face model, or a hub name.")]
PairsOption = Annotated[
    str,
    typer.Option(
        help="Polarity pairs: 'guestbook/sentiment' (or certainty, tense), or a JSONL, JSON, CSV, TSV or parquet file."
    ),
]
SiteOption = Annotated[
    str,
    typer.Option(
        help="Where to steer: LAYER:PLACE, layers from 0, places mlp.out, attn.o, resid_pre, resid_mid, resid_post; "
        "'auto' compares them all."
    ),
]
MultipliersOption = Annotated[
    str, typer.Option(help="LO:HI:N, evenly spaced; 'auto' finds the range from no effect to collapse.")
]
FormatOption = Annotated[
    str, typer.Option("--format", help="'raw' adds nothing to a query; 'chat' uses the tokenizer's chat template.")
]
PositionsOption = Annotated[
    str, typer.Option(help="Tokens to steer: 'all' but the first (BOS), 'completion' or 'query'.")
]
LearnedFormatOption = Annotated[
    str | None, typer.Option("--format", help="raw or chat; by default the one with which the steer was learned.")
]
LearnedPositionsOption = Annotated[
    str | None, typer.Option(help="all, completion or query; by default those with which the steer was learned.")
]
AnyModelOption = Annotated[bool, typer.Option("--any-model", help="Use the steer on a model that it was not made for.")]
DeviceOption = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:1; by default a GPU if there is one.")]
DtypeOption = Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; by default the model's own.")]
SeedOption = Annotated[int, typer.Option(help="The same seed gives the same numbers.")]
StepsOption = Annotated[int, typer.Option(help="Training steps of each trained steer.", min=1)]


@app.command(
    epilog="Example: `mechsteer study --model gpt2 --pairs my_pairs.jsonl --site 6:resid_post --out results/gpt2`"
)
def study(
    model: ModelOption = "guestbook",
    pairs: PairsOption = "guestbook/sentiment",
    test_pairs: Annotated[
        str | None, typer.Option(help="Pairs to measure; by default half of --pairs, the other half teaching.")
    ] = None,
    site: SiteOption = "auto",
    multipliers: MultipliersOption = "auto",
    prompt_format: FormatOption = "raw",
    methods: Annotated[str, typer.Option(help="Which ways of learning to compare.")] = "DiffMean,Random,SFT,RePS,SPLIT",
    forms: Annotated[
        str, typer.Option(help="In which forms; DiffMean and Random, its control, are vectors.")
    ] = "vector,lora,local_weight",
    seeds: Annotated[int, typer.Option(help="Training seeds of each; three or more show their spread.", min=1)] = 1,
    steps: StepsOption = 150,
    other_pairs: Annotated[
        str, typer.Option(help="Comma-separated pairs of other concepts, on which side effects are measured.")
    ] = "",
    claims: Annotated[
        str,
        typer.Option(
            help="Steers by which the paper's claims are judged, such as DiffMean-vector,SPLIT-lora; '' none."
        ),
    ] = "DiffMean-vector",
    seed: SeedOption = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results, by default results/MODEL-PAIRS.")] = None,
) -> None:
    """Learn steers, measure preference and utility at every multiplier, fit the paper's curves, and compare.

    Writes study.json (settings, versions, hashes, summary), sweeps.parquet, fits.json, sites.parquet, frontier.parquet,
    side_effects.parquet, claims.json, interventions/*.safetensors and figures/. An interrupted study goes on when the command is
    repeated.
    """
    from analyses import study as study_analysis
    from analyses.settings import Settings
    from figures import draw_all

    settings = Settings(
        model=model, pairs=pairs, test_pairs=test_pairs, site=site, multipliers=multipliers, format=prompt_format,
        methods=_list(methods), forms=_list(forms), seeds=seeds, steps=steps, other_pairs=_list(other_pairs),
        claims=_list(claims), seed=seed, device=device, dtype=dtype,
    )  # fmt: skip
    out = out or Path("results") / f"{Path(model).name}-{Path(pairs).with_suffix('').name}"
    console = Console(highlight=False)

    def finish(folder: Path) -> None:
        draw_all(study_analysis.Study.load(folder), folder / "figures")

    result = study_analysis.run(settings, out, report=lambda line: console.print(line, markup=False), finish=finish)
    _print_study(console, result)


@app.command(
    epilog="Example: `mechsteer train --pairs guestbook/tense --form lora --method SPLIT --site 2:mlp.out "
    "--out tense.safetensors`"
)
def train(
    site: Annotated[str, typer.Option(help="Where to steer: LAYER:PLACE, layers from 0.")],
    out: Annotated[Path, typer.Option(help="The .safetensors file to write; the history goes beside it as parquet.")],
    model: ModelOption = "guestbook",
    pairs: PairsOption = "guestbook/sentiment",
    form: Annotated[str, typer.Option(help="vector, lora or local_weight.")] = "vector",
    method: Annotated[str, typer.Option(help="SFT, RePS, SPLIT, or DiffMean, which needs no training.")] = "SPLIT",
    steps: Annotated[int | None, typer.Option(help="Training steps, by default 150.", min=1)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Pairs in a step, by default 8.", min=1)] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Share of the activations' size that a step may move each entry of the delta.")
    ] = None,
    reference: Annotated[
        bool, typer.Option("--reference", help="Use the settings of the paper's public code instead of our defaults.")
    ] = False,
    validation: Annotated[str | None, typer.Option(help="Pairs that choose the step whose state is kept.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="With --validation: stop after so many measurements without a better one.", min=1)
    ] = None,
    positions: PositionsOption = "all",
    prompt_format: FormatOption = "raw",
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Compute more and keep less, for large models.")
    ] = False,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Learn a steering vector, a LoRA or a local weight from pairs. An interrupted run goes on when repeated."""
    import torch

    import mechsteer as ms

    from .files import write_atomically
    from .interventions import FORMS
    from .training import OBJECTIVES, Recipe

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
    opened = _open(model, device, dtype)
    teaching = ms.load_pairs(pairs)
    console = Console(highlight=False)
    if method == "DiffMean":
        if form != "vector":
            raise InputError(f"DiffMean gives a vector, not a {form}. Choose --form vector or another method.")
        if positions != "all":
            raise InputError("DiffMean reads completion tokens and is for all positions. Leave out --positions.")
        ms.diff_mean(opened, teaching, place, prompt_format=prompt_format).save(out)
        console.print(f"{out}: DiffMean vector at {place} from {len(teaching)} pairs", markup=False)
        return
    recipe = OBJECTIVES[method].reference(form) if reference else Recipe(OBJECTIVES[method](), {})
    start = FORMS[form].init(place, *place.widths(opened), generator=torch.Generator().manual_seed(seed))
    checkpoint = out.with_name(f".{out.name}.partial")
    trained = ms.train(
        opened, start, teaching, recipe.objective, seed=seed, prompt_format=prompt_format, positions=positions,
        validation=None if validation is None else ms.load_pairs(validation), patience=patience, checkpoint=checkpoint,
        gradient_checkpointing=gradient_checkpointing, **recipe.settings | given,
    )  # fmt: skip
    trained.intervention.save(out)
    history = out.with_suffix(".history.parquet")
    write_atomically(history, lambda temporary: trained.history.to_parquet(temporary, index=False))
    checkpoint.unlink()
    last = trained.history.tail(10).mean()
    console.print(
        f"{out}: {method} {form} at {place} from {len(teaching)} pairs in {len(trained.history)} steps; over the last ten, "
        f"loss {last.loss:.3f}, preference {last.preference:+.2f} and utility {last.utility:.2f} nats",
        markup=False,
    )


@app.command(
    epilog="Example: `mechsteer sweep --intervention tense.safetensors --pairs guestbook/tense --multipliers=-2:2:21 "
    "--out sweep.parquet`"
)
def sweep(
    intervention: Annotated[Path, typer.Option(help="A .safetensors file from a study or from training.")],
    out: Annotated[Path, typer.Option(help="The .parquet file to write.")],
    model: ModelOption = "guestbook",
    pairs: PairsOption = "guestbook/sentiment",
    multipliers: MultipliersOption = "auto",
    positions: LearnedPositionsOption = None,
    prompt_format: LearnedFormatOption = None,
    any_model: AnyModelOption = False,
    batch_size: Annotated[int, typer.Option(help="Texts in a forward.", min=1)] = 32,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Measure preference and utility of pairs at every multiplier of an intervention."""
    import numpy as np

    import mechsteer as ms
    from analyses.settings import parse_multipliers

    grid = None if multipliers == "auto" else parse_multipliers(multipliers)
    if out.suffix != ".parquet":
        raise InputError(f"--out is {str(out)!r}. Name a file that ends in .parquet.")
    opened = _open(model, device, dtype)
    steer = ms.load_intervention(intervention, None if any_model else opened)
    measured = ms.load_pairs(pairs)
    if grid is None:
        grid = ms.find_multipliers(opened, steer, measured, prompt_format=prompt_format, positions=positions)
    found = ms.run_sweep(
        opened, steer, measured, grid, prompt_format=prompt_format, positions=positions, batch_size=batch_size
    )
    found.save(out)
    table = _table("m", "‖mΔh‖/‖h‖", "preference", "utility", title=f"{found.intervention}: nats, means over pairs")
    for index, m in enumerate(found.multipliers):
        table.add_row(
            f"{m:.4g}",
            f"{found.relative_shift[index].mean():.3g}",
            f"{found.preference[index].mean():.3f}",
            f"{np.nanmean(found.utility[index]):.3f}",
        )
    console = Console(highlight=False)
    console.print(table)
    if undefined := int(np.isnan(found.utility).any(axis=0).sum()):
        console.print(f"Utility is undefined at some multiplier for {undefined} pairs, which its means leave out.")
    console.print(str(out), markup=False)


@app.command(
    epilog="Example: `mechsteer generate --intervention results/guestbook/interventions/diffmean-vector.safetensors "
    "--multiplier -6 --multiplier 0 --multiplier 6 'what about the soup ?'`"
)
def generate(
    prompts: Annotated[list[str], typer.Argument(help="Texts to continue.")],
    intervention: Annotated[Path, typer.Option(help="A .safetensors file from a study or from training.")],
    model: ModelOption = "guestbook",
    multiplier: Annotated[list[float], typer.Option(help="Repeat it for several, side by side.")] = [0.0],  # noqa: B006
    positions: LearnedPositionsOption = None,
    prompt_format: LearnedFormatOption = None,
    any_model: AnyModelOption = False,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens to write at most.", min=1)] = 48,
    temperature: Annotated[float, typer.Option(help="0 always takes the likeliest token.", min=0)] = 0.0,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
) -> None:
    """Show what the model writes at several multipliers of an intervention, and how large the shift was."""
    import mechsteer as ms

    opened = _open(model, device, dtype)
    steer = ms.load_intervention(intervention, None if any_model else opened)
    prompt_format = prompt_format or steer.origin.prompt_format
    console = Console(highlight=False)
    console.print(f"{steer.origin.method} {steer.form} at {steer.site} ({steer.site.hook})")
    table = _table("m", "‖mΔh‖/‖h‖", *prompts)
    table.show_lines = True
    for value in multiplier:
        with ms.steer(opened, steer, value, positions) as audit:
            texts = ms.generate(
                opened, prompts, prompt_format=prompt_format, max_new_tokens=max_new_tokens, temperature=temperature,
                seed=seed,
            )  # fmt: skip
        table.add_row(f"{value:g}", f"{audit.mean_relative_shift:.3g}", *(Text(text.strip()) for text in texts))
    console.print(table)


def _open(model: str, device: str | None, dtype: str | None) -> Any:
    import mechsteer as ms

    opened = ms.load_model(model, device=device, dtype=dtype)
    ms.use_threads_for(opened)
    return opened


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _table(*columns: str, title: str | None = None) -> Table:
    """A table whose texts, which may come from data, are no markup."""
    table = Table(title=None if title is None else Text(title), title_justify="left")
    for column in columns:
        table.add_column(Text(column), overflow="fold")
    return table


def _print_study(console: Console, result: Any) -> None:
    summary = result.summary["summary"]
    fits = result.fits[summary["intervention"]]
    table = _table("", "preference", "utility", title=f"Curves of {summary['intervention']}")
    both = (fits["preference"], fits["utility"])
    table.add_row("at m = 0 (nats)", f"{summary['preference_at_zero']:.2f}", f"{summary['utility_at_zero']:.2f}")
    table.add_row("fit", *(item["status"].lower().replace("_", " ") for item in both))
    for label, key in (("R² in sample", "r_squared"), ("R² held out", "held_out_r_squared")):
        table.add_row(label, *(_number(item["score"][key]) for item in both))
    table.add_row("best rival, R² held out", *(_best_rival(item) for item in both))
    for name in dict.fromkeys([*fits["preference"]["properties"], *fits["utility"]["properties"]]):
        table.add_row(name.replace("_", " "), *(Text(_property(item["properties"].get(name))) for item in both))
    console.print(table)
    if (result.folder / "frontier.parquet").exists():
        console.print(_frontier(result.table("frontier")))
    claims = result.folder / "claims.json"
    if claims.exists():
        console.print(_claims(json.loads(claims.read_text())))
    for sentence in summary["comparison"]:
        console.print(sentence, markup=False)
    console.print(
        f"Within one nat of utility, {summary['intervention']} raises preference from "
        f"{summary['preference_at_zero']:.2f} to {summary['largest_preference_within_one_nat_of_utility']:.2f} nats, at "
        f"m = {summary['multiplier_of_it']:.3g} (relative shift {summary['relative_shift_of_it']:.3g}).",
        markup=False,
    )
    if summary["pairs_without_utility"]:
        console.print(f"Utility is undefined at some multiplier for {summary['pairs_without_utility']} pairs.")
    console.print(f"Everything is in {result.folder}; see its figures/ and study.json.", markup=False)


def _frontier(rows: Any) -> Table:
    budgets = sorted(rows.budget.dropna().unique())
    headers = [f"{budget:g}" for budget in budgets]
    table = _table("steer", *headers, "mean [95 %]", title="Preference gained (nats) at a loss of utility of ... nats")
    for (form, method), group in rows.groupby(["form", "method"], sort=False):
        by_budget = group.set_index("budget")
        cells = [f"{by_budget.gained[budget]:.1f}" for budget in budgets]
        area = group[group.budget.isna()].iloc[0]
        cells.append(f"{area.gained:.1f} [{area.low:.1f}, {area.high:.1f}]")
        table.add_row(f"{method} {form.replace('_', ' ')}", *(Text(cell) for cell in cells))
    return table


def _claims(rows: list[dict[str, Any]]) -> Table:
    colours = {"supported": "green", "refuted": "red", "inconclusive": "yellow"}
    table = _table("claim", "of", "estimate [95 %]", "outcome", title="What holds of the paper's assumptions")
    for row in rows:
        low, high = ("-" if row[end] is None else f"{row[end]:.2g}" for end in ("low", "high"))
        estimate = "-" if row["estimate"] is None else f"{row['estimate']:.2g}"
        subject = row["subject"].partition(" on ")[0]
        if row["claim"] == "split_wins":
            subject += f", against {row['control'].partition(',')[0]}"
        outcome = Text(row["outcome"], style=colours[row["outcome"]])
        table.add_row(row["claim"], Text(subject), Text(f"{estimate} [{low}, {high}] {row['unit']}"), outcome)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _best_rival(fit: dict[str, Any]) -> str:
    scored = [rival for rival in fit["rivals"] if rival["held_out_r_squared"] is not None]
    if not scored:
        return "-"
    best = max(scored, key=lambda rival: rival["held_out_r_squared"])
    return f"{best['name']} {best['held_out_r_squared']:.4f}"


def _property(value: dict[str, Any] | None) -> str:
    if value is None:
        return ""
    if value["estimate"] is None:
        return "beyond the sweep" if value["beyond"] else "none"
    low, high = (
        "beyond" if value["interval"][end] is None else f"{value['interval'][end]:.3g}" for end in ("low", "high")
    )
    return f"{value['estimate']:.3g} [{low}, {high}]"


def main() -> None:
    """Run the command line; a mistake of the user's is one sentence and exit code 2."""
    try:
        app()
    except InputError as error:
        print(f"mechsteer: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as end:
        # Typer turns Ctrl-C into this exit code, in silence.
        if end.code == 130:
            print("mechsteer: interrupted; a study or training goes on when the command is repeated.", file=sys.stderr)
        raise
    except BrokenPipeError:
        # The reader of the output has gone; nothing is left to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
