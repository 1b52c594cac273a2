"""A fitted curve from its saved form."""

from collections.abc import Mapping
from typing import Any

from .preference import PreferenceCurve
from .utility import UtilityCurve
from .validity import ValidityDecay


def read_curve(fit: Mapping[str, Any]) -> PreferenceCurve | UtilityCurve:
    """The curve of a `CurveFit.to_dict()`, as it stands in fits.json."""
    parameters = dict(fit["curve"])
    validity = ValidityDecay(**parameters.pop("validity"))
    return (PreferenceCurve if fit["quantity"] == "preference" else UtilityCurve)(**parameters, validity=validity)
