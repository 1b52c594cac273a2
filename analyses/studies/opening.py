"""The model of a study: known by its files where the store has seen them, and opened once something must be computed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mechsteer import guestbook
from mechsteer.errors import InputError
from mechsteer.models.identity import ModelReference, identify, remember, remembered
from mechsteer.models.prompt_format import PromptFormat
from mechsteer.models.sites import parse_sites
from mechsteer.pairs.checks import accept
from mechsteer.pairs.polarity import Pairs
from mechsteer.paths import resolved
from mechsteer.store.store import Store

from .settings import Settings

if TYPE_CHECKING:
    from mechsteer.models.model import Model


@dataclass
class Models:
    """The model that was opened last, for as long as the same one is asked for: two large ones need not fit."""

    _asked: tuple | None = None
    _open: "Model | None" = None

    def holds(self, asked: tuple) -> "Model | None":
        """The open model, if it is that one."""
        return self._open if self._asked == asked else None

    def open(self, asked: tuple) -> "Model":
        """A model by its name, dtype, device and the map of its devices."""
        if (found := self.holds(asked)) is not None:
            return found
        import mechsteer as ms
        from mechsteer.engine.unsteered import keep_unsteered

        self._asked = self._open = None
        name, dtype, device, device_map = asked
        opened = ms.load_model(name, device=device, dtype=dtype, device_map=device_map)
        ms.use_threads_for(opened)
        # Nobody else holds it, and no unit changes its weights.
        keep_unsteered(opened)
        self._asked, self._open = asked, opened
        return opened


def source_of(settings: Settings) -> Path:
    """The folder or file of the model, if it is one."""
    language = guestbook.LANGUAGES.get(settings.model)
    return Path(resolved(settings.model)) if language is None else language.model_folder


@dataclass
class Opener:
    """Knows a model by its files where the store has seen them, and opens it when something must be computed."""

    settings: Settings
    store: Store
    models: Models = field(default_factory=Models)

    def reference(self, pairs: Sequence[Pairs]) -> ModelReference:
        """Which model it is; one that is opened for it is tried on the pairs, before anything is computed or written."""
        if (found := remembered(self.store, source_of(self.settings), self.settings.dtype)) is not None:
            return replace(found, name=self.settings.model)
        from mechsteer.models.token_checks import check_tokens

        opened = self._load()
        for some in pairs:
            accept(check_tokens(opened, some, self.settings.format))
        return identify(opened)

    def settled_format(self, reference: ModelReference) -> str:
        """The prompt format, with the date of a chat template that writes one; the model need not be opened for that."""
        if PromptFormat.parse(self.settings.format).name != "chat" or not reference.asks_for_the_date:
            return self.settings.format
        from mechsteer.models.opening import load_tokenizer
        from mechsteer.models.prompts import settled

        opened = self.models.holds(self.settings.opened_as)
        tokenizer = (
            load_tokenizer(str(source_of(self.settings)), self.settings.dtype) if opened is None else opened.tokenizer
        )
        return settled(tokenizer, self.settings.format)

    def remember(self, reference: ModelReference) -> None:
        """Spare the next study of the same files the opening."""
        remember(self.store, source_of(self.settings), self.settings.dtype, reference)

    def open(self, reference: ModelReference) -> "Model":
        """The model itself."""
        model = self._load()
        if identify(model) != reference:
            raise InputError(f"The model {self.settings.model!r} has changed while it was studied. Repeat the command.")
        return model

    def _load(self) -> "Model":
        model = self.models.open(self.settings.opened_as)
        if self.settings.site != "auto":
            for site in parse_sites(self.settings.site):
                site.widths(model)
        return model
