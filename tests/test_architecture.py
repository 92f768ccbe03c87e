"""The house: floors from the bottom up. A file imports from the floors below its own and from its own folder."""

import ast
import graphlib
import re
from pathlib import Path

import litefocus_jax

ROOT = Path(litefocus_jax.__file__).parent
FLOORS = (
    ("system", "parallel"),
    ("ops", "diffusion", "audio"),
    ("models",),
    ("checkpoint", "decoding"),
    ("generation", "training"),
    ("pipeline",),
    ("evaluation", "benchmark"),
    ("web",),
    ("cli",),
    ("__main__",),
)
DOOR = {"__init__", "__main__", "pipeline"}  # the only files that lie in no folder
HEIGHT = {room: height for height, floor in enumerate(FLOORS) for room in floor}
NEVER_IMPORTED = {"torch", "diffusers", "convert", "tests", "examples"}


def imports_of(tree: ast.Module) -> set[str]:
    """Dotted names of all that a file imports, inside of functions and for type checkers too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


TREES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")}
MODULES = {module: imports_of(tree) for module, tree in TREES.items()}
INSIDE = {module for module in MODULES if module != "litefocus_jax"}  # whose names are loaded on first use


def room_of(module: str) -> str:
    return module.split(".")[1]


def test_every_file_has_its_room():
    assert {path.stem for path in ROOT.glob("*.py")} == DOOR
    assert {room_of(module) for module in INSIDE} <= set(HEIGHT)
    folders = {path.parent for path in ROOT.rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_nothing_imports_pytorch_or_the_converter():
    assert {name for names in MODULES.values() for name in names if name.split(".")[0] in NEVER_IMPORTED} == set()


def test_imports_point_downwards():
    climbing = [
        f"{module} imports {name}"
        for module in sorted(INSIDE)
        for name in MODULES[module]
        if name.startswith("litefocus_jax.") and room_of(name) in HEIGHT and room_of(name) != room_of(module)
        if HEIGHT[room_of(name)] >= HEIGHT[room_of(module)]
    ]
    assert climbing == []


def classes_above(height: int) -> set[str]:
    """Classes of the floors above one, as a parameter that holds an object of them would be called."""
    return {
        re.sub(r"(?<=[a-z])(?=[A-Z])", "_", node.name).lower()
        for module in INSIDE
        if HEIGHT[room_of(module)] > height
        for node in TREES[module].body
        if isinstance(node, ast.ClassDef)
    }


def test_no_parameter_is_called_any_to_hide_a_type_from_above():
    hidden = [
        f"{module}: {argument.arg}"
        for module in sorted(INSIDE)
        for node in ast.walk(TREES[module])
        if isinstance(node, ast.arguments)
        for argument in [*node.posonlyargs, *node.args, *node.kwonlyargs]
        if isinstance(argument.annotation, ast.Name) and argument.annotation.id == "Any"
        if argument.arg in classes_above(HEIGHT[room_of(module)])
    ]
    assert hidden == []


def test_no_modules_import_each_other_in_a_circle():
    # `from package import name` may mean a module of the package or a name in it.
    graph = {
        module: {found for name in MODULES[module] for found in (name, name.rpartition(".")[0]) if found in MODULES}
        - {module, "litefocus_jax"}
        for module in INSIDE
    }
    graphlib.TopologicalSorter(graph).prepare()
