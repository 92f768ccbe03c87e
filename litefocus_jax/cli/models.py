"""The model that a command was told of."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from litefocus_jax.checkpoint.opened import Checkpoint
    from litefocus_jax.models.unet.heads import Heads


def open_model(model: str, revision: str | None, heads: "Heads | None" = None) -> "Checkpoint":
    """Open a checkpoint by folder, hub id or address; see `litefocus_jax.checkpoint.store.open_checkpoint`.

    Args:
        model: what ``--model`` was given.
        revision: what ``--revision`` was given.
        heads: what ``--heads`` was given.
    """
    from litefocus_jax.checkpoint.store import open_checkpoint

    checkpoint = open_checkpoint(model, revision=revision)
    return checkpoint if heads is None else checkpoint.with_heads(heads)
