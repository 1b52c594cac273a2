"""How an intervention is learned: a file for each way."""

from .diff_mean import diff_mean, diff_means

__all__ = ["diff_mean", "diff_means"]
