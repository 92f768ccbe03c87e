"""Captions must not teach silence: short sounds, sounds with silence around them, and sounds with long pauses."""

import functools
import logging
from pathlib import Path

import numpy as np
import pytest

from litefocus_jax.training.batches import AudioBatches
from litefocus_jax.training.data import Sound, open_dataset, read_clip
from tests.support.models import small_components
from tests.support.sounds import RATE, tone, write_metadata, write_sound


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.float32)


def one_sound(folder: Path, *parts: np.ndarray) -> Sound:
    write_sound(folder / "a.wav", np.concatenate(parts))
    write_metadata(folder, a="a tone")
    return open_dataset(folder).sounds[0]


def audible(clip: np.ndarray) -> float:
    """The share of 20 ms pieces of a clip that can be heard."""
    return float(np.mean(np.abs(clip[: len(clip) // 320 * 320].reshape(-1, 320)).max(axis=1) > 1e-3))


@pytest.mark.parametrize("seconds", [0.05, 0.3, 1.1, 2.4])
def test_a_short_sound_is_repeated_until_the_clip_is_full(tmp_path, seconds):
    sound = one_sound(tmp_path, tone(seconds))
    clip = read_clip(sound, 0.7, samples=40960, sampling_rate=RATE)
    assert audible(clip) > 0.98
    length = round(seconds * RATE)
    np.testing.assert_array_equal(clip[: length - 80], tone(seconds)[: length - 80])
    np.testing.assert_array_equal(clip[length : 2 * length], clip[: min(length, 40960 - length)])
    assert abs(clip[length - 1]) < 1e-6  # no click where it begins again


def test_padding_leaves_the_sound_as_it_is_and_follows_it_with_silence(tmp_path):
    sound = one_sound(tmp_path, silence(0.1), tone(0.4))
    clip = read_clip(sound, 0.7, samples=10000, sampling_rate=RATE, short="pad")
    np.testing.assert_array_equal(clip[:8000], np.concatenate([silence(0.1), tone(0.4)]))
    assert not clip[8000:].any()


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.999])
def test_silence_around_a_sound_is_left_out(tmp_path, place):
    sound = one_sound(tmp_path, silence(3.0), tone(0.2), silence(3.0))
    assert audible(read_clip(sound, place, samples=16000, sampling_rate=RATE)) > 0.7


def test_clips_lie_where_there_is_something_to_hear(tmp_path):
    sound = one_sound(tmp_path, tone(0.5), silence(5.0), tone(0.5))
    read = functools.partial(read_clip, sound, samples=8000, sampling_rate=RATE)
    clips = [read(place) for place in np.linspace(0.0, 0.999, 20)]
    assert min(map(audible, clips)) >= 0.4
    assert len({clip.tobytes() for clip in clips}) > 5


def test_the_noise_of_a_recording_is_a_pause_too(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.0012, 0.0012, 5 * RATE).astype(np.float32)
    sound = one_sound(tmp_path, noise, tone(0.5), noise)
    assert sound.audible == ((80000, 88000),)


def test_mostly_silent_sounds_are_counted_with_what_to_do(tmp_path, caplog):
    write_sound(tmp_path / "long.wav", tone(2.0))
    write_sound(tmp_path / "short.wav", tone(0.1))
    write_metadata(tmp_path, long="a tone", short="a beep")
    dataset = open_dataset(tmp_path)
    logging.getLogger("litefocus_jax").propagate = True
    batches = AudioBatches(dataset, small_components(), batch_size=1, audio_length_in_s=0.64)
    assert [sound.file_name for sound in batches.repeated] == ["short.wav"]
    assert caplog.messages == []
    padded = AudioBatches(dataset, small_components(), batch_size=1, audio_length_in_s=0.64, short="pad")
    assert [sound.file_name for sound in padded.mostly_silent] == ["short.wav"]
    assert "1 of 2 sounds are mostly silence in clips of 0.64 s" in caplog.text
    assert "(short.wav). Repeat short ones (--short repeat)" in caplog.text
    assert padded.description != batches.description


def test_an_unknown_rule_for_short_sounds_is_refused(tmp_path):
    sound = one_sound(tmp_path, tone(0.5))
    with pytest.raises(ValueError, match=r"short = 'loop'; expected 'repeat' or 'pad'"):
        read_clip(sound, 0.0, samples=100, sampling_rate=RATE, short="loop")  # pyright: ignore[reportArgumentType]
