"""`mechsteer study`: the whole job."""

from pathlib import Path
from typing import Annotated, Any

from analyses.claims import CLAIMS
from analyses.studies.widths import CHOICES

from ..families import FORMS
from ..methods.learning import methods as all_methods
from ..methods.recipes.base import STEPS
from ..methods.settings import ABOUT_RECIPES
from ..models.hooks import PLACES
from . import summary
from .options import (
    ColumnsOption,
    ConceptOption,
    Context,
    DeviceMapOption,
    DeviceOption,
    DtypeOption,
    ExtendOption,
    FormatOption,
    GoldOption,
    GroupOption,
    InstructionsOption,
    JobsOption,
    JsonOption,
    JudgesOption,
    LayersAfterOption,
    LimitOption,
    ModelOption,
    MultipliersOption,
    PairsOption,
    QueriesOption,
    RetryOption,
    RuleOption,
    SamplesOption,
    ScaleOption,
    SeedOption,
    StoreOption,
    TemplateOption,
    TextTokensOption,
    judging,
    learning,
    running,
    split_list,
    steers,
    was_asked,
    what,
    with_template,
)
from .printing import echo, echo_json


def study(
    context: Context,
    config: Annotated[
        Path | None,
        what(
            help='A TOML file of these options by the names of Python\'s `Settings` (methods = ["SFT"]). Options given '
            "here override it.",
            metavar="FILE",
        ),
    ] = None,
    model: ModelOption = "guestbook",
    pairs: PairsOption = "guestbook/sentiment",
    test_pairs: Annotated[
        str | None,
        what(help="Pairs to measure; by default half of --pairs; the other half is learned from.", metavar="PAIRS"),
    ] = None,
    columns: ColumnsOption = "",
    group: GroupOption = None,
    limit: LimitOption = None,
    prompt_format: FormatOption = "raw",
    template_option: TemplateOption = None,
    site: Annotated[
        str,
        steers(
            help=f"Where to steer: layers from 0, places {', '.join(PLACES)}; several, with commas, act together; "
            "'auto' compares mlp.out, attn.o, resid_mid and resid_post of every layer.",
            metavar="LAYER:PLACE,...",
        ),
    ] = "auto",
    layers_after: LayersAfterOption = 1,
    rule: RuleOption = None,
    intervention: Annotated[
        str,
        steers(
            help="Steers' files that are measured beside what is learned, of any format; what a format leaves open is said "
            "after its name, as in vector.pt#format=easyedit#layer=15.",
            metavar="FILE,...",
        ),
    ] = "",
    multipliers: MultipliersOption = "auto",
    methods: Annotated[
        str,
        learning(help=f"Which ways of learning to compare, of {', '.join(all_methods())}.", metavar="METHOD,..."),
    ] = "DiffMean,SFT,RePS,SPLIT",
    forms: Annotated[
        str,
        learning(
            help=f"In which forms, of {', '.join(FORMS.members())}; DiffMean and Random are vectors.",
            metavar="FORM,...",
        ),
    ] = "vector,lora,local_weight",
    seeds: Annotated[
        int, learning(help="Training seeds of each; three or more show their spread.", min=1, metavar="N")
    ] = 1,
    recipe: Annotated[str, learning(help=ABOUT_RECIPES, metavar="RECIPE")] = "ours",
    tune: Annotated[
        int,
        learning(help="Settings tried of every trained method in every form; 1 tunes nothing.", min=1, metavar="N"),
    ] = 4,
    steps: Annotated[
        int | None,
        learning(
            help=f"Training steps of each trained steer, by default as the recipe says; ours {STEPS}.",
            min=1,
            metavar="N",
        ),
    ] = None,
    claims: Annotated[
        str,
        judging(
            help=f"Steers by which the paper's claims are judged, such as DiffMean-vector,SPLIT-lora; '' none. Claims: "
            f"{', '.join(CLAIMS.members())}.",
            metavar="STEER,...",
        ),
    ] = "DiffMean-vector",
    panel: Annotated[
        int,
        judging(
            help="Directions of equal length by which it is judged whether distance from the manifold does harm; 0 for none.",
            min=0,
            metavar="N",
        ),
    ] = 64,
    ask_for: Annotated[
        str,
        judging(
            help="Prompting as a comparator: a text that asks for the concept, with {query} where the query stands; "
            "on the guestbook, by default, the line that tells who speaks.",
            metavar="TEXT",
        ),
    ] = "",
    ask_against: Annotated[str, judging(help="The same against the concept.", metavar="TEXT")] = "",
    other_pairs: Annotated[
        str, judging(help="Pairs of other concepts, on which side effects are measured.", metavar="PAIRS,...")
    ] = "",
    second_pairs: Annotated[
        str | None,
        judging(
            help="More pairs of the same concept, which must give the same curves; of the guestbooks' pairs, by default, as "
            "many new ones.",
            metavar="PAIRS",
        ),
    ] = None,
    judge: JudgesOption = "",
    scale: ScaleOption = "axbench",
    concept: ConceptOption = "",
    queries: QueriesOption = 30,
    samples: SamplesOption = 2,
    text_tokens: TextTokensOption = 48,
    instructions: InstructionsOption = "",
    gold: GoldOption = None,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    device_map: DeviceMapOption = None,
    dtype: DtypeOption = None,
    extend: ExtendOption = "",
    store: StoreOption = None,
    jobs: JobsOption = None,
    retry: RetryOption = False,
    width: Annotated[str, running(help=f"How wide figures are: {CHOICES}.", metavar="WIDTH")] = "",
    out: Annotated[
        Path | None, running(help="Folder for the results, by default results/MODEL-PAIRS.", metavar="DIR")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Learn steers, sweep them, fit the curves, compare, judge.

    Leaves tables, steers, claims, figures and report.html in a folder. Every finished piece is kept in a store: an
    interrupted study goes on when the command is repeated, and what studies share is computed once.
    """
    from analyses.studies.configuration import read_settings
    from analyses.studies.settings import Settings
    from analyses.studies.study import run
    from figures.page import draw_and_report

    from ..pairs.reading import label_of
    from ..progress import say

    said: dict[str, Any] = dict(
        model=model, pairs=pairs, test_pairs=test_pairs, columns=split_list(columns), group=group, limit=limit,
        site=site, layers_after=layers_after, rule=rule or "add", multipliers=multipliers,
        format=with_template(prompt_format, template_option),
        methods=split_list(methods), intervention=split_list(intervention),
        forms=split_list(forms), seeds=seeds, recipe=recipe, tune=tune, steps=steps,
        panel=panel, ask_for=ask_for, ask_against=ask_against, other_pairs=split_list(other_pairs),
        second_pairs=second_pairs, claims=split_list(claims), judge=split_list(judge), scale=scale, concept=concept,
        queries=queries, samples=samples, text_tokens=text_tokens, instructions=instructions, gold=gold, seed=seed,
        width=width, device=device, device_map=device_map, dtype=dtype, extend=split_list(extend), store=store, jobs=jobs,
        retry=retry,
    )  # fmt: skip
    if config is not None:
        own = {"prompt_format": "format", "template_option": "format"}
        asked = {own.get(name, name) for name in context.params if was_asked(context, name)}
        said |= {name: value for name, value in read_settings(config).items() if name not in asked}
    settings = Settings(**said)
    out = out or Path("results") / f"{Path(settings.model).name}-{label_of(settings.pairs)}"

    run(settings, out, report=lambda line: say(line, indent=13), finish=draw_and_report)
    content = summary.read(out)
    if as_json:
        echo_json(content)
    else:
        echo(*summary.told(content))
