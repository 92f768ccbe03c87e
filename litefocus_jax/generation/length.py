"""How long the sound of a request is, in seconds and in latent frames."""

import math
from typing import Any, NamedTuple

from litefocus_jax.generation.checks import at_most_a_day, finite_number
from litefocus_jax.generation.edit import Edit
from litefocus_jax.models.components import LatentGeometry

_MOST_FRAMES_PER_SECOND = 1_000.0


class Length(NamedTuple):
    """Of the sound of a request.

    Attributes:
        seconds: of sound.
        frames: of its latents.
        frames_per_second: by which the frames were counted, in the place of those that a second has; or None.
    """

    seconds: float
    frames: int
    frames_per_second: float | None = None


def sound_length(
    audio_length_in_s: Any, latent_frames_per_second: Any, geometry: LatentGeometry, edit: Edit | None, *, loop: bool
) -> Length:
    """The length that is asked for.

    Args:
        audio_length_in_s: as of `RequestOptions`.
        latent_frames_per_second: likewise.
        geometry: of the model.
        edit: what is made of a sound that is given, which has its own length.
        loop: whether the end runs on into the beginning, for which frames are whole.

    Raises:
        TypeError: for what is no number.
        ValueError: for what is out of range, or does not go together.
    """
    per_second = latent_frames_per_second
    if per_second is not None:
        per_second = finite_number("latent_frames_per_second", per_second)
        if not 0 < per_second <= _MOST_FRAMES_PER_SECOND:
            raise ValueError(
                f"latent_frames_per_second = {per_second:g}; expected more than 0 and at most "
                f"{_MOST_FRAMES_PER_SECOND:g}; the model has {1 / geometry.frame_in_s:g} of them in a second of sound"
            )
        if edit is not None:
            raise ValueError(
                f"latent_frames_per_second = {per_second:g} beside audio, which is as long as it is; leave one out"
            )
    if edit is not None:
        return Length(geometry.seconds_of(edit.samples), -(-edit.samples // geometry.samples_per_latent_frame))
    if per_second is None:
        seconds = _asked_seconds(audio_length_in_s, geometry)
        if not loop:
            return Length(seconds, geometry.latent_frames(seconds))
        frames = round(seconds / geometry.frame_in_s)
        return Length(_seconds_of_frames(frames, geometry), frames)
    if audio_length_in_s is None and geometry.training_frames is not None:
        frames = geometry.training_frames
    else:
        frames = int(_asked_seconds(audio_length_in_s, geometry) * per_second)  # rounded down, as by the authors
    if frames < 1:
        raise ValueError(
            f"audio_length_in_s = {audio_length_in_s:g} is too short; expected at least {1 / per_second:g} s, one "
            f"latent frame by latent_frames_per_second = {per_second:g}"
        )
    seconds = at_most_a_day("audio_length_in_s", _seconds_of_frames(frames, geometry))
    return Length(seconds, frames, per_second)


def seconds_that_ask_for(frames: int, latent_frames_per_second: float) -> float:
    """The length by which `sound_length` comes to so many frames, whatever the rounding of the quotient.

    >>> seconds_that_ask_for(256, 25.6)
    10.0
    """
    seconds = frames / latent_frames_per_second
    return seconds if int(seconds * latent_frames_per_second) == frames else math.nextafter(seconds, math.inf)


def _seconds_of_frames(frames: int, geometry: LatentGeometry) -> float:
    # As a quotient of whole numbers, which the number of samples comes back from.
    return frames * geometry.samples_per_latent_frame / geometry.sampling_rate


def _asked_seconds(audio_length_in_s: Any, geometry: LatentGeometry) -> float:
    if audio_length_in_s is None:
        audio_length_in_s = geometry.training_length_in_s
        if audio_length_in_s is None:
            raise ValueError("audio_length_in_s is not given, and the UNet's sample_size does not say a default")
    seconds = at_most_a_day("audio_length_in_s", finite_number("audio_length_in_s", audio_length_in_s))
    if seconds < geometry.frame_in_s:
        raise ValueError(
            f"audio_length_in_s = {seconds:g} is too short; expected at least one latent frame, "
            f"{geometry.frame_in_s:g} s"
        )
    return seconds
