"""The state of a training on disk: one folder per checkpoint, written by orbax, which knows its model."""

import contextlib
import json
import logging
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import jax
from jax.sharding import Mesh, Sharding

from litefocus_jax.checkpoint.digests import differing_files, digests_of
from litefocus_jax.checkpoint.errors import CheckpointError, listed
from litefocus_jax.parallel.processes import is_first, said_by_first, together
from litefocus_jax.system.extras import import_extra
from litefocus_jax.system.files import replacement_folder, sweep
from litefocus_jax.system.json_config import read_json
from litefocus_jax.system.messages import shown
from litefocus_jax.system.same_run import differences, differing_parts
from litefocus_jax.training.shared_folder import wait_for

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2

_MANIFEST = "training.json"
_STATE = "state"
_FOLDER_NAME = re.compile(r"step-(\d{8})")

State = TypeVar("State")


class SavingError(OSError):
    """A checkpoint could not be written; earlier ones are as they were."""


class Checkpoints(Generic[State]):
    """The checkpoints of one training, whose state is a pytree of arrays.

    Args:
        folder: that holds them and nothing else; made when the first one is saved.
        config: all that decides how the state changes, as JSON can hold it.
        model: a digest of each part of the model that the training began with.
        keep: checkpoints that are kept, the newest.
        free: names in ``config`` that may change from one part of a training to the next.
        mesh: whose processes all call `save`, `newest` and `restore`, and see the folder; None for one process.

    Raises:
        MissingExtraError: when orbax is not installed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        config: Mapping[str, Any],
        model: Mapping[str, str],
        keep: int = 2,
        free: Collection[str] = (),
        mesh: Mesh | None = None,
    ) -> None:
        self._orbax = import_extra("orbax.checkpoint")
        self.folder = folder.absolute()
        self._config, self._model = dict(config), dict(model)
        self._keep, self._free = keep, free
        self._mesh = mesh

    def steps(self) -> list[int]:
        """Updates after which there is a checkpoint, in order; those only half written do not count."""
        if not self.folder.is_dir():
            return []
        names = (_FOLDER_NAME.fullmatch(path.name) for path in self.folder.iterdir() if (path / _MANIFEST).is_file())
        return sorted(int(name.group(1)) for name in names if name)

    def newest(self) -> int | None:
        """Updates after which there is the newest checkpoint, as the first process sees it; None of none."""
        said = said_by_first(self._mesh, str(max(self.steps(), default="")))
        return int(said) if said else None

    def _left_behind(self) -> set[Path]:
        """Checkpoints that were being written when their process was killed."""
        names = [re.match(r"\.(step-\d{8})\.", path.name) for path in self.folder.glob(".step-*")]
        return {self.folder / name[1] for name in names if name}

    def path(self, step: int) -> Path:
        """The folder of the checkpoint after some updates."""
        return self.folder / f"step-{step:08d}"

    def save(self, step: int, state: State) -> None:
        """Write a checkpoint, whole or not at all, and remove those that are older than the newest few.

        A checkpoint of the same number of updates is left as it is.

        Args:
            step: how many updates there have been.
            state: after them.

        Raises:
            SavingError: when it cannot be written; earlier checkpoints are as they were.
        """
        try:
            self._save(step, state)
        except Exception as error:  # a full disk is an OSError, a ValueError or a RuntimeError, as deep as it is met
            saved = self.steps()
            last = f"the last good checkpoint is {self.path(saved[-1])}" if saved else "there is none before it"
            raise SavingError(
                f"the checkpoint {self.path(step)} could not be written: {error}; {last}. Once that is mended, "
                "resume the training"
            ) from error

    def _save(self, step: int, state: State) -> None:
        """`save`: the first process makes the folder and gives it its name, and all of them write the state."""
        first = is_first(self._mesh)
        with contextlib.ExitStack() as stack:
            new = Path()
            with together(self._mesh, f"making {self.path(step)}"):
                if first and step not in self.steps():
                    for other in self._left_behind():
                        sweep(other)
                    new = stack.enter_context(replacement_folder(self.path(step), overwrite=False, marker=_MANIFEST))
            new = Path(said_by_first(self._mesh, str(new)))
            if new == Path():
                return
            with together(self._mesh, f"looking for {new}, which process 0 has made"):
                wait_for(new, f"{new} of process 0 is not there")
            self._write(new / _STATE, state)
            with together(self._mesh, f"finishing {self.path(step)}"):
                if first:
                    manifest = {
                        "format_version": FORMAT_VERSION,
                        "updates": step,
                        "config": self._config,
                        "model": self._model,
                        "files": digests_of(new / _STATE),
                    }
                    (new / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
                    stack.close()
        if first:
            for old in self.steps()[: -self._keep]:
                shutil.rmtree(self.path(old), ignore_errors=True)

    def _write(self, folder: Path, state: State) -> None:
        with _errors_told_once(), self._orbax.StandardCheckpointer() as writer:
            writer.save(folder, state)
            writer.wait_until_finished()

    def stored_config(self) -> dict[str, Any]:
        """The configuration that the newest checkpoint was written under; empty where there is none."""
        steps = self.steps()
        return self._manifest(self.path(steps[-1]))["config"] if steps else {}

    def restore(self, like: State, sharding: Any, *, free: Collection[str] = ()) -> State:
        """Read the newest checkpoint, wherever its arrays lay when it was written.

        Args:
            like: a state of the same shapes and types; its values do not matter.
            sharding: where all arrays are put, or a tree like the state with one for each.
            free: more names in the configuration that may have changed.

        Raises:
            CheckpointError: when it belongs to another model, to a training that was configured differently, or to
                another version, or is damaged.
            FileNotFoundError: when there is no checkpoint.
        """
        step = self.newest()
        if step is None:
            raise FileNotFoundError(
                f"{self.folder} holds no checkpoint; expected a folder such as {self.path(500).name}"
            )
        folder = self.path(step)
        with together(self._mesh, f"looking at {folder}"):
            manifest = self._manifest(folder)
            self._check(folder / _MANIFEST, manifest, free)
            digests = manifest.get("files") if is_first(self._mesh) else None
            if digests and (problems := differing_files(folder / _STATE, digests)):
                raise CheckpointError(
                    f"{folder} is damaged; remove it to resume from the checkpoint before:\n{listed(problems)}"
                )
        if isinstance(sharding, Sharding):
            sharding = jax.tree.map(lambda leaf: sharding, like)
        target = jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), like, sharding
        )
        try:
            with _errors_told_once(), self._orbax.StandardCheckpointer() as reader:
                restored = reader.restore(folder / _STATE, target)
        except Exception as error:  # of many kinds, as when saving
            raise CheckpointError(
                f"{folder} is damaged: {error}; remove it to resume from the checkpoint before"
            ) from error
        logger.info("Resuming from %s", folder)
        return restored

    def _manifest(self, folder: Path) -> dict[str, Any]:
        """What a checkpoint says of itself.

        Raises:
            CheckpointError: when it is of another version, or malformed.
        """
        path = folder / _MANIFEST
        manifest = read_json(path)
        version = manifest.get("format_version")
        if type(version) is not int or not 1 <= version <= FORMAT_VERSION:
            raise CheckpointError(f"{path}: format_version = {shown(version)}; this version reads {FORMAT_VERSION}")
        for name in ("config", "model", *(["files"] if version > 1 else [])):  # the first version had no digests
            if not isinstance(manifest.get(name), dict):
                raise CheckpointError(f"{path}: {name} = {shown(manifest.get(name))}; expected an object")
        steps = manifest["config"].get("steps", 1)
        if type(steps) is not int or steps < 1:
            raise CheckpointError(f"{path}: config: steps = {shown(steps)}; expected a whole number from 1")
        return manifest

    def _check(self, path: Path, manifest: Mapping[str, Any], free: Collection[str]) -> None:
        if differing := differing_parts(manifest["model"], self._model):
            raise CheckpointError(
                f"{path} belongs to another model: {', '.join(differing)} differ in configuration or weights. Resume "
                "with the model that the training began with, loaded in the same type, or train into another folder"
            )
        if changes := differences(manifest["config"], self._config, free={*self._free, *free}):
            raise CheckpointError(
                f"{path} was written under another configuration: {'; '.join(changes)}. Resume with the same one, or "
                "train into another folder"
            )


@contextlib.contextmanager
def _errors_told_once() -> Iterator[None]:
    """Orbax logs the errors that it raises, with a traceback for each of its threads; here they are only raised."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
