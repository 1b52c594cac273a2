"""The command line, the front door, which may import every room; here is its table of contents."""

import os
import sys
from contextlib import suppress
from typing import Annotated, NoReturn

import typer

from ..errors import InputError, refused
from ..rooms import our_rooms
from .members import extend_early
from .verbs import Line, Several, one_sentence, table_of_contents

CONTENTS = {
    "The whole job": (
        Line(
            "study", "Learn steers, sweep them, fit the curves, compare, judge.",
            "mechsteer study --limit 60 --methods DiffMean,SFT --out results/guestbook",
            first="model pairs prompt_format site methods forms out",
        ),
        Line(
            "campaign", "Run a grid of studies, and tell what held where.",
            "mechsteer campaign plan.toml --dry-run",
        ),
    ),
    "Look at a finished study": (
        Line(
            "judge", "Score what every steer of a finished study writes.",
            "mechsteer judge results/guestbook --judge exact,rules",
            first="judge scale concept queries dry_run",
        ),
        Line(
            "show", "Print a study's verdict again, or open one claim.",
            "mechsteer show results/guestbook --claim linear_region", "look",
        ),
        Line(
            "report", "Write report.html: one study, or several side by side.",
            "mechsteer report results/guestbook --out guestbook.html", "look",
        ),
        Line(
            "figures", "Draw a study's figures again, as PDF and PNG.",
            "mechsteer figures results/guestbook", "look",
        ),
    ),
    "Several studies": (
        Line(
            "compare", "Compare studies, pair by pair and seed by seed.",
            "mechsteer study --limit 60 --methods DiffMean --site 1:mlp.out --out other\n"
            "mechsteer compare results/guestbook other",
        ),
        Line(
            "findings", "Write what a campaign found into a page in Markdown.",
            "mechsteer findings results/plan --page findings.md",
        ),
    ),
    "One piece at a time": (
        Line(
            "pairs", "Check pairs: what is wrong with them, and what to do.",
            "mechsteer pairs guestbook/tense --model guestbook",
            first="test_pairs model columns group limit prompt_format as_json",
        ),
        Line(
            "site", "Compare all sites, and recommend one and a multiplier.",
            "mechsteer site --pairs guestbook/tense --limit 24",
            first="model pairs limit prompt_format layers_after",
        ),
        Line(
            "train", "Learn a vector, a LoRA or a local weight from pairs.",
            "mechsteer train --site 2:mlp.out --form lora --out lora.safetensors",
            first="site out model pairs form method recipe steps learning_rate validation",
        ),
        Line(
            "sweep", "Measure preference and utility at every multiplier.",
            "mechsteer sweep --intervention lora.safetensors --out sweep.parquet",
            first="intervention out model pairs limit multipliers positions",
        ),
        Line(
            "generate", "Show what the model writes at several multipliers.",
            'mechsteer generate --intervention lora.safetensors -m 1 "and the soup ?"',
            first="intervention model prompt_format multipliers max_new_tokens temperature seed",
        ),
    ),
    "Use a steer": (
        Line(
            "inspect", "Say what a steer's file is, in every program's terms.",
            "mechsteer inspect lora.safetensors",
        ),
        Line(
            "export", "Write a steer as other programs read it, and prove it.",
            "mechsteer export lora.safetensors --to peft --out lora",
            first="to out multiplier model pairs",
        ),
        Line(
            "serve", "Answer OpenAI's requests on this machine; each may steer.",
            "mechsteer serve --intervention lora.safetensors",
            first="intervention model prompt_format rule port batch queue device",
        ),
        Line(
            "play", "Steer a model by hand, on a page of this machine.",
            "mechsteer play guestbook lora.safetensors",
            first="prompt prompt_format rule port device",
        ),
        Line(
            "push", "Publish a steer with a card: how it was learned, what it does.",
            "mechsteer push lora.safetensors OWNER/NAME", "hub",
        ),
        Line("pull", "Fetch a steer from the hub and check that it is one.", "mechsteer pull OWNER/NAME", "hub"),
    ),
    "Results that studies share": (
        Line(
            "store", "List, size or prune the results that studies keep and share.",
            "mechsteer store size --store results/.store",
        ),
    ),
}  # fmt: skip
"""Every verb under its heading, with an example; each runs, without a network, on what those before it leave."""

app = typer.Typer(
    cls=Several,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with `mechsteer study`; every verb has an example in its `--help`.",
)


def _say_version(asked: bool) -> bool:
    if asked:
        import mechsteer

        typer.echo(f"mechsteer {mechsteer.__version__}")
        raise typer.Exit
    return asked


@app.callback()
def begin(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Why does steering a language model work, and why does it fail?"""


def _end(sentence: object) -> NoReturn:
    with suppress(OSError):
        print(f"mechsteer: {sentence}", file=sys.stderr)
    sys.exit(2)


def _is_printed() -> bool:
    """Whether the output has taken all that was printed; if not, Python does not try again when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True


def main() -> None:
    """Run the command line; a mistake of the user's is one sentence and exit code 2."""
    # Threads wait busily for a moment only: beside a working neighbour, longer slows tiny models down many times, and not
    # at all costs a third where there is none. Read when torch starts.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    try:
        # Before a verb is read, whose help lists the members of families.
        extend_early(sys.argv)
        our_rooms()
        code = table_of_contents(app, CONTENTS).main(prog_name="mechsteer", standalone_mode=False)
        sys.stdout.flush()
    except (InputError, typer.TyperException) as error:
        _end(error if isinstance(error, InputError) else one_sentence(error))
    except BrokenPipeError:
        # The reader of the output has gone; nothing is left to say.
        _is_printed()
        sys.exit(1)
    except OSError as error:
        _end(refused(error, None if _is_printed() else "standard output"))
    if code == 130:  # as typer ends what Ctrl-C interrupts
        print("mechsteer: interrupted; a study or training goes on when the command is repeated.", file=sys.stderr)
    sys.exit(code)
