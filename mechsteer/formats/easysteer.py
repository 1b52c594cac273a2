"""EasySteer's steering for vLLM: a folder with a control vector and the specification that asks for it."""

from pathlib import Path

from ..interventions.base import Intervention
from ..store.atomic import write_json
from .gguf_vector import write_directions

NAME = "easysteer"
TITLE = "a specification for EasySteer"
ORDER = 120
SUFFIXES = ()
SAYS = {"forms": ("vector",), "places": ("resid_post",), "several": True, "positions": ("every", "completion")}
SPECIFICATION, VECTOR = "steering.json", "vector.gguf"
APPLY = {"every": {"prompt": "all", "generation": "all"}, "completion": {"generation": "all"}}


def write(intervention: Intervention, path: Path) -> list[Path]:
    """What `SteeringSpec(**...)` and the HTTP field `steering` take; its layers count from 0, block 0 included."""
    path.mkdir(parents=True, exist_ok=True)
    source = write_directions(intervention, path / VECTOR)
    vector = {
        "source": str(source),
        "algorithm": "direct",
        "scale": 1.0,
        "layers": [site.layer for site in intervention.sites],
        "normalize": False,
        "apply": APPLY.get(intervention.origin.positions, APPLY["every"]),
        "name": intervention.name,
    }
    return [source, write_json({"vectors": [vector], "conflict": "priority"}, path / SPECIFICATION)]
