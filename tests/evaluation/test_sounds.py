"""Folders of sounds that are to be judged."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest

from litefocus_jax.evaluation import MetricError
from litefocus_jax.evaluation.captions import captions_of
from litefocus_jax.evaluation.sounds import check_pairs, listed, open_sounds
from tests.support.sounds import tone, write_sound


def folder_of(folder: Path, *files: str) -> Path:
    for file in files:
        write_sound(folder / file, tone(0.2), subtype="PCM_16")
    return folder


def test_pairs_come_in_one_order_whatever_their_suffixes(tmp_path):
    generated = open_sounds(folder_of(tmp_path / "generated", "a.wav", "a.g.wav", "a-b.wav", "in/a.wav"))
    recorded = open_sounds(folder_of(tmp_path / "recorded", "a.flac", "a.g.flac", "a-b.flac", "in/a.flac"))
    check_pairs(generated, recorded)
    assert list(generated.sounds) == list(recorded.sounds) == ["a", "a-b", "a.g", "in/a"]


def test_accents_are_the_same_however_they_are_written(tmp_path):
    name = "caf\u00e9"
    sounds = open_sounds(folder_of(tmp_path / "sounds", f"{unicodedata.normalize('NFD', name)}.wav", "other.wav"))
    for form in ("NFC", "NFD"):
        (tmp_path / "captions.csv").write_text(
            f"file_name,text\n{unicodedata.normalize(form, name)}.wav,cups\nother.wav,else\n", encoding="utf-8"
        )
        assert captions_of(tmp_path / "captions.csv", sounds.sounds) == {name: "cups", "other": "else"}


def test_hidden_files_and_other_files_are_passed_over(tmp_path):
    folder = folder_of(tmp_path, "a.wav", "b.WAV", "._a.wav", ".hidden/c.wav")
    (folder / "a.json").write_text("{}")
    assert list(open_sounds(folder).sounds) == ["a", "b"]


def test_two_files_of_one_name_are_an_error(tmp_path):
    with pytest.raises(MetricError, match=r"a\.flac and .*a\.wav have the same name"):
        open_sounds(folder_of(tmp_path, "a.wav", "a.flac"))


def test_a_waveform_is_the_mean_of_its_channels_at_the_rate_that_is_asked_for(tmp_path):
    folder_of(tmp_path, "other.wav")
    write_sound(tmp_path / "stereo.wav", np.stack([tone(0.5), 0.5 * tone(0.5)], axis=1))
    sounds = open_sounds(tmp_path).sounds
    np.testing.assert_allclose(sounds["stereo"].waveform(16000), 0.75 * tone(0.5), atol=1e-6)
    assert len(sounds["stereo"].waveform(48000)) == 24000


def test_long_lists_are_cut():
    assert listed([str(number) for number in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 2 more"
