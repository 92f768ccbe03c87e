"""What the pipeline returns, and how it becomes files."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any, overload

import numpy as np

from litefocus_jax.audio import Finish, check_writable, save_audio
from litefocus_jax.audio.finish import NO_FINISH
from litefocus_jax.audio.writable import check_file
from litefocus_jax.generation.players import player, players_html
from litefocus_jax.generation.recipe import Recipe
from litefocus_jax.generation.recipe_files import write_recipe
from litefocus_jax.generation.request import Request

_SHOWN_PROMPTS = 3
_SHOWN_CHARACTERS = 60


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class AudioPipelineOutput:
    """Sounds made by the pipeline: a sequence of waveforms, which a notebook shows as players.

    ``len(result)`` is the number of sounds, ``result[0]`` the first one as an array, ``result[:2]`` a result of two.

    Attributes:
        audios: float32 ``[prompts * waveforms, samples]`` in [-1, 1], with stereo ``[prompts * waveforms, samples,
            2]``; the waveforms of one prompt are neighbours. With ``output_type="latent"`` the latents instead,
            ``[prompts * waveforms, time, frequency, channel]``, with stereo ``[prompts * waveforms, 2, time, ...]``.
        sampling_rate: samples per second.
        recipes: what each sound was made of; empty where that is not known.
        request: what was asked for, or None where it is not known.
        steps_done: denoising steps that were done: fewer than asked for where a callback ended it.
        numbers: of the sounds, counted over all that were made; without it they are these.
        scores: how well each sound fits its prompt, CLAP's cosine from -1 to 1; None where they were not ranked.
    """

    audios: np.ndarray
    sampling_rate: int
    recipes: tuple[Recipe, ...] = ()
    request: Request | None = None
    steps_done: int | None = None
    numbers: tuple[int, ...] | None = None
    scores: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.audios)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter(self.audios)

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> "AudioPipelineOutput": ...
    def __getitem__(self, index: int | slice) -> "np.ndarray | AudioPipelineOutput":
        if isinstance(index, slice):
            return dataclasses.replace(
                self,
                audios=self.audios[index],
                numbers=self._numbers[index],
                recipes=self.recipes[index],
                scores=None if self.scores is None else self.scores[index],
            )
        if isinstance(index, bool) or not isinstance(index, int | np.integer):
            raise TypeError(f"result[{index!r}]: expected the number of a sound or a slice; all are in result.audios")
        if not -len(self) <= index < len(self):
            raise IndexError(f"result[{index}]: the sounds are numbered 0 to {len(self) - 1}")
        return self.audios[index]

    def __repr__(self) -> str:
        lines = [f"  {label}" for label in self._labels()[:_SHOWN_PROMPTS]]
        more = len(self) - len(lines)
        lines += [f"  and {more} more"] if more > 0 else []
        body = "\n".join(lines)
        return f"<{self._heading()}>" if self.request is None else f"<{self._heading()}:\n{body}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: a player for each sound, with its prompt, seed and length."""
        if self._holds_latents:
            return players_html(self._heading(), (), self.sampling_rate, ())
        return players_html(self._heading(), self.audios, self.sampling_rate, self._labels())  # pyright: ignore[reportArgumentType]

    def play(self, index: int = 0) -> Any:
        """A player of one sound for a notebook, at the level that it has.

        As the last line of a cell it is shown; elsewhere ``display(result.play())`` shows it. The result itself, as the
        last line, shows all sounds.

        Args:
            index: number of the sound.

        Returns:
            An ``IPython.display.Audio``.

        Raises:
            IndexError: when there is no such sound.
            RuntimeError: when Python does not run in a notebook.
            ValueError: when the result holds latents.
        """
        if self._holds_latents:
            raise ValueError("the result holds latents; pipe.decode_blocks(result[0]) makes sound of them")
        return player(self[index], self.sampling_rate)

    def save(
        self,
        path: str | Path,
        *,
        subtype: str | None = None,
        finish: Finish = NO_FINISH,
        json: bool = False,
        overwrite: bool = False,
    ) -> list[Path]:
        """Write one file per sound, whose format its suffix says; each holds the recipe of its sound.

        Args:
            path: the file, ``.wav``, ``.flac``, ``.mp3``, ``.ogg`` or ``.opus``. For several sounds it holds
                ``{index}`` (as ``rain-{index}.wav``), counted from 0.
            subtype: sample format as soundfile names it; the usual one of the format unless given.
            finish: what is done to the sounds first: trimmed, resampled, faded, brought to a loudness or a peak.
            json: also write each recipe beside its sound, under the same name with ``.json``.
            overwrite: replace files that exist.

        Returns:
            The sound files written.

        Raises:
            ValueError: when there are several sounds and the path has no ``{index}``, or the suffix, the subtype or
                the sampling rate cannot be honoured.
            FinishError: when a sound is silent or too short for its finish.
            FileExistsError: when a file exists and ``overwrite`` is false; none is written then.
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
            check_writable(
                file, subtype=subtype, sampling_rate=finish.sample_rate or self.sampling_rate, overwrite=overwrite
            )
            if json:
                check_file(file.with_suffix(".json"), overwrite=overwrite)
        recipes = [dataclasses.replace(recipe, finish=finish, subtype=subtype) for recipe in self.recipes]
        for number, (file, waveform) in enumerate(zip(paths, self.audios, strict=True)):
            recipe = recipes[number] if recipes else None
            comment = recipe and recipe.to_json()
            save_audio(file, waveform, self.sampling_rate, subtype=subtype, finish=finish, comment=comment)
            if json and recipe is not None:
                write_recipe(file.with_suffix(".json"), recipe)
        return paths

    @property
    def _holds_latents(self) -> bool:
        return self.audios.ndim > 3

    @property
    def _numbers(self) -> tuple[int, ...]:
        return tuple(range(len(self))) if self.numbers is None else self.numbers

    def _heading(self) -> str:
        count = f"{len(self)} sound{'' if len(self) == 1 else 's'}"
        if self._holds_latents:
            text = f"Latents of {count}, {self.audios.shape}"
        else:
            text = f"{count[0].upper() + count[1:]} of {self.audios.shape[1] / self.sampling_rate:g} s at "
            text += f"{self.sampling_rate} Hz"
        steps = self.request and self.request.schedule.num_steps
        if steps and self.steps_done is not None and self.steps_done < steps:
            text += f", ended after {self.steps_done} of {steps} steps"
        return text

    def _labels(self) -> list[str]:
        """Prompt, number and seed of each sound."""
        request = self.request
        if request is None:
            return [f"{number}" for number in self._numbers]
        labels = []
        for number in self._numbers:
            prompt_number, waveform = number // request.num_waveforms_per_prompt, request.waveforms[number]
            is_text = request.given is None or request.given.positive is None
            prompt = repr(_shortened(request.prompts[prompt_number])) if is_text else "(prompt_embeds)"
            several = f", waveform {waveform}" if max(request.waveforms) > 0 else ""
            seed = "given latents" if request.latents is not None else f"seed {request.seed}"
            labels.append(f"{prompt}{several}, {seed}")
        return labels


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
