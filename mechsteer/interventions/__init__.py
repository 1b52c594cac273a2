"""Interventions: what every one is, the forms that their shifts take, a file each, and steering by them."""

from .base import Intervention, Origin, Shift
from .joint import Joint, join
from .local_weight import LocalWeight
from .lora import LoRA
from .vector import SteeringVector

__all__ = ["Intervention", "Joint", "LoRA", "LocalWeight", "Origin", "Shift", "SteeringVector", "join"]
