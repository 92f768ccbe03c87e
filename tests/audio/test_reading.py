"""Sounds in: whatever libsndfile reads, as one waveform at the rate of a model."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from litefocus_jax.audio.reading import UnusableSoundError, read_sound, sound_of_array
from tests.support.sounds import RATE, tone, write_sound


def test_a_mono_file_of_the_rate_is_read_to_the_bit(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", tone(0.5), subtype="PCM_16")
    sound = read_sound(tmp_path / "a.wav", RATE)
    np.testing.assert_array_equal(sound.waveform, soundfile.read(tmp_path / "a.wav", dtype="float32")[0])
    assert (sound.sampling_rate, sound.path, sound.notes) == (RATE, str(tmp_path / "a.wav"), ())


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.mp3", "a.aiff", "a.au"])
def test_other_rates_channels_and_formats_are_mixed_and_resampled_and_that_is_said(tmp_path: Path, name: str) -> None:
    both = np.stack([tone(1.0, rate=44100), 0.5 * tone(1.0, rate=44100)], 1)
    soundfile.write(tmp_path / name, both, 44100)
    sound = read_sound(tmp_path / name, RATE)
    middle = slice(4000, 12000)
    np.testing.assert_allclose(sound.waveform[middle], 0.75 * tone(1.0)[middle], atol=0.02)
    assert abs(len(sound.waveform) - RATE) < RATE // 10
    assert sound.notes == (f"{tmp_path / name} is mixed from 2 channels to one and resampled from 44100 to 16000 Hz",)


@pytest.mark.parametrize("change", [
    lambda wave: wave.astype(np.float64),
    lambda wave: np.rint(wave * 32768).astype(np.int16),
    lambda wave: np.rint(wave.astype(np.float64) * 2**31).astype(np.int32),
    lambda wave: np.stack([wave, wave]),
    lambda wave: np.stack([wave, wave], 1),
])  # fmt: skip
def test_arrays_of_the_usual_types_and_shapes_are_the_same_sound(change: Any) -> None:
    np.testing.assert_allclose(sound_of_array(change(tone(0.1)), RATE, RATE).waveform, tone(0.1), atol=2e-5)


def test_a_digest_tells_sounds_apart_wherever_they_lie(tmp_path: Path) -> None:
    for name, seconds in (("a", 0.1), ("b", 0.1), ("c", 0.2)):
        write_sound(tmp_path / f"{name}.wav", tone(seconds))
    a, b, c = (read_sound(tmp_path / f"{name}.wav", RATE).digest for name in "abc")
    assert a == b == sound_of_array(tone(0.1), RATE, RATE).digest
    assert a != c


def test_silence_is_said_and_taken() -> None:
    assert "audio is silent" in sound_of_array(np.zeros(RATE), RATE, RATE).notes[0]


def unusable(folder: Path) -> dict[str, str]:
    write_sound(folder / "short.wav", tone(0.03))
    write_sound(folder / "nan.wav", np.full(RATE, np.nan, np.float32))
    write_sound(folder / "sides.wav", np.stack([tone(0.5), -tone(0.5)], 1))
    write_sound(folder / "long.wav", np.zeros(3_600_001, np.float32), rate=1000, subtype="PCM_U8")
    write_sound(folder / "cut.flac", tone(1.0), subtype="PCM_16")
    (folder / "cut.flac").write_bytes((folder / "cut.flac").read_bytes()[:2000])
    (folder / "text.wav").write_text("no sound")
    (folder / "empty.wav").touch()
    os.mkfifo(folder / "pipe.wav")
    return {
        "short.wav": "is too short: 480 samples, 0.03 s; expected 0.04 s or more",
        "nan.wav": "holds NaN or infinity",
        "sides.wav": "mixes to silence: its channels cancel each other out",
        "long.wav": "is too long: 3600 s; expected 3600 s at most",
        "cut.flac": "cannot be read|is cut short",
        "text.wav": "cannot be read",
        "empty.wav": "is empty",
        "missing.wav": "does not exist",
        "pipe.wav": "is not a file",
        "": "is not a file",
    }


def test_what_cannot_be_used_is_one_error_with_its_name_and_reason(tmp_path: Path) -> None:
    for name, reason in unusable(tmp_path).items():
        with pytest.raises(UnusableSoundError, match=f"{name}.* ({reason})"):
            read_sound(tmp_path / name, RATE)


@pytest.mark.parametrize(("array", "rate", "error", "message"), [
    ([0.1] * 600, RATE, UnusableSoundError, "audio is too short: 600 samples"),
    (np.zeros((3, 4, 5)), RATE, UnusableSoundError, r"audio has shape \(3, 4, 5\)"),
    (np.zeros((300, 300)), RATE, UnusableSoundError, "at most 64 channels"),
    (np.zeros(RATE, np.int64), RATE, TypeError, "audio is a ndarray of int64"),
    (object(), RATE, TypeError, "audio is a object"),
    (np.full(RATE, np.inf), RATE, UnusableSoundError, "audio holds NaN or infinity"),
    (tone(0.1), 16000.5, TypeError, "sampling_rate = 16000.5; expected a whole number"),
    (tone(0.1), 0, UnusableSoundError, "sampling_rate = 0; expected 1000 to 768000 Hz"),
])  # fmt: skip
def test_what_is_no_sound_is_named(array: Any, rate: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sound_of_array(array, rate, RATE)
