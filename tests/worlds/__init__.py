"""Planted worlds: evidence made from arrays, in which each claim is true or false by construction. No model."""

from .cases import CASES as CASES
from .cases import Case as Case
from .families import FAMILIES as FAMILIES
from .families import Family as Family
