"""The command line, the front door, which may import every room; here is its table of contents."""

import os
import sys

import typer

from ..errors import InputError
from .rooms import extend_early, our_rooms

try:
    # Before the verbs are read, whose help lists the members of families.
    extend_early(sys.argv)
except InputError as error:
    print(f"mechsteer: {error}", file=sys.stderr)
    sys.exit(2)
our_rooms()

from .generate import generate  # noqa: E402
from .look import figures, report, show  # noqa: E402
from .site import site  # noqa: E402
from .store import store  # noqa: E402
from .study import study  # noqa: E402
from .sweep import sweep  # noqa: E402
from .train import train  # noqa: E402

CONTENTS = {
    "The whole job": {
        study: "mechsteer study --model gpt2 --pairs pairs.jsonl --out results/gpt2",
    },
    "Look at a finished study": {
        show: "mechsteer show results/guestbook --claim linear_region",
        report: "mechsteer report results/guestbook results/gpt2 --out both.html",
        figures: "mechsteer figures results/guestbook",
    },
    "One piece at a time": {
        site: "mechsteer site --model gpt2 --pairs pairs.jsonl",
        train: "mechsteer train --site 2:mlp.out --form lora --out lora.safetensors",
        sweep: "mechsteer sweep --intervention lora.safetensors --out sweep.parquet",
        generate: 'mechsteer generate --intervention lora.safetensors -m 1 "and the soup ?"',
    },
}
"""Every verb under its heading, with an example."""

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Why does steering a language model work, and why does it fail?",
    epilog="Begin with `mechsteer study`; every verb has an example in its `--help`.",
)
for heading, verbs in CONTENTS.items():
    for verb, example in verbs.items():
        app.command(rich_help_panel=heading, epilog=f"Example:\n\n`{example}`")(verb)
app.add_typer(store, name="store", rich_help_panel="Results that studies share")


def main() -> None:
    """Run the command line; a mistake of the user's is one sentence and exit code 2."""
    # Threads wait busily for a moment only: beside a working neighbour, longer slows tiny models down many times, and not
    # at all costs a third where there is none. Read when torch starts.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    # What is piped has no boxes, and neither has help.
    app.rich_markup_mode = "markdown" if sys.stdout.isatty() else None
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
