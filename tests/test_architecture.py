"""The library's modules depend on one another in one direction, and on nothing that belongs to the converter."""

import ast
import graphlib
from pathlib import Path

import litefocus_jax

ROOT = Path(litefocus_jax.__file__).parent
# From the bottom up, as in CONTRIBUTING.md; a module imports from its own part and from those before it.
PARTS = (
    {"block_loop", "config", "memory", "time_axis"},
    {"devices"},
    {"attention"},
    {"litefocus"},
    {"models"},
    {"schedulers", "windows"},
    {"generate"},
    {"finite"},
    {"decoding"},
    {"checkpoint"},
    {"compilation_cache", "files", "progress", "tokenization"},
    {"audio", "memory_needs", "request", "resume"},
    {"output"},
    {"pipeline", "random_model"},
    {"estimate"},
    {"benchmark"},
    {"training"},
    {"cli"},
)
HEIGHT = {name: height for height, part in enumerate(PARTS) for name in part}
NEVER_IMPORTED = {"torch", "diffusers", "convert", "tests"}


def imports_of(path: Path) -> set[str]:
    """Dotted names of all that a file imports, inside of functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): imports_of(path) for path in ROOT.rglob("*.py")}


def test_nothing_imports_pytorch_or_the_converter():
    assert {name for names in MODULES.values() for name in names if name.split(".")[0] in NEVER_IMPORTED} == set()


def test_imports_point_downwards():
    upward = [
        f"{module} imports {name}"
        for module, names in MODULES.items()
        for name in names
        if name.startswith("litefocus_jax.") and module != "litefocus_jax" and part_of(name) in HEIGHT
        if HEIGHT[part_of(name)] > HEIGHT[part_of(module)]
    ]
    assert upward == []


def part_of(module: str) -> str:
    return module.split(".")[1]


def test_no_modules_import_each_other_in_a_circle():
    # `from package import name` may mean a module of the package or a name in it.
    graph = {
        module: {found for name in names for found in (name, name.rpartition(".")[0]) if found in MODULES} - {module}
        for module, names in MODULES.items()
        if module != "litefocus_jax"  # its public names are loaded on first use
    }
    graphlib.TopologicalSorter(graph).prepare()
