"""Pairs, the choice of a site, steers and their ranges of multipliers."""

import json
from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from mechsteer.methods.settings import TrainSettings
from mechsteer.models.identity import ModelReference
from mechsteer.models.sites import parse_sites
from mechsteer.pairs.polarity import Pairs
from mechsteer.pairs.reading import load_pairs
from mechsteer.store.atomic import write_json
from mechsteer.store.keys import Key
from mechsteer.store.units import Bench, Unit, label


@dataclass(frozen=True)
class PairSet(Unit[Pairs]):
    """Pairs that somebody gave, by their content; put on the bench, never computed."""

    content: str
    n: int
    name: str = label()

    kind = "pairs"

    @classmethod
    def of(cls, pairs: Pairs) -> "PairSet":
        return cls(pairs.fingerprint, len(pairs), pairs.name)

    @property
    def words(self) -> str:
        return f"{self.n} pairs of {self.name}"

    def compute(self, at: Bench) -> Pairs:
        raise KeyError(f"The {self.words} were not put on the bench.")

    def save(self, value: Pairs, folder: Path) -> None:
        (folder / "pairs.jsonl").write_text(value.to_json_lines(), encoding="utf-8")

    def load(self, folder: Path) -> Pairs:
        return replace(load_pairs(folder / "pairs.jsonl"), name=self.name)


@dataclass(frozen=True)
class Tokens(Unit[dict]):
    """How pairs become tokens: in how many a token spans query and completion, and what is wrong with them."""

    model: ModelReference
    pairs: PairSet
    prompt_format: str

    kind = "tokens"
    version = 2

    @property
    def words(self) -> str:
        return f"{self.pairs.words} as tokens"

    def compute(self, at: Bench) -> dict:
        import mechsteer as ms
        from mechsteer.models.token_checks import check_tokens

        model, pairs = at.model(self.model), at.get(self.pairs)
        findings = [finding.to_dict() for finding in check_tokens(model, pairs, self.prompt_format)]
        if any(finding["refused"] for finding in findings):
            return {"moved": 0, "findings": findings}
        encoded = ms.encode_pairs(model, pairs, self.prompt_format)
        return {"moved": sum(pair.moved for pair in encoded), "findings": findings}

    def save(self, value: dict, folder: Path) -> None:
        write_json(value, folder / "tokens.json")

    def load(self, folder: Path) -> dict:
        return json.loads((folder / "tokens.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class ChooseSite(Unit[pd.DataFrame]):
    """Every layer and place at equal relative shift."""

    model: ModelReference
    pairs: PairSet
    prompt_format: str
    seed: int

    kind = "sites"
    version = 4

    @property
    def words(self) -> str:
        return "the choice of a site"

    def compute(self, at: Bench) -> pd.DataFrame:
        import mechsteer as ms

        pairs = at.get(self.pairs)
        return ms.choose_site(at.model(self.model), pairs, prompt_format=self.prompt_format, seed=self.seed).table

    def save(self, value: pd.DataFrame, folder: Path) -> None:
        value.to_parquet(folder / "sites.parquet", index=False)

    def load(self, folder: Path) -> pd.DataFrame:
        return pd.read_parquet(folder / "sites.parquet")


class Steer(Unit):
    """A steer of a study: what is learned, or what came in a file."""

    model: ModelReference
    sites: str
    method: str
    form: str
    rule: str
    prompt_format: str

    @property
    @abstractmethod
    def steer(self) -> Key:
        """What the steer is, whatever it is measured on."""

    @property
    def seed(self) -> int | None:
        """Of the training; what was not trained here has none."""
        return None

    def save(self, value, folder: Path) -> None:
        value.save(folder / "steer.safetensors")

    def load(self, folder: Path):
        import mechsteer as ms

        return ms.load_intervention(folder / "steer.safetensors")


@dataclass(frozen=True)
class Imported(Steer):
    """A steer that somebody gave, by its content; put on the bench, never computed."""

    model: ModelReference
    content: str
    method: str
    """What it is called: its file's name."""
    form: str
    sites: str
    rule: str
    positions: str
    prompt_format: str

    kind = "imported"

    @property
    def words(self) -> str:
        return f"the steer {self.method}"

    @property
    def steer(self) -> Key:
        model = self.model
        return Key(
            method=self.method, form=self.form, rule=self.rule, sites=self.sites, settings=self.key[:16],
            positions=self.positions, prompt_format=self.prompt_format, model=model.name, weights=model.weights,
            tokenizer=model.tokenizer, dtype=model.dtype, quantisation=model.quantisation,
        )  # fmt: skip

    def compute(self, at: Bench):
        raise KeyError(f"The file of {self.words} was not put on the bench.")


@dataclass(frozen=True)
class Learn(Steer):
    """A steer, learned from pairs; a fifth of them (by group) chooses the step at which a trained one stops."""

    model: ModelReference
    pairs: PairSet
    sites: str
    method: str
    form: str
    training: TrainSettings
    split_seed: int
    """Which fifth: the same for every method and training seed of a study."""
    is_trained: bool
    code: str
    """Of a method, form, rule or recipe from outside the tree, its content."""
    rule: str = "add"
    trials: tuple[Unit, ...] = ()
    """Settings that were tried (`tuning.Trial`), of which the best is taken; none where it is learned untuned."""

    kind = "steer"
    version = 3

    @property
    def words(self) -> str:
        return f"learning {self.steer.steer}"

    @property
    def prompt_format(self) -> str:  # pyright: ignore
        return self.training.prompt_format

    @property
    def seed(self) -> int | None:
        """Of the training; what is not trained has none."""
        return self.training.seed if self.is_trained else None

    @property
    def steer(self) -> Key:
        model = self.model
        return Key(
            method=self.method, form=self.form, rule=self.rule, sites=self.sites, seed=self.seed, settings=self.key[:16],
            positions=self.training.positions, prompt_format=self.training.prompt_format, model=model.name,
            weights=model.weights, tokenizer=model.tokenizer, dtype=model.dtype, quantisation=model.quantisation,
        )  # fmt: skip

    def compute(self, at: Bench):
        from mechsteer.methods.learning import learn
        from mechsteer.methods.tuning import with_factors

        pairs, validation, training, objective = at.get(self.pairs), None, self.training, None
        if self.is_trained:
            pairs, validation = pairs.split(0.8, seed=self.split_seed)
        if self.trials:
            from .tuning import best_factors

            factors = best_factors([at.get(trial) for trial in self.trials])
            training, objective = with_factors(training, self.method, self.form, factors)
        parts = at.parts(self)
        parts.mkdir(parents=True, exist_ok=True)
        learned = learn(
            at.model(self.model), pairs, parse_sites(self.sites), self.method, self.form, training, rule=self.rule,
            objective=objective, validation=validation, checkpoint=parts / "run.pt",
        )  # fmt: skip
        steer = learned.intervention
        return replace(steer, origin=replace(steer.origin, unit=self.key))


@dataclass(frozen=True)
class FindRange(Unit[ndarray]):
    """Multipliers from no effect to collapse."""

    steer: Steer
    pairs: PairSet
    n: int

    kind = "range"
    version = 3

    @property
    def words(self) -> str:
        return f"the range of {self.steer.steer.steer}"

    def compute(self, at: Bench) -> Float[ndarray, " m"]:
        import mechsteer as ms

        return ms.find_multipliers(at.model(self.steer.model), at.get(self.steer), at.get(self.pairs), n=self.n)

    def save(self, value: Float[ndarray, " m"], folder: Path) -> None:
        write_json(value.tolist(), folder / "multipliers.json")

    def load(self, folder: Path) -> Float[ndarray, " m"]:
        return np.array(json.loads((folder / "multipliers.json").read_text(encoding="utf-8")), dtype=np.float64)
