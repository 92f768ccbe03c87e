"""The processes that run a command together, and the devices that it is spread over."""

import contextlib
import dataclasses
import logging
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Self

import typer

from litefocus_jax.cli.console import UsageError, logger, messages, naming_options

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from litefocus_jax.generation.options import RequestOptions

_ARGUMENTS = {
    "coordinator": "--coordinator",
    "process_id": "--process-id",
    "num_processes": "--num-processes",
}
_LONGEST_FAREWELL_IN_S = 5.0


@dataclasses.dataclass(frozen=True)
class Processes:
    """This process among all that run the command.

    Attributes:
        number: its own, from 0.
        count: of all.
        shape: devices along data, guidance and time, or None where that is not said.
        writer: ``"first"`` where the first process writes all files, ``"each"`` where each writes its share.
    """

    number: int = 0
    count: int = 1
    shape: tuple[int, int, int] | None = None
    writer: Literal["first", "each"] = "first"

    @classmethod
    def joined(
        cls,
        *,
        distributed: bool,
        coordinator: str | None,
        process_id: int | None,
        num_processes: int | None,
        timeout_in_s: int,
        mesh: str | None = None,
        writer: Literal["first", "each"] = "first",
    ) -> Self:
        """Join the other processes, if there are any, before JAX starts.

        Takes the options of the command.

        Raises:
            JoiningError: when they cannot be joined.
            UsageError: when the options do not fit each other.
        """
        shape = None if mesh is None else shape_of_mesh(mesh)
        by_hand = {"--coordinator": coordinator, "--process-id": process_id, "--num-processes": num_processes}
        given = [name for name, value in by_hand.items() if value is not None]
        if given and len(given) < len(by_hand):
            missing = [name for name in by_hand if name not in given]
            raise UsageError(f"{given[0]} is given without {' and '.join(missing)}; expected all three of them")
        if not (distributed or given):
            if writer != "first":
                raise UsageError(f"--writer {writer} is of several processes; expected --distributed or --coordinator")
            return cls(shape=shape)

        import jax

        from litefocus_jax.system.processes import join_processes

        with naming_options(_ARGUMENTS):
            join_processes(coordinator, process_id, num_processes, timeout_in_s=timeout_in_s)
        return cls(jax.process_index(), jax.process_count(), shape, writer)

    @property
    def are_several(self) -> bool:
        """Whether there are others than this one."""
        return self.count > 1

    @property
    def is_first(self) -> bool:
        """Whether this is the one that speaks for all."""
        return self.number == 0

    @property
    def gather(self) -> bool:
        """Whether all processes make every sound to its end together."""
        return self.writer == "first"

    @property
    def writes(self) -> bool:
        """Whether this process writes files."""
        return self.is_first or not self.gather

    def let_first_warn(self) -> None:
        """Leave warnings, which all processes would print alike, to the first one; errors and ``--verbose`` stay."""
        if not self.is_first and not logger.isEnabledFor(logging.DEBUG):
            logger.setLevel(logging.ERROR)

    def refuse(self, **options: bool) -> None:
        """Refuse what several processes cannot do.

        Args:
            options: whether each is asked for, by its name without dashes in front.

        Raises:
            UsageError: naming the first of them.
        """
        for name, asked in options.items():
            if asked and self.are_several:
                raise UsageError(
                    f"{name.replace('_', ' ')} cannot be had from {self.count} processes at once: each would decide by "
                    "itself; leave it out, or run one process"
                )

    @contextlib.contextmanager
    def agreeing(self, what: str = "the sounds to make") -> Iterator[list[Any]]:
        """Have all processes end the block well and find the same, or none go on; yields where what is found goes.

        Args:
            what: is found, for the error.

        Raises:
            ProcessesError: when another process failed, or found something else.
        """
        found: list[Any] = []
        if not self.are_several:
            yield found
            return
        from litefocus_jax.parallel.processes import require_same, together

        mesh = self._all_devices()
        with self.naming_loss():
            with together(mesh, "checking the command"):
                yield found
            # With --resume it is what the files that are there, in a folder that all see, leave to be made.
            require_same(mesh, {what: found})

    @contextlib.contextmanager
    def naming_loss(self) -> Iterator[None]:
        """Say so where the block failed because another process ended.

        Raises:
            ValueError: in the place of what JAX's collectives have to say about it.
        """
        try:
            yield
        except (ValueError, RuntimeError, OSError) as error:
            if self.are_several and re.search(r"Gloo|NCCL|coordination service", str(error)):
                raise ValueError(
                    f"another of the {self.count} processes ended in the middle; its own message says why ({error})"
                ) from error
            raise

    def wait_for_all(self) -> None:
        """Stay until every process is done: one that leaves early ends the others."""
        if self.are_several:
            import numpy as np

            from litefocus_jax.parallel.processes import from_each_process

            from_each_process(np.ones((), np.int32))

    def mesh(self, sounds: int, *, time_can_be_split: bool) -> "Mesh | None":
        """The devices for a batch; None for one.

        Args:
            sounds: in the batch.
            time_can_be_split: whether devices may share the frames of a sound.

        Raises:
            UsageError: when ``--mesh`` does not fit the devices that there are.
        """
        if self.shape is None and not self.are_several:
            return None
        import jax
        import numpy as np
        from jax.sharding import Mesh

        from litefocus_jax.parallel.mesh import DATA_AXIS, GUIDANCE_AXIS, TIME_AXIS

        devices = np.array(jax.devices())
        data, guidance, time = self.shape or best_shape(len(devices), sounds, time_can_be_split=time_can_be_split)
        count = data * guidance * time
        if count > len(devices) or (self.are_several and count != len(devices)):
            most = f"at most {len(devices)}" if not self.are_several else f"all {len(devices)}"
            raise UsageError(f"--mesh takes {count} devices; expected {most}, such as 1x{len(devices)}")
        devices = devices[:count]
        if guidance == 1:
            return Mesh(devices.reshape(data, time), (DATA_AXIS, TIME_AXIS))
        return Mesh(devices.reshape(data, guidance, time), (DATA_AXIS, GUIDANCE_AXIS, TIME_AXIS))

    def say(self) -> None:
        """Tell the user who does what."""
        import jax

        who = "process 0 writes all files" if self.gather else "each process writes its share of the sounds"
        messages.print(f"{self.count} processes with {jax.device_count()} devices; {who}", markup=False)

    def _all_devices(self) -> "Mesh":
        mesh = dataclasses.replace(self, shape=None).mesh(1, time_can_be_split=False)
        assert mesh is not None
        return mesh


def best_shape(devices: int, sounds: int, *, time_can_be_split: bool) -> tuple[int, int, int]:
    """Devices along data, guidance and time: as many along data as leave at most a third of them without work.

    Devices along time never lack work, but have much to tell each other.

    >>> best_shape(8, 1, time_can_be_split=True), best_shape(8, 3, time_can_be_split=True)
    ((1, 1, 8), (4, 1, 2))
    """
    if not time_can_be_split:
        return devices, 1, 1
    divisors = [count for count in range(1, devices + 1) if devices % count == 0]
    data = max(count for count in divisors if 2 * count * -(-sounds // count) <= 3 * sounds)
    return data, 1, devices // data


def can_share_frames(options: "RequestOptions") -> bool:
    """Whether devices may share the frames of a sound that is asked for."""
    return not any(options.get(name) for name in ("windowed", "loop", "timeline", "token_merging"))


def leave_others(code: int) -> None:
    """End a process that joined others, if it did: in peace where they end too, and at once where they do not."""
    import os
    import sys
    import threading

    if "jax" not in sys.modules:
        return
    import jax

    if not jax.distributed.is_initialized():
        return
    sys.stdout.flush()
    sys.stderr.flush()
    farewell = threading.Thread(target=jax.distributed.shutdown, daemon=True)
    farewell.start()
    farewell.join(_LONGEST_FAREWELL_IN_S)
    os._exit(code)


def shape_of_mesh(text: str) -> tuple[int, int, int]:
    """Devices along data, guidance and time.

    >>> shape_of_mesh("2x4"), shape_of_mesh("1x2x4")
    ((2, 1, 4), (1, 2, 4))
    """
    found = re.fullmatch(r"([1-9][0-9]{0,5})x(?:([12])x)?([1-9][0-9]{0,5})", text.strip().lower())
    if found is None:
        raise typer.BadParameter(
            f"{text!r}; expected devices along data and time, such as 2x4, or along data, guidance (1 or 2) and time, "
            "such as 1x2x4",
            param_hint="--mesh",
        )
    return int(found[1]), int(found[2] or 1), int(found[3])
