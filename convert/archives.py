"""The zip archive that a PyTorch pickle is: whether all of it is there and as it was written.

``torch.load`` maps the records of an archive without asking for their checksums, their compression or their lengths, so
that damage would become weights.
"""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

from litefocus_jax.checkpoint.errors import CheckpointError, listed

_BYTES = {
    "DoubleStorage": 8,
    "LongStorage": 8,
    "FloatStorage": 4,
    "IntStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "ShortStorage": 2,
}
"""Of one number in a storage of PyTorch, by the name of its class; all others have one byte."""


def check_archive(path: Path) -> None:
    """Check every record of an archive, which is read whole: stored as it is, with the right checksum, and long enough.

    Raises:
        CheckpointError: naming all records that are not, or when it is no archive of PyTorch.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            packed = [info.filename for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED]
            if packed:
                problems = [f"{name} is compressed; expected records that are stored as they are" for name in packed]
            elif (damaged := archive.testzip()) is not None:
                problems = [f"{damaged} has another CRC-32 than when it was written"]
            else:
                problems = _short_records(archive)
    except Exception as error:  # zipfile has many kinds: a RuntimeError for a flag of encryption is one
        raise CheckpointError(f"{path} is damaged: {error}; download it again") from error
    if problems:
        raise CheckpointError(f"{path} is damaged; download it again:\n{listed(problems)}")


def _short_records(archive: zipfile.ZipFile) -> list[str]:
    """Records with less bytes than the pickle says that they have."""
    sizes = {info.filename: info.file_size for info in archive.infolist()}
    problems = []
    for name in sizes:
        folder, _, file = name.rpartition("/")
        if file != "data.pkl":
            continue
        reader = StorageReader(io.BytesIO(archive.read(name)))
        try:
            reader.load()
        except Exception:  # whatever is wrong with the pickle itself, torch.load refuses it and says why
            continue
        for key, size in reader.storages.items():
            found = sizes.get(f"{folder}/data/{key}", 0)
            if found < size:
                problems.append(f"{folder}/data/{key} has {found} bytes; expected {size}")
    return problems


class _Inert(dict):
    """Stands for every object that a pickle would make: it takes whatever is done to it, and does nothing."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        """Nothing."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Itself."""
        return self

    def append(self, item: Any) -> None:
        """Nothing."""

    def extend(self, items: Any) -> None:
        """Nothing."""


class StorageReader(pickle.Unpickler):
    """Reads which storages a pickle refers to. It imports and calls nothing of what the pickle names."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.storages: dict[str, int] = {}

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in of that name."""
        del module
        return type(name, (_Inert,), {})

    def persistent_load(self, pid: Any) -> Any:
        """Note a storage: ``("storage", class, key, device, count)``."""
        if isinstance(pid, tuple) and len(pid) == 5 and pid[0] == "storage" and isinstance(pid[4], int):
            _, kind, key, _, count = pid
            self.storages[str(key)] = count * _BYTES.get(getattr(kind, "__name__", ""), 1)
        return _Inert()
