"""A PyTorch checkpoint in, a native folder out."""

from collections.abc import Callable
from pathlib import Path

from convert import pickles
from litefocus_jax.checkpoint import native, store
from litefocus_jax.models.components import Components
from litefocus_jax.models.model_type import MODEL_TYPES
from litefocus_jax.models.unet.heads import Heads
from litefocus_jax.system.files import check_destination, expanded

Report = Callable[[str], None]


def convert_checkpoint(
    source: str,
    destination: Path,
    *,
    dtype: str = "float32",
    overwrite: bool = False,
    revision: str | None = None,
    heads: Heads | None = None,
    report: Report = lambda line: None,
) -> Components:
    """Convert a checkpoint to the native format, whole or not at all.

    Args:
        source: diffusers folder, native folder, or hub id.
        destination: the folder to write.
        dtype: floating-point type of the written weights; VAE and vocoder are float32 in any case.
        overwrite: replace an earlier native folder, once the new one is complete.
        revision: branch, tag or commit on the hub.
        heads: of the UNet, see `litefocus_jax.models.unet.heads`; what is written says them.
        report: told what is being done, line by line.

    Returns:
        The model that was written.

    Raises:
        CheckpointError: when the source is not found or anything in it is missing, unknown, misshapen, not finite or
            refused.
        FileExistsError: when the destination exists and may not be replaced.
        ConfigError: when its top-level JSON is malformed.
        ValueError: when ``dtype`` or ``heads`` is not supported.
    """
    check_destination(destination, overwrite=overwrite, marker=native.MANIFEST)
    report(f"Looking for {source}")
    folder = _fetch(source, revision)
    report(f"Checking names and shapes in {folder}")
    checkpoint = store.open_checkpoint(folder, read_weights=pickles.read_folder).with_heads(heads)
    components = checkpoint.load(dtype, on_network=lambda name: report(f"Reading {name}"))
    report(f"Writing {destination}")
    native.save_native(components, destination, overwrite=overwrite)
    return components


def _fetch(source: str, revision: str | None) -> Path:
    """The folder of a checkpoint; from the hub, pickles are downloaded only where there are no safetensors."""
    folder = store.local_folder(source, revision=revision)
    if expanded(source).is_dir():
        return folder
    stems = {name: network.weights for each in MODEL_TYPES.values() for name, network in each.networks.items()}
    patterns = [
        pattern
        for name, stem in stems.items()
        if not pickles.has_safetensors(folder / name, stem)
        for pattern in pickles.pickle_patterns(name, stem)
    ]
    return store.local_folder(source, revision=revision, patterns=tuple(patterns)) if patterns else folder
