"""Versions of the packages that this one depends on by itself: the oldest that it allows, or those that are installed.

python .ci/versions.py oldest       # constraints for pip
python .ci/versions.py installed    # what an audit looks at
"""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = ("train", "test-jax")

requirements = [*PROJECT["dependencies"], *(each for name in EXTRAS for each in PROJECT["optional-dependencies"][name])]
for requirement in requirements:
    name, oldest = re.fullmatch(r"([\w.-]+)(?:\[.*\])?(?:>=(.+))?", requirement).groups()
    if oldest is None:
        continue  # this package itself, with other extras
    if sys.argv[1] == "oldest":
        print(f"{name}=={oldest}")
    else:
        print(f"{name}=={importlib.metadata.version(name)}")
