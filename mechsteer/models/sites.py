"""A site: the layer and the place at which an intervention acts. `hooks.py` says what the places are."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import InputError
from .hooks import PLACES, Ending, in_block

POSITIONS = ("all", "completion", "query", "every")
"""Tokens that a steer at a site may be of; positions.py says which these are."""

_ORDER = {place: number for number, place in enumerate(PLACES)}

if TYPE_CHECKING:
    from .model import Hook, Model
    from .survey import Look


@dataclass(frozen=True)
class Site:
    """A place of a 0-based layer, written "3:resid_post". Sites are ordered as a forward passes them."""

    layer: int
    place: str

    def __post_init__(self):
        if self.place not in PLACES:
            raise InputError(f"The place {self.place!r} is unknown. Places are {', '.join(PLACES)}.")
        if self.layer < 0:
            raise InputError(f"The layer {self.layer} is negative. Layers count from 0.")

    @classmethod
    def parse(cls, text: str) -> "Site":
        """Read "LAYER:PLACE"."""
        layer, _, place = text.partition(":")
        if not re.fullmatch(r"-?\d{1,5}", layer.strip()):
            raise InputError(f"The site {text!r} is not LAYER:PLACE. Write for example 3:resid_post.")
        return cls(int(layer), place.strip())

    @classmethod
    def of(cls, site: "Site | str") -> "Site":
        """A site, or the one that a text names."""
        return cls.parse(site) if isinstance(site, str) else site

    def __str__(self) -> str:
        return f"{self.layer}:{self.place}"

    def __lt__(self, other: "Site") -> bool:
        return (self.layer, _ORDER[self.place]) < (other.layer, _ORDER[other.place])

    @property
    def hook(self) -> str:
        """TransformerLens's name of the hook at which the shift is added."""
        return in_block(self.layer, PLACES[self.place].output)

    @property
    def input_hook(self) -> str | None:
        """The hook that shows, earlier in the same forward, what h is made from."""
        name = PLACES[self.place].input
        return None if name is None else in_block(self.layer, name)

    @property
    def ending(self) -> Ending | None:
        """How a forward can go on from the site; None where only the whole block can be run again."""
        ending = PLACES[self.place].ending
        return ending and replace(ending, hooks=tuple(in_block(self.layer, name) for name in ending.hooks))

    def widths(self, model: "Model") -> tuple[int, int]:
        """(d_in, d_out): the width of h and that of the shift; one sentence if the model lacks this site."""
        from .survey import widths  # what looks at a model needs torch; a site alone does not

        return widths(self, model)

    def hooks(self, look: "Look") -> "list[Hook]":
        """Hooks that show (h, value) to `look` and add what it returns, if anything, to the value."""
        from .survey import hooks

        return hooks(self, look)


# What a frozen value that is given either holds is a Site, which is all that those who read it need to know.
if TYPE_CHECKING:
    SiteField = Site
else:
    SiteField = Site | str


def parse_sites(text: str) -> tuple[Site, ...]:
    """Read "LAYER:PLACE,LAYER:PLACE,...", one at least; they come in the order of a forward, each once."""
    sites = sorted(Site.parse(part) for part in text.split(","))
    twice = [site for site in sites if sites.count(site) > 1]
    if twice:
        raise InputError(f"The site {twice[0]} came twice in {text!r}. Name each site once.")
    return tuple(sites)


def write_sites(sites: Iterable[Site]) -> str:
    """What `parse_sites` reads."""
    return ",".join(map(str, sites))
