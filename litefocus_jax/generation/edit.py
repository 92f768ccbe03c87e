"""A sound that is given: what is kept of it, what is made anew, and how much noise it is begun with."""

import dataclasses
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.reading import InputSound, UnusableSoundError, read_sound, sound_of_array
from litefocus_jax.generation.checks import at_most_a_day, finite_number
from litefocus_jax.generation.options import RequestOptions
from litefocus_jax.models.components import LatentGeometry

VARIATION = 0.6
"""Strength of a variation, unless given."""

_EDITS = ("strength", "fill", "keep", "continue_for_s", "lead_in_for_s", "stereo", "sampling_rate")
_BEYOND_IN_FRAMES = 25  # of the sound turned back at an open end: what convolutions of the encoder reach, and a fade
_TOLERANCE_IN_S = 0.001  # by which a span may end after the sound, whose length is seldom a round number

Number = TypeVar("Number", int, float)

Span = tuple[float, float]
"""Seconds of the sound that was given: beginning and end."""


@dataclasses.dataclass(frozen=True)
class RecordedSound:
    """A sound that a recipe names; as ``audio`` it is read again, and must not have changed.

    Attributes:
        path: of its file.
        digest: see `InputSound`.
    """

    path: str
    digest: str


@dataclasses.dataclass(frozen=True)
class Edit:
    """What is made of a sound that was given.

    Attributes:
        path: of its file as it was given, or None for an array.
        digest: of its samples; see `InputSound`.
        strength: see `RequestOptions`.
        fill: seconds of it that are made anew; empty where it is varied as a whole, or kept as a whole.
        lead_in_for_s: seconds that are made before it.
        continue_for_s: seconds that are made after it.
        spans: what of the result is made anew, as first sample and the one after the last; empty for a variation.
        encoded: latent frames of the result that are encoded, as first one and the one after the last.
        sampling_rate: of the result, in hertz.
        waveform: ``[samples]`` of the result, where it was given, or ``[samples, 2]`` for stereo; a little beyond that
            turned back, and zeros.
        notes: what became of the sound as it was read, in words.
    """

    path: str | None
    digest: str
    strength: float
    fill: tuple[Span, ...]
    lead_in_for_s: float
    continue_for_s: float
    spans: tuple[tuple[int, int], ...]
    encoded: tuple[int, int]
    sampling_rate: int
    waveform: Float[np.ndarray, "samples ..."] = dataclasses.field(repr=False, compare=False)
    notes: tuple[str, ...] = dataclasses.field(default=(), repr=False, compare=False)

    @property
    def samples(self) -> int:
        """Of the result."""
        return len(self.waveform)

    @property
    def stereo(self) -> bool:
        """Whether left and right are made."""
        return self.waveform.ndim > 1

    def facts(self) -> dict[str, Any]:
        """All that decides the sound, as plain values."""
        names = ("digest", "strength", "fill", "lead_in_for_s", "continue_for_s", *(["stereo"] if self.stereo else []))
        return {name: getattr(self, name) for name in names}

    def frame_spans(self, samples_per_frame: int) -> list[tuple[int, int]]:
        """Latent frames that hold anything of the spans."""
        return [(start // samples_per_frame, -(-end // samples_per_frame)) for start, end in self.spans]

    def encoder_inputs(self, samples_per_frame: int) -> list[Float[np.ndarray, " samples"]]:
        """The samples of the encoded frames, of each side; where the last is not full, the sound is turned back."""
        first, end = (frame * samples_per_frame for frame in self.encoded)
        part = self.waveform[first:end]
        whole = _turned_back(part, 0, end - first - len(part))
        return list(whole.T) if self.stereo else [whole]


def make_edit(asked: RequestOptions, geometry: LatentGeometry) -> Edit | None:
    """What is to be made of the sound that is given, or None where none is.

    Args:
        asked: all options of a request.
        geometry: of the model.

    Raises:
        TypeError: for a value of a wrong type.
        ValueError: for one that cannot be honoured, or a sound that cannot be used; the message says which.
    """
    values: dict[str, Any] = dict(asked)
    if values["audio"] is None:
        if given := [name for name in _EDITS if values[name] is not None and values[name] is not False]:
            raise ValueError(f"{given[0]} = {values[given[0]]!r} needs a sound that is given: audio")
        return None
    lead_in, beyond = (_seconds(name, values[name], geometry) for name in ("lead_in_for_s", "continue_for_s"))
    stereo = values["stereo"]
    if not isinstance(stereo, bool):
        raise TypeError(f"stereo = {stereo!r}; expected True or False")
    sound = _given_sound(values["audio"], values["sampling_rate"], geometry.sampling_rate, stereo=stereo)
    waveform, notes = sound.waveform, list(sound.notes)
    wanted = values["audio_length_in_s"]
    wanted = None if wanted is None else finite_number("audio_length_in_s", wanted)
    if wanted is not None and not (lead_in or beyond):
        waveform = _cut(waveform, wanted, geometry, notes)
    fill = _filled(values["fill"], values["keep"], len(waveform) / geometry.sampling_rate, geometry.frame_in_s)
    is_whole = not (fill or lead_in or beyond)
    strength = VARIATION if is_whole else 1.0
    if values["strength"] is not None:
        strength = finite_number("strength", values["strength"])
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength = {strength:g}; expected 0 (the sound as it is) to 1 (nothing of it)")
    if strength < 1.0 and (lead_in or beyond):
        raise ValueError(
            f"strength = {strength:g}, but there is no sound to begin with where it is continued; leave it out, or 1"
        )
    laid_out = _lay_out(waveform, (lead_in, beyond), geometry, loop=values["loop"] is True)
    start, rate = laid_out.start, geometry.sampling_rate
    total = len(laid_out.waveform)
    spans = [(start + round(first * rate), min(start + round(end * rate), total)) for first, end in fill]
    edit = Edit(
        sound.path,
        sound.digest,
        strength,
        fill,
        lead_in,
        beyond,
        tuple(_joined([(0, start), *spans, (laid_out.end, total)])),
        laid_out.encoded,
        rate,
        laid_out.waveform,
        tuple(notes),
    )
    if wanted is not None and abs(wanted - (made := edit.samples / rate)) > geometry.frame_in_s and (lead_in or beyond):
        raise ValueError(
            f"audio_length_in_s = {wanted:g}, but what is made before and after the sound, and the sound itself, are "
            f"{made:g} s; expected it to be left out"
        )
    return edit


@dataclasses.dataclass(frozen=True)
class _LaidOut:
    """A sound in its place in the result: samples, where it begins and ends, and the frames that are encoded."""

    waveform: Float[np.ndarray, "samples ..."]
    start: int
    end: int
    encoded: tuple[int, int]


def _lay_out(
    sound: Float[np.ndarray, "samples ..."],
    beyond_in_s: tuple[float, float],
    geometry: LatentGeometry,
    *,
    loop: bool,
) -> _LaidOut:
    """Put a sound where it stands in the result; at open ends it is turned back for a little."""
    per_frame = geometry.samples_per_latent_frame
    before, after = (round(seconds * geometry.sampling_rate) for seconds in beyond_in_s)
    if loop and not (before or after):
        sound = sound[: max(1, len(sound) // per_frame) * per_frame]
    total = before + len(sound) + after
    if loop:
        total = -(-total // per_frame) * per_frame
    waveform = np.zeros((total, *sound.shape[1:]), np.float32)
    start, end = before, before + len(sound)
    if total < end:  # a loop of less than a frame
        sound, end = sound[: total - before], total
    waveform[start:end] = sound
    gaps = (total - len(sound),) * 2 if loop else (before, total - end)
    longest = _BEYOND_IN_FRAMES * per_frame
    left, right = (min(longest, gap // 2 if loop else gap) for gap in gaps)
    around = _turned_back(sound, left, right)
    waveform[np.arange(start - left, start) % total] = around[:left]
    waveform[np.arange(end, end + right) % total] = around[left + len(sound) :]
    frames = -(-total // per_frame)
    encoded = (max(0, start - left) // per_frame, min(frames, -(-(end + right) // per_frame)))
    return _LaidOut(waveform, start, end, encoded)


def _turned_back(sound: Float[np.ndarray, "samples ..."], before: int, after: int) -> Float[np.ndarray, "samples ..."]:
    """A sound that is mirrored in its ends for some samples."""
    around = [(before, after), *[(0, 0)] * (sound.ndim - 1)]
    return np.pad(sound, around, mode="reflect" if len(sound) > 1 else "edge")


def _joined(spans: Sequence[tuple[Number, Number]]) -> list[tuple[Number, Number]]:
    """Spans in order, without empty ones; those that touch are one."""
    joined: list[tuple[Number, Number]] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _given_sound(audio: Any, sampling_rate: Any, wanted_rate: int, *, stereo: bool) -> InputSound:
    if isinstance(audio, RecordedSound):
        try:
            sound = read_sound(audio.path, wanted_rate, stereo=stereo)
        except UnusableSoundError as error:
            raise UnusableSoundError(
                f"{error}; the recipe's sound was made of it. Put it back, or give another one (audio, --audio)"
            ) from None
        if sound.digest != audio.digest:
            raise UnusableSoundError(
                f"{audio.path} is not the sound any more that the recipe's was made of: its digest is {sound.digest}, "
                f"and was {audio.digest}. Put it back, or take this one (audio, --audio)"
            )
        return sound
    if isinstance(audio, str | os.PathLike):
        if sampling_rate is not None:
            raise ValueError(f"sampling_rate = {sampling_rate!r} beside a file, which says its own; leave it out")
        return read_sound(Path(audio) if not isinstance(audio, str) else audio, wanted_rate, stereo=stereo)
    if sampling_rate is None:
        raise ValueError("sampling_rate is not given; an array in audio needs it, as in sampling_rate=16000")
    return sound_of_array(audio, sampling_rate, wanted_rate, stereo=stereo)


def _seconds(name: str, value: Any, geometry: LatentGeometry) -> float:
    """Seconds that are to be made beyond an end; 0 for none."""
    if value is None:
        return 0.0
    seconds = at_most_a_day(name, finite_number(name, value))
    if seconds < geometry.frame_in_s:
        raise ValueError(f"{name} = {seconds:g}; expected at least one latent frame, {geometry.frame_in_s:g} s")
    return seconds


def _cut(
    waveform: Float[np.ndarray, "samples ..."], seconds: float, geometry: LatentGeometry, notes: list[str]
) -> Float[np.ndarray, "samples ..."]:
    held = len(waveform) / geometry.sampling_rate
    if seconds > held + _TOLERANCE_IN_S:
        raise ValueError(
            f"audio_length_in_s = {seconds:g}, but the sound that is given has {held:g} s; leave it out, or have the "
            "sound continued (continue_for_s, --continue)"
        )
    samples = min(len(waveform), geometry.samples(seconds))
    if samples < geometry.samples_per_latent_frame:
        raise ValueError(
            f"audio_length_in_s = {seconds:g} is too short; expected at least one latent frame, "
            f"{geometry.frame_in_s:g} s"
        )
    if samples < len(waveform):
        notes.append(f"the first {seconds:g} s of {held:g} s that are given are used")
    return waveform[:samples]


def _filled(fill: Any, keep: Any, held_in_s: float, frame_in_s: float) -> tuple[Span, ...]:
    """What of a sound is made anew, in order."""
    if fill is not None and keep is not None:
        raise ValueError("fill and keep are both given; expected one of them")
    if fill is None and keep is None:
        return ()
    name, value = ("keep", keep) if fill is None else ("fill", fill)
    spans = _checked_spans(name, value, held_in_s)
    if fill is None:
        edges = [0.0, *(edge for span in spans for edge in span), held_in_s]
        spans = [pair for pair in zip(edges[::2], edges[1::2], strict=True) if pair[1] > pair[0]]
        if not spans:
            raise ValueError(f"keep = {keep!r} keeps all of the sound, and leaves nothing to make; expected less")
    if sum(end - start for start, end in spans) >= held_in_s - _TOLERANCE_IN_S:
        raise ValueError(f"{name} = {value!r} keeps nothing of the sound's {held_in_s:g} s; expected some of it")
    for start, end in spans:
        if end - start < frame_in_s:
            raise ValueError(
                f"{name} = {value!r} leaves {end - start:.3g} s to make from {start:g} s on; expected at least one "
                f"latent frame, {frame_in_s:g} s"
            )
    return tuple(spans)


def _checked_spans(name: str, value: Any, held_in_s: float) -> list[Span]:
    """The spans that a user means, in order; those that touch are one."""
    expected = f"{name} = {value!r}; expected pairs of seconds, as in {name}=[(3.0, 7.0)]"
    value = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise TypeError(expected)
    if not value:
        raise ValueError(expected)
    spans: list[Span] = []
    for pair in value:
        if not isinstance(pair, Sequence) or isinstance(pair, str | bytes) or len(pair) != 2:
            raise TypeError(expected)
        start, end = (
            edge if each is None else finite_number(name, each)
            for each, edge in zip(pair, (0.0, held_in_s), strict=True)
        )
        shown = f"{name} = {start:g} to {end:g} s"
        if start < 0.0 or end > held_in_s + _TOLERANCE_IN_S:
            raise ValueError(f"{shown} is not within the sound; expected seconds from 0 to {held_in_s:g}")
        end = min(end, held_in_s)
        if start >= end:
            raise ValueError(f"{shown} is {'empty' if start == end else 'reversed'}; expected the beginning first")
        spans.append((start, end))
    spans.sort()
    for (first, end), (start, last) in itertools.pairwise(spans):
        if start < end:
            raise ValueError(f"{name} = {first:g} to {end:g} s and {start:g} to {last:g} s overlap")
    return _joined(spans)
