"""The notebooks run from top to bottom as they are, and hold no outputs."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_outputs_are_not_kept(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.id for cell in cells if cell.outputs or cell.execution_count] == []


# What nbclient, ipykernel and their parts are told to change one day is not ours.
@pytest.mark.filterwarnings("default")
def test_the_first_notebook_plays_sounds_and_shows_bars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    notebook = nbformat.read(EXAMPLES / "first_sound.ipynb", as_version=4)
    for cell in notebook.cells:  # fewer steps: this is about the cells, and not about their sound
        cell.source = cell.source.replace('"num_inference_steps": 20', '"num_inference_steps": 7')
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = {cell.id: str(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"}
    assert [name for name, outputs in shown.items() if "<audio" not in outputs] == ["load"]
    assert shown["batch"].count("<audio") == 2
    assert "Denoising" in shown["make"]
    assert "ended after 6 of 7 steps" in shown["watch"]
