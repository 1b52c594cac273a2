"""What every intervention is: shifts Δh = ΔW h + Δb at sites, and a rule by which m·Δh is applied (arXiv 2602.02343, eq. 4)."""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, TypeVar, get_origin

import torch
from jaxtyping import AbstractArray, Float, jaxtyped
from torch import Tensor

from ..brief import brief, size
from ..errors import InputError
from ..models.model import Model
from ..models.sites import Site, SiteField, write_sites
from ..store.keys import canonical, digest
from ..store.schema import not_finite
from .rules.add import Add
from .rules.base import Rule

T = TypeVar("T")


@dataclass(frozen=True)
class Origin:
    """Where an intervention comes from: all that is needed to use it again rightly, or to make it again."""

    method: str = "given"
    model: str = ""
    revision: str = ""
    fingerprint: str = ""
    dtype: str = ""
    """Of the model when it was learned, and how it was quantised, if it was."""
    positions: str = "all"
    prompt_format: str = "raw"
    pairs: str = ""
    pairs_fingerprint: str = ""
    seed: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    unit: str = ""
    """Key of the unit that learned it, if a study did; it stands for the tensors too."""

    __repr__ = brief

    def __post_init__(self):
        for item in fields(self):
            kind: Any = item.type if isinstance(item.type, type | UnionType) else get_origin(item.type)
            if not isinstance(value := getattr(self, item.name), kind):
                raise InputError(f"The origin's {item.name} is {value!r}. Pass one of type {item.type}.")
        if strange := not_finite(self.settings, "settings"):
            raise InputError(f"Of an origin, {strange}. Pass finite numbers.")


@dataclass(frozen=True, eq=False)
class Intervention(ABC):
    """A mapping of sites to shifts, with a rule that says how m·Δh is applied and an origin that says how it was learned.

    A `Shift` is the mapping of one; `join` makes one of many.
    """

    rule: Rule = field(default_factory=Add, kw_only=True)
    origin: Origin = field(default_factory=Origin, kw_only=True)

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        cls.__repr__ = Intervention.__repr__  # before `dataclass`, which then writes none of its own

    def __repr__(self) -> str:
        tensors = (f"{name}={size(tensor)}" for name, tensor in self.parameters.items())
        return f"{type(self).__name__}({', '.join([repr(self.name), *tensors])})"

    @property
    @abstractmethod
    def shifts(self) -> Mapping[Site, "Shift"]:
        """In the order in which a forward passes the sites; at least one."""

    @property
    @abstractmethod
    def form(self) -> str:
        """What its shifts look like: the name of their form, or "mixed"."""

    @abstractmethod
    def each(self, function: Callable[["Shift"], "Shift"]) -> "Intervention":
        """The same with every shift put through `function`."""

    @abstractmethod
    def named(self, values: Callable[["Shift"], Mapping[str, T]]) -> dict[str, T]:
        """What `values` says of each shift's tensors, by the names that they have in `parameters`."""

    @abstractmethod
    def with_parameters(self, parameters: Mapping[str, Tensor]) -> "Intervention":
        """The same intervention with other tensors."""

    @property
    def sites(self) -> tuple[Site, ...]:
        """Where it acts, in the order in which a forward passes them."""
        return tuple(self.shifts)

    @property
    def name(self) -> str:
        """What tables call it: method, form, sites, the rule if it is another than adding, and seed."""
        seed = "" if self.origin.seed is None else f" seed {self.origin.seed}"
        rule = "" if self.rule == Add() else f" by {self.rule}"
        return f"{self.origin.method} {self.form} {write_sites(self.sites)}{rule}{seed}"

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The tensors by name; where there are several sites, a name begins with its site."""
        return self.named(lambda shift: shift.tensors)

    @property
    def id(self) -> str:
        """Sixteen digits that differ where what was learned differs, or how it was learned."""
        origin = self.origin
        if origin.unit:
            return origin.unit[:16]
        return digest([origin.method, origin.pairs_fingerprint, origin.seed, dict(origin.settings), self.content])[:16]

    @property
    def content(self) -> str:
        """64 digits that differ where what the steer does differs."""
        said = [[str(site), shift.form] for site, shift in self.shifts.items()]
        found = hashlib.sha256(canonical([said, str(self.rule), self.origin.positions]).encode())
        for name, tensor in sorted(self.parameters.items()):
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().contiguous().float().numpy().tobytes())
        return found.hexdigest()

    def scaled(self, factor: float) -> "Intervention":
        """The same with `factor` times its delta, at every site: no longer what a study's unit learned."""
        each = self.each(lambda shift: shift.times(factor))
        return replace(each, origin=replace(self.origin, unit=""))

    def to(self, device: torch.device | str) -> "Intervention":
        return self.with_parameters({name: value.to(device) for name, value in self.parameters.items()})

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file that says everything needed to use it again."""
        from ..formats.exporting import save_intervention  # which knows every form, and so this room

        return save_intervention(self, path)

    def check_finite(self) -> None:
        """Raise one sentence if a tensor holds what is no number, or is infinite."""
        for name, value in self.parameters.items():
            if n := int((~value.isfinite()).sum()):
                raise InputError(
                    f"{n} of {value.numel()} entries of {name} in this {self.form} at {write_sites(self.sites)} are NaN or "
                    "infinite, so nothing can be steered by it. Learn it again, or look where they arose."
                )

    def check_fits(self, model: Model) -> None:
        """Raise one sentence if this model cannot be steered by it: its numbers are none, or its widths are other ones."""
        self.check_finite()
        for site, shift in self.shifts.items():
            d_in, d_out = site.widths(model)
            own_in, own_out = shift.widths
            if own_out != d_out or own_in not in (None, d_in):
                own, at_site = (
                    (f"has width {own_out}", f"has width {d_out}")
                    if own_in is None
                    else (f"maps width {own_in} to {own_out}", f"maps {d_in} to {d_out}")
                )
                raise InputError(
                    f"This {shift.form} {own}, but the site {site} of {model.name} {at_site}. Use the model and site that it was "
                    "made for."
                )


@dataclass(frozen=True, eq=False)
class Shift(Intervention):
    """An affine map Δh = ΔW h + Δb at one site, which may be given as text ("3:resid_post").

    Its forms are the final classes of this room, and of files that extend it.
    """

    site: SiteField

    form: ClassVar[str]  # pyright: ignore

    def __post_init__(self) -> None:
        """A site may come as text; the tensors are of the shapes that their fields declare, together."""
        object.__setattr__(self, "site", Site.of(self.site))
        with jaxtyped("context"):
            for item in fields(self):
                kind, value = item.type, getattr(self, item.name)
                if isinstance(kind, type) and issubclass(kind, AbstractArray) and not isinstance(value, kind):
                    came = f"{value.dtype} of shape {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
                    raise InputError(
                        f"The {item.name} of a {self.form} is {came}. Pass a tensor of floats whose shape is "
                        f"({kind.dim_str.strip()}), where equal names are equal lengths."
                    )

    @classmethod
    def at(cls, model: Model, site: Site | str, **more: Any) -> "Shift":
        """The member from which training starts at a site of a model: `LoRA.at(model, "2:mlp.out", rank=8)`.

        What starts at random is drawn by a generator seeded 0, so it is the same every time. Pass `generator` for another start.
        """
        site = Site.of(site)
        return cls.init(site, *site.widths(model), **more)

    @abstractmethod
    def delta(self, h: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """Δh = ΔW h + Δb, at multiplier one, in the parameters' dtype."""

    @classmethod
    @abstractmethod
    def init(cls, site: Site, d_in: int, d_out: int, *, generator: torch.Generator | None = None) -> "Shift":
        """The member from which training starts: its delta is zero, or nearly so. Without `generator`, `uniform` draws from one
        seeded 0."""

    @classmethod
    def init_wide(cls, site: Site, d_in: int, d_out: int, *, generator: torch.Generator | None = None) -> "Shift":
        """The one from which the public code of arXiv 2602.02343 starts, where that is another: A of a LoRA from U(±1/√rank),
        a vector from U(±1/√d_out)."""
        return cls.init(site, d_in, d_out, generator=generator)

    @abstractmethod
    def units(self, size_in: float, size_out: float) -> dict[str, float]:
        """Per tensor, the change of its entries that changes the delta by about `size_out`, where h is `size_in` large.

        Training in these units makes one learning rate serve every model; sizes are root mean squares of entries.
        """

    @abstractmethod
    def as_weights(self, d_in: int, d_out: int) -> tuple[Float[Tensor, "d_out d_in"], Float[Tensor, " d_out"]]:
        """ΔW and Δb in full, in float32: what the site's own weight and bias would be changed by at multiplier one."""

    def times(self, factor: float) -> "Shift":
        """What `scaled` makes of it, whose origin is not looked at."""
        raise InputError(f"A {self.form} cannot be scaled. Use it at another multiplier.")

    @property
    def norm(self) -> float:
        """Of a vector its length, of weights that of all entries of ΔW and Δb."""
        d_in, d_out = self.widths
        weight, bias = self.as_weights(d_in or d_out, d_out)
        return math.hypot(float(weight.norm()), float(bias.norm()))

    @property
    @abstractmethod
    def widths(self) -> tuple[int | None, int]:
        """(d_in, d_out); d_in is None where any width of h will do."""

    @property
    def shifts(self) -> Mapping[Site, "Shift"]:
        return {self.site: self}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """By the names of its fields."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def each(self, function: Callable[["Shift"], "Shift"]) -> "Shift":
        return replace(function(self), rule=self.rule, origin=self.origin)

    def named(self, values: Callable[["Shift"], Mapping[str, T]]) -> dict[str, T]:
        return dict(values(self))

    def with_parameters(self, parameters: Mapping[str, Tensor]) -> "Shift":
        return replace(self, **parameters)


def uniform(*shape: int, bound: float, generator: torch.Generator | None) -> Tensor:
    """Entries from U(±bound), by default of a generator seeded 0 and never of torch's global one, so that a start repeats."""
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
