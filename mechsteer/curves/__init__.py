"""Curves: the paper's preference and utility under steering, their rivals, and how well each explains a sweep."""

from .fit import CurveFit as CurveFit
from .fit import FitStatus as FitStatus
from .fit import Score as Score
from .fit import fit_curve as fit_curve
from .fit import fit_preference as fit_preference
from .fit import fit_utility as fit_utility
from .preference import PreferenceCurve as PreferenceCurve
from .properties import Property as Property
from .properties import curve_properties as curve_properties
from .utility import UtilityCurve as UtilityCurve
from .validity import ValidityDecay as ValidityDecay
