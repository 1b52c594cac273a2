"""The verdict on a finished study: worked, failed or cannot tell, against chance; from its tables alone, without the model."""

from .verdict import Ended, Verdict, verdict_of, verdicts_of

__all__ = ["Ended", "Verdict", "verdict_of", "verdicts_of"]
