"""Where compiled programs are kept, and who decides."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import pytest

from litefocus_jax.system.compilation_cache import use_compilation_cache
from litefocus_jax.system.program_store import ProgramStore


def folder_of_jax() -> str | None:
    return jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(autouse=True)
def _restored_settings():
    before = folder_of_jax()
    jax.config.update("jax_compilation_cache_dir", None)
    yield
    jax.config.update("jax_compilation_cache_dir", before)


def test_programs_are_kept_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("LITEFOCUS_COMPILATION_CACHE")
    folder = use_compilation_cache()
    assert folder == tmp_path / "litefocus-jax" / "compiled"
    assert folder_of_jax() == str(folder)


def test_the_cache_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITEFOCUS_COMPILATION_CACHE", "off")
    assert use_compilation_cache() is None
    assert folder_of_jax() is None


def test_what_the_user_told_jax_wins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LITEFOCUS_COMPILATION_CACHE", str(tmp_path / "ours"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    assert use_compilation_cache() == tmp_path / "theirs"
    assert not (tmp_path / "ours").exists()


def test_a_folder_that_cannot_be_made_is_only_logged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LITEFOCUS_COMPILATION_CACHE", str(tmp_path / "file" / "cache"))
    assert use_compilation_cache() is None
    assert "cannot be kept" in caplog.text


def test_a_program_that_is_damaged_is_as_good_as_absent_and_is_replaced(tmp_path: Path) -> None:
    store = ProgramStore(tmp_path / "new")
    assert store.get("unet") is None
    store.put("unet", b"program")
    [file] = (tmp_path / "new").iterdir()
    for damage in (file.read_bytes()[:-1], b"", b"garbage"):
        file.write_bytes(damage)
        assert store.get("unet") is None
        store.put("unet", b"program")
        assert store.get("unet") == b"program"


def test_a_program_that_cannot_be_kept_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    store = ProgramStore(tmp_path / "file")
    store.put("unet", b"program")
    store.put("vae", b"program")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert store.get("unet") is None


def test_jax_compiles_anew_and_without_a_warning_what_is_damaged(tmp_path: Path) -> None:
    script = """
        import jax, warnings
        from litefocus_jax.system.compilation_cache import use_compilation_cache
        warnings.simplefilter("error")
        use_compilation_cache()
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.jit(lambda x: x * 3)(2.0)
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    environment = os.environ | {"LITEFOCUS_COMPILATION_CACHE": str(tmp_path)}
    subprocess.run(command, check=True, env=environment)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert files
    for path, content in files.items():
        path.write_bytes(content[: len(content) // 2])
    subprocess.run(command, check=True, env=environment)
    assert {path.name: len(path.read_bytes()) for path in tmp_path.iterdir()} == {
        path.name: len(content) for path, content in files.items()
    }
