"""Players of sound for notebooks: HTML that a browser shows, at the level that the sound has."""

import base64
import html
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float

from litefocus_jax.system.notebook import is_notebook

_LARGEST = 32_000_000  # bytes of sound in one cell; a notebook that holds more is slow to open


def wav_bytes(waveform: Float[np.ndarray, "samples ..."], sampling_rate: int) -> bytes:
    """A WAV file of 16 bits in memory; what lies outside of [-1, 1] is clipped."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(waveform, -1.0, 1.0), sampling_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def player(waveform: Float[np.ndarray, "samples ..."], sampling_rate: int) -> Any:
    """An ``IPython.display.Audio``, which a cell shows as a player.

    Raises:
        RuntimeError: when Python does not run in a notebook.
    """
    if not is_notebook():
        raise RuntimeError(
            "play() needs a notebook, whose browser plays the sound; save it to hear it here: result.save('sound.wav')"
        )
    from IPython.display import Audio

    # IPython brings arrays to full scale, and leaves files as they are.
    return Audio(data=wav_bytes(waveform, sampling_rate))


def players_html(
    heading: str, sounds: Sequence[Float[np.ndarray, "samples ..."]], sampling_rate: int, labels: Iterable[str]
) -> str:
    """A heading, and a player with its label for each sound.

    Args:
        heading: text.
        sounds: what is played.
        sampling_rate: samples per second.
        labels: text, one for each sound.
    """
    rows, size = [], 0
    for number, (sound, label) in enumerate(zip(sounds, labels, strict=True)):
        size += 2 * sound.size
        if size > _LARGEST:
            shown = f"<code>result.play({number})</code> plays it"
        else:
            data = base64.b64encode(wav_bytes(sound, sampling_rate)).decode()
            shown = f'<audio controls src="data:audio/wav;base64,{data}"></audio>'
        rows.append(f"<div><div>{html.escape(label)}</div>{shown}</div>")
    return f"<div><div>{html.escape(heading)}</div>{''.join(rows)}</div>"
