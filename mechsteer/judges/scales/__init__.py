"""Scales of judges that are asked in words, a TOML file of prompts each."""

from pathlib import Path

FOLDER = Path(__file__).parent
SCALES = tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))
"""Ours, by name."""
