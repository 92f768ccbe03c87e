"""The script that measures what a small adapter learns and forgets."""

from pathlib import Path

import numpy as np
import pytest

from examples.foley.measure.adapters import NEW_SOUNDS, clip, nearness, recording, table
from tests.support.sounds import RATE, tone, write_sound


def test_recordings_are_found_by_the_end_of_their_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no samples/till\.flac"):
        recording(tmp_path, "samples/till.flac")
    for folder in ("other", "samples"):
        write_sound(tmp_path / folder / "till.flac", tone(0.5), subtype="PCM_16")
    assert recording(tmp_path, "samples/till.flac") == tmp_path / "samples" / "till.flac"


def test_a_short_recording_is_followed_by_silence_at_the_level_of_the_training(tmp_path: Path) -> None:
    write_sound(tmp_path / "a.wav", 0.1 * tone(0.5))
    waveform = clip(tmp_path / "a.wav", RATE)
    assert waveform.shape == (40960,)
    assert np.abs(waveform).max() == pytest.approx(0.5)
    assert not waveform[RATE:].any()


def test_sounds_are_near_to_the_recording_of_their_own_caption() -> None:
    recordings = np.stack([tone(0.5), tone(0.5)[::-1] * np.linspace(0, 1, RATE // 2, dtype=np.float32)])
    assert nearness(np.repeat(recordings, 2, axis=0), recordings) == [0.0, 0.0]
    assert min(nearness(np.repeat(recordings[::-1], 2, axis=0), recordings)) > 1.0


def test_the_table_has_a_column_for_each_new_sound() -> None:
    row = {"model": "foley", "heard": 0.972, "sounds": 36, "distances in dB": [14.7, 20.31]}
    head, _, line = table([row]).splitlines()
    assert all(caption in head for caption in NEW_SOUNDS.values())
    assert line == "| foley | 97.2% of 36 | 14.7 dB | 20.3 dB |"
