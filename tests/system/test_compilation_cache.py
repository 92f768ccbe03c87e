"""Where compiled programs are kept, and who decides."""

from pathlib import Path

import jax
import pytest

from litefocus_jax.system.compilation_cache import use_compilation_cache


def folder_of_jax() -> str | None:
    return jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(autouse=True)
def _restored_settings():
    before = folder_of_jax()
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
