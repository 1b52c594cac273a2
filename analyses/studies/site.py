"""Where a study steers: as asked, or where most is gained for what it costs."""

from dataclasses import dataclass

from mechsteer.measuring.recommended_site import recommend_site
from mechsteer.models.sites import Site, parse_sites, write_sites
from mechsteer.store.units import Bench

from ..units.steers import ChooseSite, PairSet
from .plan import Subjects
from .settings import Settings


@dataclass(frozen=True)
class Chosen:
    """Where to steer, at one site or several, why, and what the choice rests on."""

    sites: tuple[Site, ...]
    because: str
    unit: ChooseSite | None

    @property
    def hooks(self) -> str:
        """TransformerLens's names of them."""
        return ",".join(site.hook for site in self.sites)

    def __str__(self) -> str:
        return write_sites(self.sites)


def choose_site(settings: Settings, subjects: Subjects, bench: Bench) -> Chosen:
    """The site that was asked for, or the one that gains most for what it costs."""
    if settings.site != "auto":
        return Chosen(parse_sites(settings.site), "as asked", None)
    unit = site_choice(settings, subjects)
    choice = recommend_site(bench.get(unit), settings.layers_after)
    return Chosen((choice.site,), choice.because, unit)


def site_choice(settings: Settings, subjects: Subjects) -> ChooseSite:
    """The unit by which a site is chosen."""
    return ChooseSite(subjects.model, PairSet.of(subjects.learning), settings.format, settings.seed)
