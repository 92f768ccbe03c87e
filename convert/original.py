"""A file of the authors in, a native folder out."""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from convert import pickles
from convert.speech_tokenizers import folders_for_speech, is_for_speech
from convert.tokenizer_folders import FILES, copy_tokenizer
from litefocus_jax.checkpoint import native, safetensors_files, store
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.opened import Checkpoint
from litefocus_jax.checkpoint.original import STATE, OriginalCheckpoint, Weights, open_original
from litefocus_jax.models.stored_tokenizers import load_tokenizer
from litefocus_jax.models.t5 import T5Config
from litefocus_jax.system.files import check_destination

TOKENIZERS = (
    "a folder or hub id with tokenizer/ and tokenizer_2/, such as cvssp/audioldm2, or CLAP's and T5's own, such as "
    "roberta-base,google/flan-t5-large; for an AudioLDM or a MusicLDM CLAP's alone will do, for "
    "audioldm_16k_crossattn_t5 T5's"
)
"""What can be given for tokenizers."""

_TOGETHER = ("tokenizer", "tokenizer_2")


def convert_original(
    source: Path,
    destination: Path,
    *,
    tokenizers: Sequence[str],
    variant: str | None = None,
    weights: Weights | None = None,
    dtype: str = "float32",
    overwrite: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> OriginalCheckpoint:
    """Convert an original checkpoint to the native format, whole or not at all.

    Tensors stay in the mapped file until their network is written, and those that are not used are not read but to
    check that the file is as it was written. What training went on with is neither.

    Args:
        source: the file: a pickle, or safetensors with the same keys.
        destination: the folder to write.
        tokenizers: one folder or hub id that holds both, or that of CLAP's and that of T5's, as far as the model has
            them; the file has none.
        variant: which of the published checkpoints it is, see `litefocus_jax.checkpoint.original_kinds`.
        weights: of the UNet: as trained last, or their moving average; those with which its authors sample unless
            given.
        dtype: floating-point type of the written weights; VAE and vocoder are float32 in any case.
        overwrite: replace an earlier native folder, once the new one is complete.
        report: told what is being done, line by line.

    Returns:
        What the file is.

    Raises:
        CheckpointError: when the pickle would run code, the file is damaged, holds another model or variant, or
            anything is missing, unknown, misshapen or not finite; when tokenizers are not found.
        FileExistsError: when the destination exists and may not be replaced.
        ImportError: when PyTorch is not installed, for a pickle.
        ValueError: when an option is unknown, or tokenizers are missing or do not belong to the model.
    """
    check_destination(destination, overwrite=overwrite, marker=native.MANIFEST)
    if not tokenizers:
        raise ValueError(f"tokenizers are missing, and {source} holds none; expected {TOKENIZERS} (--tokenizers)")
    report(f"Checking all of {source}")
    read_file = functools.partial(pickles.read_file, inside=STATE)
    tensors = (safetensors_files.read_file if _is_safetensors(source) else read_file)(source)
    found = folders_for_speech(tokenizers, tensors) if is_for_speech(tensors) else _folders(tokenizers)
    with found as folders:
        report(f"Checking names and shapes in {source}, and comparing copies")
        original = open_original(tensors, source, folders, variant=variant, weights=weights)
        _check_tokenizers(original.checkpoint, ", ".join(tokenizers))
        native.save_opened(
            original.checkpoint,
            destination,
            overwrite=overwrite,
            dtype=dtype,
            on_network=lambda name: report(f"Writing {destination}: {name}"),
        )
    return original


def _is_safetensors(path: Path) -> bool:
    """Whether a file is one of safetensors, whatever its name: a header in JSON follows eight bytes with its length.

    What begins as neither a pickle nor such a header is what its name says.

    Raises:
        CheckpointError: for a pickle with the name of safetensors, as which PyTorch would read it.
    """
    safetensors_files.require_file(path)
    with path.open("rb") as stream:
        start = stream.read(9)
    is_named_so = path.suffix == ".safetensors"
    if start[:2] == b"PK" or start[:1] == b"\x80":  # an archive of PyTorch, and a pickle
        if is_named_so:
            raise CheckpointError(f"{path} is a pickle of PyTorch; expected safetensors, or a name that ends in .pth")
        return False
    return start[8:] == b"{" or is_named_so


def _check_tokenizers(checkpoint: Checkpoint, given: str) -> None:
    """Refuse tokenizers that do not belong to the encoders which read with them.

    Args:
        checkpoint: with its tokenizers.
        given: what they were asked for as.

    Raises:
        ValueError: when one cannot be read, knows other tokens, or pads with another one: CLAP's with 1, T5's with 0.
    """
    for name, reader in checkpoint.model_type.tokenizers.items():
        config = checkpoint.configs[reader]
        try:
            tokenizer = load_tokenizer(checkpoint.tokenizers[name], config.vocab_size)
        except ValueError as error:
            raise ValueError(f"tokenizers = {given}, of which the {name} of the {reader}: {error}") from error
        expected = getattr(config, "pad_token_id", tokenizer.pad_token_id)
        if tokenizer.pad_token_id != expected:
            whose = "T5's" if isinstance(config, T5Config) else "CLAP's"
            raise ValueError(
                f"tokenizers = {given}: the {name} pads with token {tokenizer.pad_token_id}, and is not that of the "
                f"{reader}; expected {whose}, which pads with {expected}: {TOKENIZERS}"
            )


@contextlib.contextmanager
def _folders(tokenizers: Sequence[str]) -> Iterator[tuple[Path, ...]]:
    """The folders of both tokenizers, or of the one that is given, for as long as they are needed.

    Raises:
        CheckpointError: when they are not found.
        ValueError: when there are more than two.
    """
    if len(tokenizers) > 2:
        raise ValueError(f"tokenizers = {', '.join(tokenizers)}; expected {TOKENIZERS}")
    if len(tokenizers) == 1:
        folder = store.local_folder(tokenizers[0], patterns=(*FILES, *(f"{name}/*" for name in _TOGETHER)))
        places = tuple(folder / name for name in _TOGETHER if (folder / name).is_dir())
        if places:
            yield places
            return
    with tempfile.TemporaryDirectory() as scratch:
        own = []
        for name, asked in zip(_TOGETHER, tokenizers, strict=False):
            own.append(Path(scratch) / name)
            if not copy_tokenizer(store.local_folder(asked, patterns=FILES), own[-1]):
                raise CheckpointError(f"{asked} holds no tokenizer, such as {FILES[0]}; expected {TOKENIZERS}")
        yield tuple(own)
