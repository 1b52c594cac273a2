"""The forms of an intervention: a file each."""

from .base import Intervention, Origin
from .local_weight import LocalWeight
from .lora import LoRA
from .vector import SteeringVector

FORMS: dict[str, type[Intervention]] = {cls.form: cls for cls in (SteeringVector, LoRA, LocalWeight)}

__all__ = ["FORMS", "Intervention", "LoRA", "LocalWeight", "Origin", "SteeringVector"]
