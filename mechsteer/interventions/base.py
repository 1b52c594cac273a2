"""What every intervention is: Δh = ΔW h + Δb at a site (arXiv 2602.02343, eq. 4)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import InputError
from ..models.model import Model
from ..models.sites import Site
from ..store.keys import digest


@dataclass(frozen=True)
class Origin:
    """Where an intervention comes from: all that is needed to use it again rightly, or to make it again."""

    method: str = "given"
    model: str = ""
    revision: str = ""
    fingerprint: str = ""
    positions: str = "all"
    prompt_format: str = "raw"
    pairs: str = ""
    pairs_fingerprint: str = ""
    seed: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    unit: str = ""
    """Key of the unit that learned it, if a study did."""

    @property
    def id(self) -> str:
        """Sixteen digits that say how and from which pairs it was learned."""
        return (self.unit or digest([self.method, self.pairs_fingerprint, self.seed, dict(self.settings)]))[:16]


@dataclass(frozen=True, eq=False)
class Intervention(ABC):
    """An affine change at a site; its forms are the final classes of this room, and of files that extend it.

    The multiplier means the same in all of them: steering adds m·delta(h).
    """

    site: Site
    origin: Origin = field(default_factory=Origin, kw_only=True)

    form: ClassVar[str]

    @abstractmethod
    def delta(self, h: Float[Tensor, "*batch d_in"]) -> Float[Tensor, "*batch d_out"]:
        """Δh = ΔW h + Δb, at multiplier one, in the parameters' dtype."""

    @classmethod
    @abstractmethod
    def init(cls, site: Site, d_in: int, d_out: int, *, generator: torch.Generator | None = None) -> "Intervention":
        """The member from which training starts: its delta is zero, or nearly so."""

    @abstractmethod
    def units(self, size_in: float, size_out: float) -> dict[str, float]:
        """Per tensor, the change of its entries that changes the delta by about `size_out`, where h is `size_in` large.

        Training in these units makes one learning rate serve every model; sizes are root mean squares of entries.
        """

    @abstractmethod
    def as_weights(self, d_in: int, d_out: int) -> tuple[Float[Tensor, "d_out d_in"], Float[Tensor, " d_out"]]:
        """ΔW and Δb in full, in float32: what the site's own weight and bias would be changed by at multiplier one."""

    @property
    @abstractmethod
    def widths(self) -> tuple[int | None, int]:
        """(d_in, d_out); d_in is None where any width of h will do."""

    @property
    def name(self) -> str:
        """What tables call it: method, form, site and seed."""
        seed = "" if self.origin.seed is None else f" seed {self.origin.seed}"
        return f"{self.origin.method} {self.form} {self.site}{seed}"

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The tensors by name."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, Tensor)}

    def with_parameters(self, parameters: Mapping[str, Tensor]) -> "Intervention":
        """The same intervention with other tensors."""
        return replace(self, **parameters)

    def to(self, device: torch.device | str) -> "Intervention":
        return self.with_parameters({name: value.to(device) for name, value in self.parameters.items()})

    def save(self, path: str | Path) -> Path:
        """Write a safetensors file that says everything needed to use it again."""
        from ..formats.loading import save_intervention  # which knows every form, and so this room

        return save_intervention(self, path)

    def check_widths(self, model: Model) -> None:
        """Raise one sentence if the tensors do not fit the site of this model."""
        d_in, d_out = self.site.widths(model)
        own_in, own_out = self.widths
        if own_out != d_out or own_in not in (None, d_in):
            raise InputError(
                f"This {self.form} maps width {own_in or 'any'} to {own_out}, but the site {self.site} of {model.name} "
                f"maps {d_in} to {d_out}. Use the model and site that it was made for."
            )
