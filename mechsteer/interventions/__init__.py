"""Interventions: what every one is, the forms they take, a file each, and steering by them."""

from .base import Intervention, Origin
from .local_weight import LocalWeight
from .lora import LoRA
from .vector import SteeringVector

__all__ = ["Intervention", "LoRA", "LocalWeight", "Origin", "SteeringVector"]
