"""Manifolds: where well-handled activations lie, a file each; their intrinsic dimension; and a map for looking at."""

from .base import Manifold as Manifold
from .base import load_manifold as load_manifold
from .gaussian import Gaussian as Gaussian
from .intrinsic_dimension import IntrinsicDimension as IntrinsicDimension
from .intrinsic_dimension import grouped_dimensions as grouped_dimensions
from .intrinsic_dimension import intrinsic_dimensions as intrinsic_dimensions
from .local_tangent import LocalTangent as LocalTangent
from .map import Map as Map
from .neighbours import Neighbours as Neighbours
from .subspace import Subspace as Subspace
