"""The names that `litefocus_jax` offers, to programs and to type checkers."""

import importlib.util
import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import litefocus_jax

PACKAGE = Path(litefocus_jax.__file__).parent


@pytest.mark.parametrize("name", dir(litefocus_jax))
def test_every_public_name_can_be_loaded(name: str) -> None:
    assert getattr(litefocus_jax, name) is not None


def test_no_public_name_hides_a_module() -> None:
    modules = {path.stem for path in PACKAGE.iterdir()}
    assert modules & set(dir(litefocus_jax)) == set()
    assert callable(litefocus_jax.train)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert hasattr(litefocus_jax, "AudioLDM2Pipeline")
    assert not hasattr(litefocus_jax, "AudioLDM3Pipeline")


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, litefocus_jax; print({'jax', 'flax', 'numpy', 'transformers'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_type_checkers_are_told_to_read_the_package() -> None:
    # Both lie in the package's folder, which the wheel holds whole.
    assert (PACKAGE / "py.typed").is_file()
    assert (PACKAGE / "__init__.pyi").is_file()


@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright comes with the dev extra")
def test_pyright_sees_every_public_name(tmp_path: Path) -> None:
    names = ", ".join(dir(litefocus_jax))
    (tmp_path / "names.py").write_text(f"from litefocus_jax import {names}\nreveal_type(train)\n", encoding="utf-8")
    settings = {"extraPaths": [str(PACKAGE.parent)], "reportPrivateImportUsage": "error"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, textwrap.indent(result.stdout + result.stderr, "  ")
    assert 'Type of "train" is "(components: Components' in result.stdout
