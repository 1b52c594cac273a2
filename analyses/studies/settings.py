"""What a study is asked to do, in words that can be written down and repeated."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from mechsteer.errors import InputError
from mechsteer.families import FORMS, METHODS, RULES
from mechsteer.formats.named import SteerFile
from mechsteer.judges.request import Request
from mechsteer.judges.scale import read_scale
from mechsteer.methods.learning import is_trained, methods
from mechsteer.methods.settings import TrainSettings
from mechsteer.models.prompt_format import PromptFormat
from mechsteer.models.sites import parse_sites
from mechsteer.pairs.asking import Asking

from .widths import inches

N_MULTIPLIERS, LEAST_FOUND, MOST_MULTIPLIERS = 31, 21, 10_000
"""Found by default, as by `find_multipliers`; the fewest, of which six lie within a nat on each side of zero; the most."""


@dataclass(frozen=True)
class Settings:
    """The options of `mechsteer study`; the defaults are the embedded default."""

    model: str = "guestbook"
    pairs: str = "guestbook/sentiment"
    test_pairs: str | None = None
    columns: tuple[str, ...] = ()
    """As "ours=theirs", of the files of pairs and of test pairs."""
    group: str | None = None
    limit: int | None = None
    """Of each file of pairs, at most so many, drawn evenly over groups."""
    site: str = "auto"
    """One, or several with commas, which every steer then acts at together."""
    layers_after: int = 1
    """Layers that a site which is chosen leaves to read what was steered, where no better one is to be had without them."""
    rule: str = "add"
    multipliers: str = "auto"
    """Those to measure, or how many to find from no effect to collapse ("auto:41")."""
    format: str = "raw"
    methods: tuple[str, ...] = ("DiffMean", "SFT", "RePS", "SPLIT")
    forms: tuple[str, ...] = ("vector", "lora", "local_weight")
    seeds: int = 1
    recipe: str = "ours"
    intervention: tuple[str, ...] = ()
    """Files of steers that are measured beside what is learned, with what is said of them ("FILE#NAME=VALUE")."""
    steps: int | None = None
    """Of each trained steer; None is as the recipe says."""
    tune: int = 4
    """Settings that are tried of every trained method in every form; one leaves all as the recipe says."""
    panel: int = 64
    """Directions of equal length by which the mechanism is judged, about; none is no panel."""
    ask_for: str = ""
    ask_against: str = ""
    """Texts around {query} that ask for the concept, and against it, in words; both or none."""
    other_pairs: tuple[str, ...] = ()
    second_pairs: str | None = None
    """More of the same concept, by which the measurement is judged; of a guestbook, the language makes some."""
    claims: tuple[str, ...] = ("DiffMean-vector",)
    judge: tuple[str, ...] = ()
    """Who judges what every steer writes, as NAME, NAME=MODEL or NAME=MODEL@URL; claims rest on the first."""
    scale: str = "axbench"
    """Of judges that are asked in words: one of ours, or a file."""
    concept: str = ""
    """In words, for those judges; of a guestbook, the line that tells who speaks."""
    queries: int = 30
    """That are answered for the judges, at every multiplier: half as many again as claims need, for some may have no score."""
    samples: int = 2
    """Of each of them."""
    text_tokens: int = 48
    """Of each sample, at most."""
    instructions: str = ""
    """Instead of the pairs' queries: "ours", or a file with one in a line."""
    gold: str | None = None
    """A file of texts of which it is known whether they show the concept, by which judges are judged."""
    seed: int = 0
    device: str | None = None
    device_map: str | None = None
    dtype: str | None = None
    extend: tuple[str, ...] = ()
    """Files of members from outside the tree."""
    width: str = ""
    """Of its figures: a venue's name, or millimetres."""
    store: str | None = field(default=None, metadata={"how": True})
    jobs: int | None = field(default=1, metadata={"how": True})
    """Processes that compute beside each other; None is one for each core where a small model runs on the CPU."""
    retry: bool = field(default=False, metadata={"how": True})
    """Fields marked so say how a study is run, and nothing of what it finds."""

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> "Settings":
        """The settings that `to_dict` gave, also after JSON, which knows no tuples."""
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in said.items()
        }
        return cls(**given)

    def __post_init__(self):
        parse_columns(self.columns)
        if self.site != "auto":
            parse_sites(self.site)
        RULES.check(self.rule)
        if n_to_find(self.multipliers) is None:
            parse_multipliers(self.multipliers)
        object.__setattr__(self, "format", str(PromptFormat.parse(self.format)))
        known = methods()
        for name in self.methods:
            if name not in known:
                raise InputError(f"The method {name!r} is unknown. Choose {', '.join(known)}.")
        for name in self.forms:
            FORMS.check(name)
        if not self.steers() and not self.intervention:
            raise InputError(
                "No steer is left to study: name at least one method and one form (DiffMean is a vector), or a steer's file."
            )
        for name in self.claims:
            method, _, form = name.rpartition("-")
            if method not in {*known, *self.imported} or form not in {
                *FORMS.members(),
                *(["mixed"] if self.imported else []),
            }:
                raise InputError(
                    f"The steer {name!r} is not METHOD-FORM. Write for example DiffMean-vector,SPLIT-lora; of a steer's file, "
                    "the method is its name."
                )
        if self.panel < 0:
            raise InputError(f"{self.panel} directions came for the panel. Pass 0 for none, or some dozens.")
        if bool(self.ask_for) != bool(self.ask_against):
            raise InputError("One of --ask-for and --ask-against came. Pass both, or none.")
        if self.ask_for:
            Asking(self.ask_against, self.ask_for)
        inches(self.width)
        if self.jobs is not None and self.jobs < 1:
            raise InputError(f"{self.jobs} jobs came. There must be at least one.")
        if self.tune < 1:
            raise InputError(f"{self.tune} settings to try came. Pass 1 to leave all as the recipe says, or more.")
        if self.seeds < 1:
            raise InputError(f"{self.seeds} seeds came. There must be at least one.")
        if self.judge:
            read_scale(self.scale)
        labels = [Request.parse(name, self.scale).label for name in self.judge]
        if twice := [name for name in labels if labels.count(name) > 1]:
            raise InputError(f"Two judges would be called {twice[0]!r} in tables. Ask one of them.")
        for name in ("queries", "samples", "text_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"`{name}` is {getattr(self, name)}. There must be at least one.")
        for method, form in self.steers():
            if is_trained(method):
                self.training.settled(method, form)

    @property
    def imported(self) -> list[str]:
        """What steers that came in files are called."""
        return [SteerFile.of(file).name for file in self.intervention]

    @property
    def opened_as(self) -> tuple[str, str | None, str | None, str | None]:
        """What one open model serves: its name, dtype, device and the map of its devices."""
        return self.model, self.dtype, self.device, self.device_map

    @property
    def training(self) -> TrainSettings:
        """How what is trained is trained, each by its own seed."""
        return TrainSettings(recipe=self.recipe, steps=self.steps, prompt_format=self.format)

    @property
    def few_multipliers(self) -> str:
        """What a study with so few multipliers will not tell, in a sentence; "" where there are enough."""
        if n_to_find(self.multipliers) is not None:
            return ""
        from mechsteer.curves.forms import paper_form  # which needs scipy; settings are read without
        from mechsteer.curves.preference import PreferenceCurve
        from mechsteer.curves.utility import UtilityCurve
        from mechsteer.curves.validity import VARIANTS

        grid = parse_multipliers(self.multipliers)
        forms = (paper_form(curve, variant, grid) for curve in (PreferenceCurve, UtilityCurve) for variant in VARIANTS)
        least = max(form.least_points for form in forms)
        if len(grid) >= least:
            return ""
        return f"{len(grid)} are too few to fit the paper's curves, which need {least} or more; claims about them stay open"

    def check_judgeable(self) -> None:
        """Raise one sentence if a new study would measure nothing, or be asked about what it does not learn."""
        if n_to_find(self.multipliers) is None and not (m := parse_multipliers(self.multipliers)).min() < 0 < m.max():
            raise InputError(
                f"The multipliers {self.multipliers} lie on one side of 0, and a study's gains are means of both directions of "
                "m. Give some below 0 and some above, or use `mechsteer sweep`."
            )
        learned = [f"{method}-{form}" for method, form in self.steers()]
        for name in self.claims if self.claims != type(self).claims else ():
            if name not in learned and name.rpartition("-")[0] not in self.imported:
                raise InputError(
                    f"The study does not learn {name}, of which claims are asked; it learns {', '.join(learned) or 'none'}. "
                    "Name one of these, or add its method and form."
                )

    def steers(self) -> list[tuple[str, str]]:
        """Method and form of all that is compared: what needs no training first."""
        known = methods()
        # What needs no training first, in its own order; then what is trained, in the order asked for.
        chosen = sorted(
            (known[name] for name in self.methods), key=lambda m: (m.name not in METHODS.members(), m.get("ORDER", 0))
        )
        chosen = [m for m in chosen if m.name in METHODS.members()] + [
            known[name] for name in self.methods if name not in METHODS.members()
        ]
        steers = [(m.name, form) for m in chosen for form in self.forms if form in m.get("FORMS", self.forms)]
        return list(dict.fromkeys(steers))

    @property
    def command(self) -> str:
        """The command line that repeats the study."""
        names = [item.name for item in fields(self) if not item.metadata.get("how")]
        return " ".join(["mechsteer study", *self._options(names)])

    @property
    def pairs_command(self) -> str:
        """The command line that checks its pairs."""
        options = self._options(["test_pairs", "columns", "group", "limit", "format"])
        return " ".join(["mechsteer pairs", shlex.quote(self.pairs), *options])

    def _options(self, names: Sequence[str]) -> list[str]:
        """As they are written, those that differ from their defaults."""
        return [
            f"--{name.replace('_', '-')}={shlex.quote(_text(getattr(self, name)))}"
            for name in names
            if getattr(self, name) != getattr(type(self), name)
        ]

    def to_dict(self) -> dict[str, Any]:
        """What was asked, without how it is run."""
        how = {item.name for item in fields(self) if item.metadata.get("how")}
        return {name: value for name, value in asdict(self).items() if name not in how}


def _text(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def parse_columns(columns: Sequence[str]) -> dict[str, str]:
    """Our name of each column, and the file's own, from "ours=theirs"."""
    found = {}
    for item in columns:
        ours, _, theirs = item.partition("=")
        if not (ours and theirs):
            raise InputError(f"The column {item!r} is not OURS=THEIRS. Write query=prompt,positive=good,negative=bad.")
        found[ours] = theirs
    return found


def read_multipliers(text: str) -> np.ndarray:
    """N evenly spaced multipliers from LO to HI, of "LO:HI:N", or those of a list such as "-8,0,8", in its order."""
    example = "Write for example -4:4:41 or -8,0,8."
    is_range = ":" in text
    try:
        numbers = [float(part) for part in text.split(":" if is_range else ",")]
    except ValueError as error:
        raise InputError(f"The multipliers {text!r} are neither LO:HI:N nor a list of numbers. {example}") from error
    if not np.isfinite(numbers).all():
        raise InputError(f"The multipliers {text!r} are not all finite. {example}")
    if not is_range:
        return np.array(numbers)
    low, high, n = numbers if len(numbers) == 3 else (0.0, 0.0, 0.0)
    if not low < high or n not in range(2, MOST_MULTIPLIERS + 1):
        raise InputError(
            f"The multipliers {text!r} do not rise from LO to HI in N steps, 2 to {MOST_MULTIPLIERS}. {example}"
        )
    return np.linspace(low, high, int(n))


def n_to_find(text: str) -> int | None:
    """How many multipliers are to be found, of "auto" or "auto:N"; None where they are given."""
    if text == "auto":
        return N_MULTIPLIERS
    name, _, n = text.partition(":")
    if name != "auto":
        return None
    if not n.isdecimal() or int(n) not in range(LEAST_FOUND, MOST_MULTIPLIERS + 1):
        raise InputError(
            f"The multipliers {text!r} do not say how many to find, {LEAST_FOUND} to {MOST_MULTIPLIERS}. Write for example "
            "auto:41."
        )
    return int(n)


def parse_multipliers(text: str) -> np.ndarray:
    """The same for a sweep: in order, each once; zero, the base model, always comes along."""
    return np.union1d(read_multipliers(text), [0.0])
