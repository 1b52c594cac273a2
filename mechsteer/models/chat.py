"""Dialogues in a tokenizer's chat template: the text that it renders, and where in it a message stands."""

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import PreTrainedTokenizerBase

from ..errors import InputError
from .prompt_format import PromptFormat

MARK = "\ue000"
"""A private-use character, which no template writes itself."""

PASSED_ON = ("chat_template", "tools", "documents")
"""Parameters of `apply_chat_template` that may be options; its others are ours to choose."""

DATE_PARTS = ("%d", "%-d", "%b", "%B", "%m", "%-m", "%y", "%Y", "%a", "%A", "%j", "%H", "%I", "%M", "%S", "%p", "%F")
"""Of strftime, what templates write a date and a time with."""

Turn = tuple[str, str]
"""A role, such as "user" or "assistant", and what is said."""


@dataclass(frozen=True)
class ChatTemplate:
    """A tokenizer's template under a format's options."""

    tokenizer: PreTrainedTokenizerBase
    format: PromptFormat

    def checked(self) -> "ChatTemplate":
        """Itself, or one sentence that says why it cannot be used."""
        known = self.tokenizer.chat_template
        if not known:
            raise InputError("The tokenizer has no chat template. Use the format raw.")
        asked = self.format.options.get("chat_template", "default" if isinstance(known, dict) else None)
        if asked is not None and (not isinstance(known, dict) or asked not in known):
            names = ", ".join(known) if isinstance(known, dict) else "one without a name"
            raise InputError(
                f"The tokenizer has no chat template called {asked!r}; it has {names}. Say which by the template option "
                "chat_template=NAME, or leave it out where there is one."
            )
        own = set(inspect.signature(self.tokenizer.apply_chat_template).parameters) - set(PASSED_ON)
        for name in self._passed:
            if name in own or (name not in PASSED_ON and not re.search(rf"\b{re.escape(name)}\b", self._source)):
                raise InputError(f"The chat template has no option {name!r}. Leave it out, or correct its name.")
        if "system" in self.format.options:
            self.place([("user", "Hello")], 0)
        return self

    def whole(self, turns: Sequence[Turn]) -> str:
        """The dialogue as it was taught."""
        return self._render(self._begun(turns))

    def prompt(self, turns: Sequence[Turn]) -> str:
        """The dialogue up to where the assistant goes on."""
        return self._render(self._begun(turns), add_generation_prompt=True)

    def place(self, turns: Sequence[Turn], index: int) -> slice:
        """Where in the whole dialogue the message stands; the system's, if there is one, has index 0.

        What stands around it is what stands around any other message there. A template that writes a message otherwise than
        it came, spaces at its ends apart, is refused.
        """
        begun = self._begun(turns)
        index %= len(begun)
        role, content = begun[index]
        whole = self._render(begun)
        marked = self._render([*begun[:index], (role, MARK), *begun[index + 1 :]])
        before, _, after = marked.partition(MARK)
        end = len(whole) - len(after)
        if (
            marked.count(MARK) != 1
            or not (whole.startswith(before) and whole.endswith(after) and len(before) <= end)
            or whole[len(before) : end].strip() != content.strip()
        ):
            how = "drops" if MARK not in marked else "repeats" if marked.count(MARK) > 1 else "rewrites"
            raise InputError(
                f"The chat template {how} the {role}'s message {content[:40]!r}, so its tokens cannot be located. "
                "Choose other template options, or the format raw."
            )
        return slice(len(before), end)

    @property
    def writes_the_date(self) -> bool:
        """Whether a dialogue differs from one day to the next."""
        turns = [("user", "Hello"), ("assistant", "Hello")]
        days = ("2001-02-03", "2024-11-16")
        one, other = (ChatTemplate(self.tokenizer, self.format.including({"today": day})) for day in days)
        return "today" not in self.format.options and (
            one.whole(turns) != other.whole(turns) or one.prompt(turns[:1]) != other.prompt(turns[:1])
        )

    @property
    def _passed(self) -> dict[str, Any]:
        return {name: value for name, value in self.format.options.items() if name not in ("system", "today")}

    @cached_property
    def _source(self) -> str:
        return self.tokenizer.get_chat_template(self.format.options.get("chat_template"))

    @cached_property
    def _dated(self) -> str:
        """A macro in the place of the function that tells templates today's date; the engine passes no functions on."""
        if "today" not in self.format.options:
            return ""
        day = datetime.fromisoformat(self.format.options["today"])
        parts = "".join(f"|replace('{part}', '{day.strftime(part)}')" for part in DATE_PARTS)
        return f"{{% macro strftime_now(asked) %}}{{{{ asked{parts} }}}}{{% endmacro %}}\n"

    def _begun(self, turns: Sequence[Turn]) -> list[Turn]:
        system = self.format.options.get("system")
        return ([] if system is None else [("system", system)]) + list(turns)

    def _render(self, turns: Sequence[Turn], *, add_generation_prompt: bool = False) -> str:
        try:
            return self._apply(turns, self._takes_parts, add_generation_prompt=add_generation_prompt)
        except _REFUSALS as error:
            raise InputError(
                f"The chat template refuses this dialogue: {_words(error)}. Choose other template options, or the format raw."
            ) from error

    @cached_property
    def _takes_parts(self) -> bool:
        """Whether a message's content is a list of parts, as templates of models that see have it, and not a text."""
        try:
            if MARK in self._apply([("user", MARK)], False):
                return False
            return MARK in self._apply([("user", MARK)], True)
        except _REFUSALS:
            return False

    def _apply(self, turns: Sequence[Turn], in_parts: bool, **how: Any) -> str:
        how = {**how, **self._passed, "chat_template": self._dated + self._source}
        messages = [
            {"role": role, "content": [{"type": "text", "text": text}] if in_parts else text} for role, text in turns
        ]
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, **how))


_REFUSALS = (TemplateError, ValueError, TypeError, KeyError, AttributeError, IndexError)
"""What a template raises, by its own `raise_exception` or by what it does with a message."""


def _words(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")[:200] or type(error).__name__
