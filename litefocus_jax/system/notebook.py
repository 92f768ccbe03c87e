"""Whether Python runs in a notebook, and bars of progress for one."""

import sys
import warnings
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from tqdm.std import tqdm


def is_notebook() -> bool:
    """Whether cells of a notebook run this Python: Jupyter's, Colab's or an editor's.

    IPython at a terminal is a terminal. IPython is looked for, and never imported: where a notebook runs, it is there.
    """
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = None if get_ipython is None else get_ipython()
    if shell is None:
        return False
    kind = type(shell)
    return kind.__name__ == "ZMQInteractiveShell" or kind.__module__.startswith("google.colab")


class NotebookBars:
    """Bars of progress below a cell, to be spoken to like `rich.progress.Progress`.

    tqdm draws them: as widgets where ipywidgets is installed, and as text elsewhere.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tqdm advises to install ipywidgets
            from tqdm.auto import tqdm

        self._tqdm = tqdm
        self._bars: list[tqdm] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for bar in self._bars:
            bar.close()

    def add_task(self, description: str, total: float | None = None, completed: int = 0, **fields: Any) -> Any:
        """Begin a bar; returns its number. Without a total it has no end, says what goes on, and vanishes."""
        is_endless = {"leave": False, "bar_format": "{desc} ..."} if total is None else {}
        self._bars.append(self._tqdm(desc=description, total=total, initial=completed, **is_endless))
        self._show(self._bars[-1], fields)
        return len(self._bars) - 1

    def update(self, task: Any, *, completed: int | None = None, description: str | None = None, **fields: Any) -> None:
        """Tell a bar how many units are done, what it is called now, or the figures behind it."""
        bar = self._bars[task]
        if description is not None:
            bar.set_description(description, refresh=False)
        self._show(bar, fields)
        if completed is not None:
            bar.update(completed - bar.n)

    @staticmethod
    def _show(bar: "tqdm", fields: dict[str, Any]) -> None:
        if fields:
            bar.set_postfix_str(" ".join(map(str, fields.values())), refresh=False)
