"""``finetune --push``: what is checked before a training, and what is published after it."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litefocus_jax.cli.console import messages


@dataclasses.dataclass(frozen=True)
class PushOptions:
    """What a command was told of publishing.

    Attributes:
        repo_id: ``user/name`` on the hub.
        base: the model that is trained.
        licence: of the base; as its card says unless given.
    """

    repo_id: str
    base: str
    licence: str | None = None

    def check(self) -> "PushOptions":
        """The same with its licence; what would keep it from being published is found before the training.

        Raises:
            PublishingError: when the name, the licence or the login is not right.
        """
        from litefocus_jax.checkpoint.publishing import check_licence, check_login, check_repo_id, licence_of

        check_repo_id(self.repo_id)
        licence = licence_of(self.base) if self.licence is None else check_licence(self.licence)
        check_login()
        return dataclasses.replace(self, licence=licence)

    def publish(self, folder: Path, facts: Mapping[str, Any], *, is_adapter: bool, prompt: str, quiet: bool) -> None:
        """Publish what was trained.

        Args:
            folder: of the model, or of the adapter.
            facts: of the training, by name.
            is_adapter: whether it is an adapter alone.
            prompt: a text that it was trained on.
            quiet: say nothing of it.

        Raises:
            PublishingError: when it cannot be; the message says how to try again.
        """
        from litefocus_jax.checkpoint.publishing import Publication, publish

        assert self.licence is not None, "check() comes first"
        publication = Publication(self.repo_id, self.base, self.licence, is_adapter, facts, prompt)
        with messages.status(f"Publishing {folder} as {self.repo_id}"):
            address = publish(folder, publication)
        if not quiet:
            messages.print(f"Published: {address}", markup=False)
