"""How the sounds of ``litefocus-jax generate`` become files."""

import dataclasses
import importlib
import threading
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

from litefocus_jax.audio.finish import Finish
from litefocus_jax.cli.console import logger, output
from litefocus_jax.cli.destinations import Destination

if TYPE_CHECKING:
    import numpy as np

    from litefocus_jax.generation.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Saving:
    """What the files of a command are to be.

    Attributes:
        subtype: sample format, or None for the usual one.
        finish: what is done to the sounds first.
        overwrite: whether files are replaced that are there by the time that a sound is made.
    """

    subtype: str | None
    finish: Finish
    overwrite: bool

    def check(self, files: Sequence[Destination], sampling_rate: int, seconds: float, *, overwrite: bool) -> None:
        """Find out what cannot be done, once the model is known.

        Args:
            files: of all sounds.
            sampling_rate: of the model.
            seconds: of each sound.
            overwrite: whether files may be replaced.

        Raises:
            ValueError: when a format cannot hold the sampling rate, or the sounds are too short for their finish.
            OSError: when a file cannot be written.
        """
        from litefocus_jax.audio.formats import sound_format
        from litefocus_jax.audio.writable import check_file

        if not self.finish.trim:
            self.finish.check_length(seconds)
        for file in files:
            sound_format(file.sound, self.subtype, self.finish.sample_rate or sampling_rate)
            if file.json:
                check_file(file.recipe, overwrite=overwrite)

    def load_ahead(self, files: Sequence[Destination]) -> None:
        """Import what draws pictures, if there are to be any, in another thread: Python waits while sound is made."""
        if any(file.picture for file in files):
            threading.Thread(target=importlib.import_module, args=("matplotlib.figure",), daemon=True).start()

    def write(
        self,
        blocks: "Iterable[np.ndarray]",
        file: Destination,
        sampling_rate: int,
        seed: int,
        waveform: int,
        recipe: "Recipe | None",
    ) -> float:
        """Write one sound as it is decoded; warns of a sound that is silent.

        Args:
            blocks: the sound.
            file: where to.
            sampling_rate: of the blocks.
            seed: of the sound.
            waveform: its number among those of its prompt and seed.
            recipe: kept in the file, and written beside it if asked, where it is known.

        Returns:
            Seconds of sound in the file.

        Raises:
            FinishError: when it is silent or too short for its finish.
            OSError: when a file cannot be written.
        """
        from litefocus_jax.audio import save_audio_blocks
        from litefocus_jax.audio.levels import LevelMeter, silence_in_words

        complete = self._completed(recipe)
        meter = LevelMeter()
        try:
            samples = save_audio_blocks(
                file.sound,
                meter.passing(blocks),
                sampling_rate,
                subtype=self.subtype,
                finish=self.finish,
                comment=complete and complete.to_json(),
                overwrite=self.overwrite,
            )
        finally:
            if meter.samples and meter.is_silent:
                logger.warning(silence_in_words(file.prompt, seed, waveform, meter.level_in_dbfs))
        self.write_recipe(file, recipe)
        return samples / (self.finish.sample_rate or sampling_rate)

    def write_recipe(self, file: Destination, recipe: "Recipe | None") -> None:
        """Write the recipe of a sound beside it, where that is wanted and it is known."""
        from litefocus_jax.generation.recipe_files import write_recipe

        complete = self._completed(recipe)
        if complete is not None and file.json:
            write_recipe(file.recipe, complete)

    def show(self, file: Destination, recipe: "Recipe | None") -> None:
        """Print the names of a sound's files, and draw its picture if there is to be one."""
        import soundfile

        from litefocus_jax.audio import spectrogram_picture

        output.print(str(file.sound), markup=False)
        recipe = self._completed(recipe)
        if recipe is not None and file.json:
            output.print(str(file.recipe), markup=False)
        if file.picture is not None:
            waveform, sampling_rate = soundfile.read(file.sound, dtype="float32")
            comment = recipe and recipe.to_json()
            if waveform.ndim > 1:
                waveform = waveform.mean(axis=1)
            spectrogram_picture(file.picture, waveform, sampling_rate, title=file.prompt, comment=comment)
            output.print(str(file.picture), markup=False)

    def _completed(self, recipe: "Recipe | None") -> "Recipe | None":
        return recipe and dataclasses.replace(recipe, finish=self.finish, subtype=self.subtype)


def finish_of(
    normalize: float | None, peak: float | None, fade: str | None, trim: bool, sample_rate: int | None
) -> Finish:
    """The finish that some options mean.

    Raises:
        typer.BadParameter: when a value has no meaning.
    """
    start, end = _fades(fade)
    try:
        return Finish(
            trim=trim,
            sample_rate=sample_rate,
            start_fade_in_s=start,
            end_fade_in_s=end,
            loudness_in_lufs=normalize,
            peak_in_dbfs=peak,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fade / --normalize / --peak") from None


def _fades(text: str | None) -> tuple[float, float]:
    """Seconds at both ends.

    >>> _fades("0.5"), _fades("0.01,2")
    ((0.5, 0.5), (0.01, 2.0))
    """
    if text is None:
        return 0.0, 0.0
    try:
        seconds = [float(part) for part in text.split(",")]
        if len(seconds) > 2 or not all(0.0 <= each < 1e9 for each in seconds):
            raise ValueError
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}; expected seconds, such as 0.5, or seconds in and out, such as 0.01,0.5", param_hint="--fade"
        ) from None
    return seconds[0], seconds[-1]
