"""What the pipeline returns, and how it becomes files."""

import dataclasses
from pathlib import Path

import numpy as np

from litefocus_jax.audio import Finish, check_writable, save_audio
from litefocus_jax.audio.finish import NO_FINISH
from litefocus_jax.audio.writable import check_file
from litefocus_jax.generation.recipe import Recipe
from litefocus_jax.generation.recipe_files import write_recipe


@dataclasses.dataclass(frozen=True)
class AudioPipelineOutput:
    """Sounds made by the pipeline.

    Attributes:
        audios: float32 ``[prompts * waveforms, samples]`` in [-1, 1]; the waveforms of one prompt are neighbours. With
            ``output_type="latent"`` the latents instead, ``[prompts * waveforms, time, frequency, channel]``.
        sampling_rate: samples per second.
        recipes: what each sound was made of; empty where that is not known.
    """

    audios: np.ndarray
    sampling_rate: int
    recipes: tuple[Recipe, ...] = dataclasses.field(default=(), repr=False)

    def save(
        self, path: str | Path, *, subtype: str | None = None, finish: Finish = NO_FINISH, json: bool = False
    ) -> list[Path]:
        """Write one file per sound, whose format its suffix says; each holds the recipe of its sound.

        Args:
            path: the file, ``.wav``, ``.flac``, ``.mp3``, ``.ogg`` or ``.opus``. For several sounds it holds
                ``{index}`` (as ``rain-{index}.wav``), counted from 0.
            subtype: sample format as soundfile names it; the usual one of the format unless given.
            finish: what is done to the sounds first: trimmed, resampled, faded, brought to a loudness or a peak.
            json: also write each recipe beside its sound, under the same name with ``.json``.

        Returns:
            The sound files written.

        Raises:
            ValueError: when there are several sounds and the path has no ``{index}``, or the suffix, the subtype or
                the sampling rate cannot be honoured.
            FinishError: when a sound is silent or too short for its finish.
            OSError: when a file cannot be written.
        """
        pattern = str(path)
        if len(self.audios) > 1 and "{index}" not in pattern:
            raise ValueError(
                f"path = {pattern!r} names one file for {len(self.audios)} sounds; put {{index}} in it, as in "
                f"{str(Path(pattern).with_stem(Path(pattern).stem + '-{index}'))!r}"
            )
        paths = [Path(pattern.replace("{index}", str(index))) for index in range(len(self.audios))]
        for file in paths:
            check_writable(file, subtype=subtype, sampling_rate=finish.sample_rate or self.sampling_rate)
            if json:
                check_file(file.with_suffix(".json"), overwrite=True)
        recipes = [dataclasses.replace(recipe, finish=finish, subtype=subtype) for recipe in self.recipes]
        for number, (file, waveform) in enumerate(zip(paths, self.audios, strict=True)):
            recipe = recipes[number] if recipes else None
            comment = recipe and recipe.to_json()
            save_audio(file, waveform, self.sampling_rate, subtype=subtype, finish=finish, comment=comment)
            if json and recipe is not None:
                write_recipe(file.with_suffix(".json"), recipe)
        return paths
