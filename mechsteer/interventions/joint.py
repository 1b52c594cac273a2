"""Several sites steered at once, under one multiplier."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar, final

from torch import Tensor

from ..errors import InputError
from ..models.sites import Site
from .base import Intervention, Origin, Shift
from .rules.base import Rule

T = TypeVar("T")


@final
@dataclass(frozen=True, eq=False)
class Joint(Intervention):
    """Shifts at several sites, of any forms. Those at later sites read what the earlier ones have made."""

    parts: tuple[Shift, ...]
    """In the order of a forward; of each, its site and tensors count, not a rule or origin of its own."""

    def __post_init__(self):
        sites = [part.site for part in self.parts]
        for site in sites:
            if sites.count(site) > 1:
                raise InputError(f"Two shifts came for the site {site}. Add them up, or nest one steer in the other.")
        object.__setattr__(self, "parts", tuple(sorted(self.parts, key=lambda part: part.site)))

    @property
    def shifts(self) -> Mapping[Site, Shift]:
        return {part.site: part for part in self.parts}

    @property
    def form(self) -> str:
        forms = {part.form for part in self.parts}
        return forms.pop() if len(forms) == 1 else "mixed"

    def each(self, function: Callable[[Shift], Shift]) -> "Joint":
        return replace(self, parts=tuple(function(part) for part in self.parts))

    def named(self, values: Callable[[Shift], Mapping[str, T]]) -> dict[str, T]:
        return {f"{part.site}.{name}": value for part in self.parts for name, value in values(part).items()}

    def with_parameters(self, parameters: Mapping[str, Tensor]) -> "Joint":
        def own(part: Shift) -> dict[str, Tensor]:
            start = f"{part.site}."
            return {name.removeprefix(start): value for name, value in parameters.items() if name.startswith(start)}

        return self.each(lambda part: part.with_parameters(own(part)))


def join(parts: Iterable[Intervention], *, rule: Rule | None = None) -> Intervention:
    """One intervention of all their sites, under one multiplier; of one alone, itself.

    Args:
        rule: how all of them are applied; by default as they say, who must then agree.

    What they agree on of their origins, the joint one says too; methods that differ are written side by side.
    """
    parts = list(parts)
    if not parts:
        raise InputError("No shift came, so there is nothing to steer by. Pass at least one.")
    shifts = tuple(shift for part in parts for shift in part.shifts.values())
    rules = {str(part.rule) for part in parts}
    if rule is None and len(rules) > 1:
        raise InputError(f"The rules differ: {', '.join(sorted(rules))}. Pass the one that all should act by.")
    for said in ("positions", "prompt_format"):
        if len(differing := {getattr(part.origin, said) for part in parts}) > 1:
            raise InputError(
                f"The interventions were learned with different {said}: {', '.join(sorted(differing))}. Learn them with the "
                "same, or set the origin of one."
            )
    models = {part.origin.fingerprint for part in parts if part.origin.fingerprint}
    if len(models) > 1:
        names = ", ".join(sorted({repr(part.origin.model) for part in parts}))
        raise InputError(f"The interventions were made for different models, {names}. Join those of one model.")
    if len(parts) == 1:
        return parts[0] if rule is None else replace(parts[0], rule=rule)
    joint = Joint(shifts)
    agreed: dict[str, Any] = {
        item.name: getattr(parts[0].origin, item.name)
        for item in fields(Origin)
        if all(getattr(part.origin, item.name) == getattr(parts[0].origin, item.name) for part in parts)
    }
    method = " + ".join(dict.fromkeys(part.origin.method for part in parts))
    return replace(joint, rule=rule or parts[0].rule, origin=replace(Origin(**agreed), method=method))
