"""A judge's published pickle in, safetensors out: PANNs' Cnn14, VGGish or aiSFX."""

from pathlib import Path

import numpy as np

from convert import inert, pickles
from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.judges import AISFX, PublishedJudge, recognised
from litefocus_jax.system.files import written_beside

_STATE = "model"  # PANNs' files hold the network's tensors beside what training goes on with


def convert_judge(source: Path, destination: Path, *, overwrite: bool = False) -> PublishedJudge:
    """Write the tensors of a judge, under the names that they have, to a safetensors file, whole or not at all.

    Args:
        source: the published file.
        destination: a file whose name ends in ``.safetensors``.
        overwrite: replace a file that is there.

    Returns:
        Which judge it is.

    Raises:
        CheckpointError: when the pickle would run code, is damaged, or holds no judge.
        FileExistsError: when the destination exists and may not be replaced.
        ImportError: when PyTorch is not installed.
        ValueError: when the destination has another suffix.
    """
    if destination.suffix != ".safetensors":
        raise ValueError(
            f"{destination} does not end in .safetensors; expected such a file for the weights of {source}"
        )
    if destination.exists() and (not overwrite or not destination.is_file()):
        raise FileExistsError(f"{destination} exists; choose another destination, or overwrite it (--overwrite)")
    try:
        tensors = pickles.read_file(source, inside=_STATE)
    except CheckpointError:
        # aiSFX' file has names of libraries beside its tensors, which PyTorch refuses to read.
        tensors = inert.tensors_of(source) if source.is_file() else {}
        if AISFX.sign not in tensors:
            raise
    judge = recognised(tensors, str(source))
    with written_beside(destination, overwrite=overwrite) as partial:
        safetensors_files.write_file(partial, {name: np.asarray(tensor) for name, tensor in tensors.items()})
    return judge
