"""Devices that are asked for and not there, and accelerators that were prepared for in vain."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import jax
import pytest

from litefocus_jax.system.devices import Start

FAKE_PLUGIN = """
    import os
    def initialize():
        os.write(2, b"E0000 a line of another library")
        raise RuntimeError("operation cuInit(0) failed: CUDA_ERROR_NO_DEVICE")
"""


def in_a_new_process(arguments: list[str], path: Path | None = None, **environment: str) -> Any:
    paths = os.pathsep.join(str(each) for each in (path, os.environ.get("PYTHONPATH")) if each)
    command = [sys.executable, "-m", "litefocus_jax", *arguments]
    environment = os.environ | {"PYTHONPATH": paths} | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_a_device_that_is_not_there_is_one_line(platform: str, tmp_path: Path) -> None:
    result = in_a_new_process(["init", str(tmp_path / "model")], JAX_PLATFORMS=platform)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: JAX_PLATFORMS = {platform!r}, but there is no such device here")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "model").exists()


def test_a_plugin_that_fails_is_one_line_and_all_of_it_under_verbose(tmp_path: Path) -> None:
    package = tmp_path / "jax_plugins" / "fake"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(textwrap.dedent(FAKE_PLUGIN))
    folder = str(tmp_path / "model")
    result = in_a_new_process(["init", folder], tmp_path, JAX_PLATFORMS="")
    assert result.returncode == 0, result.stderr
    line = "Running on the CPU, not on an accelerator: RuntimeError: operation cuInit(0) failed: CUDA_ERROR_NO_DEVICE"
    assert line in result.stderr
    assert "Traceback" not in result.stderr
    assert "another library" not in result.stderr
    verbose = in_a_new_process(["--verbose", "init", folder, "--overwrite"], tmp_path, JAX_PLATFORMS="")
    assert "Traceback" in verbose.stderr
    assert "a line of another library" in verbose.stderr


def test_nothing_is_said_where_the_cpu_was_asked_for() -> None:
    assert Start(tuple(jax.local_devices()), ("RuntimeError: no driver",)).fallback is None
