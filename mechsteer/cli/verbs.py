"""Verbs: a line in the table of contents, and no more until one is run; only then is its file imported."""

import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from ..errors import InputError

HELP_ALL = "--help-all"


class Line(TyperCommand):
    """A verb as the table of contents shows it, with an example for its help, a command a line; its `file` is called as it is,
    unless named.

    Of a verb with many options, `first` names those that its help describes; `--help-all` describes the rest too.
    """

    def __init__(self, name: str, line: str, example: str, file: str | None = None, first: str = ""):
        super().__init__(name, short_help=line)
        self.example, self._file, self.first = example, file or name, first.split()

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **more: Any) -> Any:
        """Where a verb is run or asked for help: the verb itself takes over."""
        return self.verb().make_context(info_name, args, parent, **more)

    def verb(self) -> TyperCommand | TyperGroup:
        """The verb, with all its options."""
        found = getattr(import_module(f".{self._file}", __package__), str(self.name))
        epilog = "\n\n".join(["Example:", *(f"`{command}`" for command in self.example.splitlines())])
        if isinstance(found, typer.Typer):
            found.info.epilog = epilog
            return command_of(found)
        app = typer.Typer(add_completion=False)
        app.command(self.name, cls=Verb, epilog=epilog)(found)
        verb = command_of(app)
        verb.first = self.first
        return verb


class Verb(TyperCommand):
    """A verb whose mistakes are told in the words of its options."""

    first: Sequence[str] = ()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # What comes after "--" is no option.
        if HELP_ALL in args[: args.index("--") if "--" in args else None]:
            self.first, args = (), ["--help"]
        return super().parse_args(ctx, args)

    def get_help(self, ctx: Any) -> str:
        """Where some options come first, those alone."""
        options = [item for item in self.params if isinstance(item, TyperOption)]
        rest = [item for item in options if self.first and item.name not in self.first]
        for item in rest:
            item.hidden = True
        if rest:
            self.epilog = f"{len(rest)} more options: `{ctx.command_path} {HELP_ALL}`.\n\n{self.epilog}"
        return super().get_help(ctx)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            flags = {str(item.name): item.opts[0] for item in self.params}
            raise InputError(by_options(str(error), flags)) from error


class Several(TyperGroup):
    """What stands for several verbs; where none is named, it says which there are."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ["--help"])

    def get_help_option(self, ctx: Any) -> Any:
        option = super().get_help_option(ctx)
        if option is not None:
            # Where it is not given, typer asks pydantic whether None is a bool; to import it takes a third of a verb's help.
            option.default = False
        return option


def by_options(sentence: str, flags: Mapping[str, str]) -> str:
    """What Python calls `skip_invalid` in a sentence is --skip-invalid on the command line."""
    return re.sub(r"`(\w+)`", lambda match: flags.get(match[1], match[1]), sentence)


def table_of_contents(app: typer.Typer, contents: Mapping[str, Sequence[Line]]) -> TyperGroup:
    """The whole command line: every line under its heading."""
    group = command_of(app)
    assert isinstance(group, TyperGroup)
    for heading, lines in contents.items():
        for line in lines:
            line.rich_help_panel = heading
            group.add_command(line)
    return group


def command_of(app: typer.Typer) -> Any:
    """What runs it; only a terminal gets help in boxes."""
    app.rich_markup_mode = "markdown" if sys.stdout.isatty() else None
    return typer.main.get_command(app)


def one_sentence(error: typer.TyperException) -> str:
    """What was wrong with the options, and where they are described."""
    said = " ".join(error.format_message().split())
    said += "" if said.endswith((".", "?")) else "."
    context = getattr(error, "ctx", None)
    return said if context is None else f"{said} See `{context.command_path} --help`."
