"""The tokenizers of a file for speech: CLAP's, which is to be given, and that of phonemes, which is always the same."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from convert.tokenizer_folders import FILES, copy_tokenizer
from litefocus_jax.checkpoint import store
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.original_kinds import OF_SPEECH
from litefocus_jax.checkpoint.original_shapes import PHONEMES
from litefocus_jax.checkpoint.tensors import Tensors
from litefocus_jax.checkpoint.tokenizer_files import save_phoneme_tokenizer
from litefocus_jax.models.phonemes import LONGEST

_EXPECTED = (
    "for a model for speech CLAP's alone: a folder or hub id with tokenizer/, such as cvssp/audioldm2, or its own, "
    "such as roberta-base"
)
_FOLDER = "tokenizer"


def is_for_speech(tensors: Tensors) -> bool:
    """Whether a file has an encoder of phonemes."""
    return any(key.startswith(OF_SPEECH.mark) for key in tensors)


@contextlib.contextmanager
def folders_for_speech(tokenizers: Sequence[str], tensors: Tensors) -> Iterator[tuple[Path, Path]]:
    """The folders of both tokenizers, for as long as they are needed.

    Args:
        tokenizers: a folder or hub id that holds that of CLAP.
        tensors: of the file, which say how many phonemes it takes.

    Raises:
        CheckpointError: when it holds none.
        ValueError: when there are several.
    """
    if len(tokenizers) != 1:
        raise ValueError(f"tokenizers = {', '.join(tokenizers)}; expected {_EXPECTED}")
    source = store.local_folder(tokenizers[0], patterns=(f"{_FOLDER}/*", *FILES))
    folder = source / _FOLDER if (source / _FOLDER).is_dir() else source
    with tempfile.TemporaryDirectory() as scratch:
        clap, phonemes = Path(scratch) / _FOLDER, Path(scratch) / f"{_FOLDER}_2"
        if not copy_tokenizer(folder, clap):
            raise CheckpointError(f"{tokenizers[0]} holds no tokenizer; expected {_EXPECTED}")
        positions = tensors.get(PHONEMES + "learnable_positional_embedding")
        save_phoneme_tokenizer(phonemes, model_max_length=LONGEST if positions is None else positions.shape[-1])
        yield clap, phonemes
