"""What an interrupted command has left to do, and the files in which its batches are kept while they run."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from litefocus_jax.cli.batches import Batch
from litefocus_jax.cli.console import messages

if TYPE_CHECKING:
    from litefocus_jax.generation.resume import PartialRun

_SUFFIX = ".partial.safetensors"


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """The files of a command's runs: each lies beside the first sound of its batch, and is named after it.

    Attributes:
        every: steps after which they are written, or None.
        resume: resume what an earlier command left.
        overwrite: replace the files of earlier commands.
    """

    every: int | None
    resume: bool
    overwrite: bool

    def path(self, batch: Batch) -> Path:
        """The file in which a batch is kept."""
        sound = batch.destinations[0].sound
        return sound.with_name(sound.name + _SUFFIX)

    def remaining(self, batches: list[Batch]) -> list[Batch]:
        """The batches to run; when resuming, only those that lack a file or were left in the middle."""
        return [batch for batch in batches if not (self.resume and self._is_complete(batch))]

    def check_writable(self, batch: Batch, subtype: str | None) -> None:
        """Find out whether all files of a batch can be written.

        Raises:
            ValueError: when a suffix or the subtype is unknown.
            FileExistsError: when a file exists that is not to be replaced, or the batch was left in the middle and is
                not to be resumed.
            OSError: when a file cannot be written.
        """
        from litefocus_jax import audio

        # A batch that was interrupted while its files were written makes the same files again.
        replace = self.overwrite or (self.resume and self.path(batch).exists())
        for file in batch.destinations:
            audio.check_writable(file.sound, subtype=subtype, overwrite=replace)
            if file.picture is not None:
                audio.check_picture_writable(file.picture, overwrite=replace)
        if self.every is not None and self.path(batch).exists() and not (self.resume or self.overwrite):
            raise FileExistsError(
                f"{self.path(batch)} was left by a command that was interrupted; resume it (--resume), or start again "
                "(--overwrite)"
            )

    @contextlib.contextmanager
    def kept(self, batch: Batch) -> "Iterator[PartialRun | None]":
        """Yields where the pipeline is to keep the run, if anywhere; after Ctrl-C it tells how to go on."""
        if self.every is None and not self.resume:
            yield None
            return
        from litefocus_jax.generation.resume import PartialRun

        path = self.path(batch)
        if self.overwrite and not self.resume:
            path.unlink(missing_ok=True)
        try:
            yield PartialRun(path, every=self.every, resume=self.resume, keep=True)
        except KeyboardInterrupt:
            if path.exists():
                messages.print(f"{path} is where it was left; the same command with --resume goes on.", markup=False)
            raise

    def remove(self, batch: Batch) -> None:
        """Remove the file of a batch whose sounds are written."""
        if self.every is not None or self.resume:
            self.path(batch).unlink(missing_ok=True)

    def _is_complete(self, batch: Batch) -> bool:
        # A partial run that lies beside its sound was to replace it.
        return all(file.is_complete for file in batch.destinations) and not self.path(batch).exists()
