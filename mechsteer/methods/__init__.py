"""How an intervention is learned: from means, or by one trainer and its objectives."""

from .diff_mean import DiffMean, diff_mean, diff_means
from .objectives import OBJECTIVES, SFT, SPLIT, BatchLosses, Objective, Recipe, RePS
from .trainer import Trained, train

__all__ = [
    "OBJECTIVES",
    "SFT",
    "SPLIT",
    "BatchLosses",
    "DiffMean",
    "Objective",
    "RePS",
    "Recipe",
    "Trained",
    "diff_mean",
    "diff_means",
    "train",
]
