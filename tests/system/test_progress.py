"""Bars of progress: in a notebook, and nowhere."""

import pytest

from litefocus_jax.system import notebook, progress
from tests.support.notebooks import in_notebook  # noqa: F401


@pytest.mark.usefixtures("in_notebook")
def test_bars_are_drawn_in_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.progress_bar("Denoising", 3) as on_progress:
        on_progress(2)
        on_progress(3)
    with progress.figures_progress_bar("Training", 3) as on_figures:
        on_figures(1, "loss 0.5")
    with progress.described_progress_bar(1) as begin:
        begin("first")
    with progress.busy("Compiling"):
        pass
    written = capsys.readouterr().err
    for text in ("Denoising: 100%", "3/3", "loss 0.5", "first", "Compiling"):
        assert text in written


@pytest.mark.parametrize("enabled", [True, False])
def test_nothing_is_drawn_without_terminal_or_notebook(capsys: pytest.CaptureFixture[str], enabled: bool) -> None:
    assert not notebook.is_notebook()
    with progress.progress_bar("Denoising", 3, enabled=enabled) as on_progress:
        on_progress(3)
    assert capsys.readouterr() == ("", "")
