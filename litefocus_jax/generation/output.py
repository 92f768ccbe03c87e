"""What the pipeline returns, and how it becomes files."""

import dataclasses
from pathlib import Path

import numpy as np

from litefocus_jax.audio import check_writable, save_audio


@dataclasses.dataclass(frozen=True)
class AudioPipelineOutput:
    """Sounds made by the pipeline.

    Attributes:
        audios: float32 ``[prompts * waveforms, samples]`` in [-1, 1]; the waveforms of one prompt are neighbours. With
            ``output_type="latent"`` the latents instead, ``[prompts * waveforms, time, frequency, channel]``.
        sampling_rate: samples per second.
    """

    audios: np.ndarray
    sampling_rate: int

    def save(self, path: str | Path, *, subtype: str = "PCM_16") -> list[Path]:
        """Write one file per sound, WAV or FLAC by suffix.

        Args:
            path: the file. For several sounds it holds ``{index}`` (as ``rain-{index}.wav``), counted from 0.
            subtype: sample format as soundfile names it.

        Returns:
            The files written.

        Raises:
            ValueError: when there are several sounds and the path has no ``{index}``, or the suffix or the subtype is
                unknown.
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
            check_writable(file, subtype=subtype)
        for file, waveform in zip(paths, self.audios, strict=True):
            save_audio(file, waveform, self.sampling_rate, subtype=subtype)
        return paths
