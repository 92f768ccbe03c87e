"""A notebook that is none, for tests of what is done in one."""

from collections.abc import Callable

import pytest


class ZMQInteractiveShell:
    """What IPython calls the shell of a notebook."""


@pytest.fixture
def in_notebook(monkeypatch: pytest.MonkeyPatch) -> Callable[[], ZMQInteractiveShell]:
    """Python runs in a notebook, as far as anybody can tell."""
    pytest.importorskip("IPython")
    monkeypatch.setattr("IPython.get_ipython", ZMQInteractiveShell)
    return ZMQInteractiveShell
