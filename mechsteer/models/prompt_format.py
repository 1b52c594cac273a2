"""How a query becomes what a model reads: as it is, before a cue to answer, or in a chat template. Needs no PyTorch."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ..errors import InputError

NAMES = ("raw", "cued", "chat")
CUE = "\nAnswer:"


@dataclass(frozen=True)
class PromptFormat:
    """Written "raw", "cued" or "chat", the latter two with options as JSON: 'chat {"enable_thinking":false}'.

    "raw" adds nothing to query and completion but the tokenizer's own first token. "cued" puts a cue between them, for models
    that were taught no dialogue: its option `cue`, or "\\nAnswer:". "chat" is the dialogue that the
    tokenizer's chat template makes of them. Two options are ours: `system`, the message that begins the dialogue, and `today`,
    what a template that writes the date takes for it (2026-11-26). Any other is the template's, or `chat_template`, the
    name of one where a tokenizer has several.
    """

    name: str = "raw"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.name not in NAMES:
            raise InputError(
                f"The prompt format {self.name!r} is unknown. Choose {', '.join(NAMES[:-1])} or {NAMES[-1]}."
            )
        if self.options and self.name == "raw":
            raise InputError(f"Template options came ({', '.join(self.options)}) with the format raw. Choose chat.")
        if self.name == "cued":
            # Written out, so that what was measured says which cue it was.
            object.__setattr__(self, "options", {"cue": CUE, **self.options})
            if set(self.options) > {"cue"} or not isinstance(self.cue, str) or not self.cue.strip():
                raise InputError(
                    "The format cued has one option, the text between query and answer. Write cue='\\nAnswer:'."
                )
        if not isinstance(self.options.get("system", ""), str):
            raise InputError("The template option system is no text. Write what the system message says.")
        if "today" in self.options:
            try:
                date.fromisoformat(self.options["today"])
            except (TypeError, ValueError) as error:
                came = self.options["today"]
                raise InputError(f"The template option today is {came!r}. Write a date such as 2026-11-26.") from error

    @property
    def cue(self) -> str:
        """What stands between a query and its answer; nothing in other formats."""
        return self.options["cue"] if self.name == "cued" else ""

    @classmethod
    def parse(cls, text: str) -> "PromptFormat":
        """Read what `str` writes."""
        name, _, options = text.strip().partition(" ")
        try:
            read = json.loads(options or "{}")
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise InputError(
                f"The prompt format {text!r} has no JSON object after its name. Write 'chat {{\"key\": 1}}'."
            )
        return cls(name, read)

    def __str__(self) -> str:
        if not self.options:
            return self.name
        from ..store.keys import canonical  # whose pandas every help would wait for

        return f"{self.name} {canonical(dict(self.options))}"

    def including(self, options: Mapping[str, Any]) -> "PromptFormat":
        """The same with these options besides, or instead."""
        return PromptFormat(self.name, {**self.options, **options})


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Read "NAME=VALUE"s; a value is JSON where it can be read so (false, 3, "a b"), else it is the text itself, in which \\n is
    the line break that a shell's quotes do not make of it."""
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise InputError(
                f"The template option {text!r} is not NAME=VALUE. Write for example enable_thinking=false."
            )
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value.replace("\\n", "\n")
    return found
