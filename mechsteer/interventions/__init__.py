"""The forms of an intervention: a file each."""

from .base import Intervention, Origin
from .files import FORMS, load_intervention
from .local_weight import LocalWeight
from .lora import LoRA
from .vector import SteeringVector

__all__ = ["FORMS", "Intervention", "LoRA", "LocalWeight", "Origin", "SteeringVector", "load_intervention"]
