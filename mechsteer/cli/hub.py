"""`mechsteer push` and `pull`: a steer into a repository of the Hugging Face hub, with its card, and out of one."""

from pathlib import Path
from typing import Annotated

import typer

from .options import running, steers
from .printing import echo

RepositoryArgument = Annotated[
    str, typer.Argument(help="OWNER/NAME on the Hugging Face hub, or a folder (./steers).", metavar="REPOSITORY")
]


def push(
    steer: Annotated[Path, typer.Argument(help="A steer's file, from a study or from training.", metavar="STEER")],
    repository: RepositoryArgument,
    private: Annotated[
        bool, running("--private", help="If the repository is made, let only its owner see it.")
    ] = False,
    dry_run: Annotated[bool, running("--dry-run", help="Print the card, and send nothing.")] = False,
) -> None:
    """Publish a steer with a card: how it was learned, what it does."""
    from analyses.studies.card import card
    from analyses.studies.measured import Measured

    from .. import hub

    to, measured = hub.repository(repository, private=private), Measured.of(steer)
    text = card(hub.steer_to_push(steer), steer.name, repository, measured)
    if dry_run:
        echo(text)
        return
    pictures = [measured.picture] if measured is not None and measured.picture is not None else []
    echo(hub.push(steer, text, to, pictures))


def pull(
    repository: RepositoryArgument,
    out: Annotated[Path, running(help="The folder into which the steer comes.", metavar="DIR")] = Path("."),
    revision: Annotated[
        str | None, steers(help="A branch, tag or commit; by default the newest.", metavar="REVISION")
    ] = None,
) -> None:
    """Fetch a steer from the hub and check that it is one."""
    from .. import hub

    echo(str(hub.pull(hub.repository(repository, revision=revision), out)))
