"""What the page can do, without the page: one device, on which one wish after another is made."""

import dataclasses
import itertools
import queue
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from litefocus_jax.audio.reading import read_sound
from litefocus_jax.generation.callbacks import StopGeneration
from litefocus_jax.generation.edit import Edit
from litefocus_jax.generation.needs import InsufficientMemoryError, gigabytes, require_memory
from litefocus_jax.generation.output import AudioPipelineOutput
from litefocus_jax.generation.request import Request
from litefocus_jax.generation.sounding import sound_of_request
from litefocus_jax.models.unet.heads import Heads
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.web.pictures import sound_picture
from litefocus_jax.web.wish import Wish


@dataclasses.dataclass(frozen=True)
class Step:
    """How far a wish has come.

    Attributes:
        done: steps.
        steps: of all.
        seconds_left: of the steps that are left, or None where that is not known yet.
    """

    done: int
    steps: int
    seconds_left: float | None


@dataclasses.dataclass(frozen=True)
class Made:
    """A sound that was made.

    Attributes:
        sound: its file, which holds its recipe.
        picture: of it.
        wish: that makes it again, alone.
    """

    sound: Path
    picture: Path
    wish: Wish

    @property
    def title(self) -> str:
        """Its prompt and its seed."""
        text = self.wish.timeline.strip() or self.wish.prompt
        number = f", waveform {self.wish.first_waveform}" if self.wish.first_waveform else ""
        return f"{text if len(text) < 60 else text[:59] + '…'} (seed {self.wish.seed}{number})"


class Refused(Exception):  # noqa: N818
    """A wish that cannot be made; the message says why."""


class Stopped(Exception):  # noqa: N818
    """A wish whose user did not want to wait any longer."""


class Studio:
    """A pipeline, a folder for what it makes, and a lock: one wish is made at a time.

    Args:
        pipeline: the model.
        model: how it was asked for.
        heads: of its UNet, as they were asked for.
    """

    def __init__(self, pipeline: AudioLDM2Pipeline, model: str, heads: Heads | None = None) -> None:
        self.pipeline, self.model = pipeline, model
        self.heads: Heads | None = heads
        self._folder = Path(tempfile.mkdtemp(prefix="litefocus-jax-web-"))
        self._remove = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def training_length_in_s(self) -> float | None:
        """Seconds of the clips that the model was trained on."""
        return self.pipeline.geometry.training_length_in_s

    def close(self) -> None:
        """Remove all that was made."""
        self._remove()

    def request(self, wish: Wish) -> Request:
        """The request of a wish.

        Raises:
            Refused: when there can be none.
        """
        try:
            prompt, options = wish.asked(self.training_length_in_s)
            return self.pipeline.request(prompt, **options)
        except (ValueError, TypeError, OSError) as error:
            raise Refused(self._without_folders(str(error), wish)) from None

    def estimate(self, wish: Wish) -> str:
        """What a wish would take, in words; it waits for what is being made.

        Raises:
            Refused: when it cannot be made.
        """
        request = self.request(wish)
        with self._lock:
            estimate = self.pipeline.estimate(request)
        memory, times = estimate.memory, estimate.time
        limit = "" if memory.limit is None else f" of {gigabytes(memory.limit)}"
        try:
            require_memory(memory, request, self.pipeline.components)
        except InsufficientMemoryError as error:
            raise Refused(str(error)) from None
        seconds = "" if times is None else f", about {duration(times.total_in_s)}"
        steps = request.schedule.num_steps
        return f"{gigabytes(memory.needed)}{limit} of memory{seconds}: {steps} steps, then decoding"

    def make(self, wish: Wish, stop: threading.Event) -> Iterator[Step | list[Made]]:
        """Make a wish: how far it has come, and in the end all sounds of it.

        Args:
            wish: what is asked for.
            stop: set to end it after the step at hand.

        Raises:
            Refused: when it cannot be made.
            Stopped: when it was ended.
        """
        request = self.request(wish)
        told: queue.Queue[Any] = queue.Queue()
        began: list[float] = []

        def on_step(done: int, steps: int, latents: Any) -> None:
            if stop.is_set():
                raise StopGeneration
            began.append(time.monotonic())
            each = (began[-1] - began[0]) / (done - 1) if done > 1 else None
            told.put(Step(done, steps, None if each is None else each * (steps - done)))

        def work() -> None:
            try:
                with self._lock:
                    if stop.is_set():
                        raise Stopped
                    result = self.pipeline.run(request, callback=on_step, output_type="latent", progress=False)
                    told.put(self._kept(self._decoded(result, request, stop), request, wish))
            except BaseException as error:  # handed to the thread that waits
                told.put(error)

        thread = threading.Thread(target=work, name="making", daemon=True)
        thread.start()
        while True:
            news = told.get()
            if isinstance(news, (ValueError, OSError)):
                raise Refused(self._without_folders(str(news), wish)) from None
            if isinstance(news, BaseException):
                raise news
            yield news
            if isinstance(news, list):
                return

    def picture_of(self, audio: str, spans: str) -> Path:
        """A picture of a sound that was given, with what is to be filled.

        Raises:
            Refused: when it cannot be used.
        """
        wish = Wish(prompt="sound", audio=audio, use="Fill" if spans.strip() else "Vary", spans=spans)
        rate = self.pipeline.geometry.sampling_rate
        marked = () if not spans.strip() else _filled(self.request(wish).edit)
        path = self._new_folder() / "given.png"
        try:
            sound_picture(path, read_sound(audio, rate).waveform, rate, marked)
        except (ValueError, OSError) as error:
            raise Refused(self._without_folders(str(error), wish)) from None
        return path

    def _decoded(self, result: AudioPipelineOutput, request: Request, stop: threading.Event) -> AudioPipelineOutput:
        """The sounds of some latents.

        Raises:
            Stopped: between two of its blocks.
        """
        sounds = []
        for latents in result.audios:
            blocks = []
            for block in sound_of_request(request, latents, self.pipeline.decode_blocks, progress=False):
                if stop.is_set():
                    raise Stopped
                blocks.append(block)
            sounds.append(np.concatenate(blocks))
        return dataclasses.replace(result, audios=np.stack(sounds))

    def _kept(self, result: AudioPipelineOutput, request: Request, wish: Wish) -> list[Made]:
        folder = self._new_folder()
        pattern = "sound-{index}.wav" if len(result) > 1 else "sound.wav"
        made = []
        for number, path in enumerate(result.save(folder / pattern)):
            picture = path.with_suffix(".png")
            sound_picture(picture, result[number], result.sampling_rate)
            own = dataclasses.replace(wish, waveforms=1, first_waveform=request.waveforms[number])
            made.append(Made(path, picture, own))
        return made

    def _new_folder(self) -> Path:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        return folder

    def _without_folders(self, message: str, wish: Wish) -> str:
        """A message that does not say where on this machine an upload lies."""
        return message if wish.audio is None else message.replace(wish.audio, Path(wish.audio).name)


def _filled(edit: Edit | None) -> tuple[tuple[float, float], ...]:
    return () if edit is None else edit.fill


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(4.2), duration(75), duration(5400)
    ('5 s', '75 s', '90 min')
    """
    return f"{max(1, -int(-seconds // 1))} s" if seconds < 120 else f"{seconds / 60:.0f} min"
