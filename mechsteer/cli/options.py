"""Options that several verbs share, and what they stand for."""

import inspect
import os
from collections.abc import Callable
from dataclasses import Field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import typer

from ..errors import InputError
from ..families import JUDGES, RULES
from ..formats.named import read_formats
from ..judges.scales import SCALES
from ..models.hooks import PLACES
from ..models.prompt_format import PromptFormat, parse_options

if TYPE_CHECKING:
    from typer import Context

    from ..interventions import Intervention
    from ..models.model import Model
    from ..pairs.polarity import Pairs
else:
    # What typer gives is of the class from which its own is made.
    Context = typer.Context.__base__

what = partial(typer.Option, rich_help_panel="Model and pairs")
steers = partial(typer.Option, rich_help_panel="Steers")
learning = partial(typer.Option, rich_help_panel="Learning")
judging = partial(typer.Option, rich_help_panel="Judging")
running = partial(typer.Option, rich_help_panel="Running")
"""An option under its heading in a verb's help."""

ModelOption = Annotated[
    str,
    what(help="'guestbook' or 'guestbook-rich', a folder with a Hugging Face model, or a hub name.", metavar="MODEL"),
]
PairsOption = Annotated[
    str,
    what(
        help="Polarity pairs: 'guestbook/sentiment' (or certainty, tense), 'guestbook-rich/praise' (or assurance, register, "
        "season, care), or a JSONL, JSON, CSV, TSV or parquet file.",
        metavar="PAIRS",
    ),
]
ColumnsOption = Annotated[
    str,
    what(
        help="Map our column names to yours: query=prompt,positive=good,negative=bad.",
        metavar="OURS=ITS,...",
    ),
]
GroupOption = Annotated[
    str | None,
    what(help="The column of the pairs' topic or template, which a split keeps on one side.", metavar="COLUMN"),
]
LimitOption = Annotated[
    int | None,
    what(
        help="Use at most N pairs of each file, sampled evenly over its groups.",
        min=1,
        metavar="N",
    ),
]
FormatOption = Annotated[
    str,
    what(
        "--format",
        help="'raw' adds nothing to a query; 'cued' a cue to answer, for base models; 'chat' uses the tokenizer's chat template.",
        metavar="FORMAT",
    ),
]
TemplateOption = Annotated[
    list[str] | None,
    what(
        "--template-option",
        help="With cued, cue=TEXT; with chat, an option of the template (enable_thinking=false, chat_template=rag), system=TEXT "
        "for a system message, or today=2026-11-26 where the template writes the date; repeat it for several.",
        metavar="NAME=VALUE",
    ),
]
LearnedFormatOption = Annotated[
    str | None,
    what("--format", help="raw, cued or chat; by default the one with which the steer was learned.", metavar="FORMAT"),
]
SteeredModelOption = Annotated[
    str | None, what("--model", help="By default the one that the steer's file names.", metavar="MODEL")
]
MultipliersOption = Annotated[
    str,
    steers(
        "--multipliers",
        "-m",
        help="Evenly spaced, or a list such as -8,0,8; 'auto' finds 31 from no effect to collapse, 'auto:41' finds 41.",
        metavar="LO:HI:N",
    ),
]
InterventionOption = Annotated[
    str,
    steers(
        help=f"A steer's file, from a study, from training or from another program; formats: {', '.join(read_formats())}. What a "
        "format leaves open is said after the name, as in vector.pt#format=easyedit#layer=15#scale=2; `mechsteer inspect` "
        "tells what is asked.",
        metavar="FILE",
    ),
]
SteeredPairsOption = Annotated[
    str | None,
    what(
        "--pairs",
        help="A few of these pairs are measured; on a guestbook's model, by default, its own.",
        metavar="PAIRS",
    ),
]
LearnedPositionsOption = Annotated[
    str | None,
    steers(
        help="all (but BOS), completion, query or every; by default those with which the steer was learned.",
        metavar="POSITIONS",
    ),
]
SiteOption = Annotated[
    str,
    steers(
        help=f"Where to steer: layers from 0, places {', '.join(PLACES)}; several, with commas, act together.",
        metavar="LAYER:PLACE,...",
    ),
]
LayersAfterOption = Annotated[
    int,
    steers(help="How many layers a chosen site leaves after it, where that costs no gain.", min=0, metavar="N"),
]
RuleOption = Annotated[
    str | None,
    steers(
        help="How m·Δh is applied, and what m is: "
        + "; ".join(f"{name}, {member.get('STRENGTH', 'its strength')}" for name, member in RULES.members().items())
        + ". By default as the steer's file says, else add.",
        metavar="RULE",
    ),
]
AnyModelOption = Annotated[bool, steers("--any-model", help="Use the steer on a model that it was not made for.")]
JudgesOption = Annotated[
    str,
    judging(
        "--judge",
        help="Who judges what every steer writes, of "
        + "; ".join(f"{name}: {member.title}" for name, member in JUDGES.members().items())
        + ". Claims rest on the first.",
        metavar="NAME[=MODEL[@URL]],...",
    ),
]
ScaleOption = Annotated[
    str,
    judging(help=f"What language-model judges are asked: {', '.join(SCALES)}, or a file.", metavar="SCALE"),
]
ConceptOption = Annotated[
    str, judging(help="The concept in words, for judges that are asked; the guestbooks have their own.", metavar="TEXT")
]
QueriesOption = Annotated[int, judging(help="Queries that are answered for judges.", min=1, metavar="N")]
SamplesOption = Annotated[int, judging(help="Answers to each query at each multiplier.", min=1, metavar="N")]
TextTokensOption = Annotated[int, judging(help="Tokens of an answer, at most.", min=1, metavar="N")]
InstructionsOption = Annotated[
    str,
    judging(help="Queries for judges instead of the pairs': 'ours', or a file with one in a line.", metavar="FILE"),
]
GoldOption = Annotated[
    str | None,
    judging(
        help="Texts of which it is known whether they show the concept, by which judges are judged: columns query, text, gold (0 "
        "or 1) and, if known, multiplier. The guestbooks have their checker.",
        metavar="FILE",
    ),
]
SeedOption = Annotated[int, running(help="The same seed gives the same numbers.", metavar="N")]
DeviceOption = Annotated[
    str | None, running(help="cpu, cuda or cuda:1; by default a GPU if there is one.", metavar="DEVICE")
]
DeviceMapOption = Annotated[
    str | None,
    running(
        help="Put the model on several devices: auto, balanced or sequential; instead of --device.",
        metavar="DEVICE_MAP",
    ),
]
DtypeOption = Annotated[
    str | None, running(help="float32, bfloat16 or float16; by default the model's own.", metavar="DTYPE")
]
StoreOption = Annotated[
    str | None,
    running(
        help="Where results are kept and found; by default MECHSTEER_STORE, else .store beside --out.", metavar="DIR"
    ),
]
JobsOption = Annotated[
    int | None,
    running(
        help="Processes that compute beside each other; by default one for each core where a small model runs on the CPU.",
        envvar="MECHSTEER_JOBS",
        min=1,
        metavar="N",
    ),
]
RetryOption = Annotated[bool, running("--retry", help="Try again what failed before.")]
JsonOption = Annotated[bool, running("--json", help="Print the same content as one JSON document.")]

ExtendOption = Annotated[
    str,
    running(
        help="Files of objectives, methods, forms, claims, ... of your own, which join their families; MECHSTEER_EXTEND too.",
        metavar="FILE,...",
    ),
]


def with_settings(settings: type, panel: Callable[..., Any]) -> Callable[[Callable], Callable]:
    """A verb with an option for each field of a settings value, in place of its parameter `given`: what was asked for.

    An option is called as its field, or as the field's `flag`; its help is the field's.
    """

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        own = [item for item in inspect.signature(verb, eval_str=True).parameters.values() if item.name != "given"]
        kinds = get_type_hints(settings)
        made = [
            inspect.Parameter(
                item.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=_option(item, kinds[item.name], panel),
            )
            for item in fields(settings)
        ]

        def called(**arguments: Any) -> None:
            values = {item.name: arguments.pop(item.name) for item in fields(settings)}
            given = {
                item.name: _read(item, kinds[item.name], value)
                for item in fields(settings)
                if (value := values[item.name]) is not None
            }
            verb(**arguments, given=given)

        parameters = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in own] + made
        called.__name__, called.__doc__ = verb.__name__, verb.__doc__
        called.__annotations__ = {item.name: item.annotation for item in parameters}
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return called

    return decorate


def flag(item: Field) -> str:
    """What the command line calls a setting."""
    return item.metadata.get("flag", f"--{item.name.replace('_', '-')}")


def _option(item: Field, kind: Any, panel: Callable[..., Any]) -> Any:
    told = {
        name: item.metadata[name] for name in ("help", "metavar", "min") if item.metadata.get(name) not in (None, "")
    }
    if kind == bool | None or kind is bool:
        # What a recipe may say of itself can be asked for either way.
        name = flag(item)
        names = name if item.default is False else f"{name}/--no-{name.removeprefix('--')}"
        return Annotated[bool | None, panel(names, **told)]
    if _is_list(kind):
        return Annotated[str | None, panel(flag(item), **told)]
    return Annotated[kind | None, panel(flag(item), **told)]


def _is_list(kind: Any) -> bool:
    """Whether a setting is a list of numbers, or may be."""
    return any(get_origin(one) is tuple for one in (kind, *get_args(kind)))


def _read(item: Field, kind: Any, value: Any) -> Any:
    """A list as it is written on the command line, with commas."""
    if not _is_list(kind):
        return value
    try:
        return tuple(float(part) for part in split_list(value))
    except ValueError as error:
        raise InputError(f"The `{item.name}` {value!r} are no list of numbers. Write for example 0.5,1,2.") from error


def open_model(model: str, device: str | None, dtype: str | None, **options: Any) -> Any:
    """The model, on as many threads as do it good."""
    import mechsteer as ms

    opened = ms.load_model(model, device=device, dtype=dtype, **options)
    ms.use_threads_for(opened)
    return opened


def with_template(prompt_format: str, template_options: list[str] | None) -> str:
    """The format with the template's options in it."""
    return str(PromptFormat.parse(prompt_format).including(parse_options(template_options or ())))


def open_steered(
    path: str | Path,
    model: str | None,
    *,
    rule: str | None,
    any_model: bool,
    device: str | None,
    device_map: str | None,
    dtype: str | None,
) -> "tuple[Model, Intervention]":
    """The steer of a file, by another rule than its own if one is named, and the model that it was made for."""
    from ..formats.loading import check_model, load_intervention

    steer = load_intervention(path)
    if rule is not None:
        steer = replace(steer, rule=RULES.load(rule)())
    if model is not None:
        opened = open_model(model, device, dtype, device_map=device_map)
    elif origin := steer.origin.model:
        revision = {"revision": steer.origin.revision} if steer.origin.revision else {}
        try:
            opened = open_model(origin, device, dtype, device_map=device_map, **revision)
        except InputError as error:
            raise InputError(f"{error} That is the model that {str(path)!r} names; another needs --model.") from error
    else:
        raise InputError(f"{str(path)!r} does not say which model it was made for. Name one with --model.")
    check_model(steer, opened, any_model=any_model)
    return opened, steer


def pairs_for(model: "Model", asked: str | None) -> "Pairs | None":
    """The pairs that were asked for, or a guestbook's own; None where there are none."""
    import mechsteer as ms

    language = ms.guestbook.LANGUAGES.get(model.name)
    if asked is None and language is not None:
        asked = f"{model.name}/{next(iter(language.concepts))}"
    return None if asked is None else ms.load_pairs(asked)


def check_output(out: Path, suffix: str) -> None:
    """One sentence, before anything is computed, if no file of this kind could be written there."""
    if out.suffix != suffix:
        raise InputError(f"--out is {str(out)!r}. Name a file that ends in {suffix}.")
    try:
        if out.is_dir():
            raise InputError(f"--out is the folder {str(out)!r}. Name a file.")
        above = next(folder for folder in out.absolute().parents if folder.exists())
    except OSError as error:
        raise InputError(f"--out cannot be {str(out)[:60]!r} ({error.strerror}). Name another file.") from error
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise InputError(f"--out is {str(out)!r}, and nothing can be written in {str(above)!r}. Name another file.")


def read_pairs(pairs: str, columns: str, group: str | None, limit: int | None, seed: int = 0) -> Any:
    """The pairs that a verb is asked to use."""
    import mechsteer as ms
    from analyses.studies.settings import parse_columns

    found = ms.load_pairs(pairs, columns=parse_columns(split_list(columns)), group=group)
    return found if limit is None else found.balanced_sample(limit, seed=seed)


def was_asked(context: Context, name: str) -> bool:
    """Whether an option was given, on the command line or in the environment, and is not just at its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name not in ("DEFAULT", "DEFAULT_MAP")


def split_list(text: str) -> tuple[str, ...]:
    """The items of a list with commas."""
    return tuple(item.strip() for item in text.split(",") if item.strip())
