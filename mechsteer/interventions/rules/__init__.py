"""How m·Δh is applied to what stands at a site: rules, a file each."""

from .add import Add
from .base import Moment, Rule
from .project_out import ProjectOut
from .rotate import Rotate

__all__ = ["Add", "Moment", "ProjectOut", "Rotate", "Rule"]
