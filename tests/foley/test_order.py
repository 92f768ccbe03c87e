"""The order of the recipe's folders: each imports from those before it, and from itself."""

import ast
from pathlib import Path

import examples.foley

ROOT = Path(examples.foley.__file__).parent
FOLDERS = ("world", "parts", "judges", "measure", "report")
DOOR = {"__init__.py", "train.py", "evaluate.py", "audible.py", "recordings.py", "second_opinion.py"}


def folders_imported(path: Path) -> set[str]:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {module.split(".")[2] for module in modules if module.startswith("examples.foley.")}


def test_every_file_lies_in_a_folder_but_for_the_commands():
    assert {path.name for path in ROOT.glob("*.py")} == DOOR
    assert {path.parent.name for path in ROOT.glob("*/*.py")} == set(FOLDERS)


def test_folders_import_from_those_before_them():
    climbing = [
        f"{folder}/{path.name} imports from {found}"
        for height, folder in enumerate(FOLDERS)
        for path in (ROOT / folder).glob("*.py")
        for found in folders_imported(path)
        if found not in FOLDERS[: height + 1]
    ]
    assert climbing == []
