"""Comments in sound files and pictures: whole whatever their length, and in no other program's way."""

import json
import warnings
import wave

import numpy as np
import pytest
import scipy.io.wavfile
import soundfile

from litefocus_jax import audio
from litefocus_jax.audio.ogg import ogg_checksum

RATE = 16000
SOUND = 0.5 * np.sin(2 * np.pi * 440 * np.arange(4001) / RATE).astype(np.float32)
NAMES = [f"rain{suffix}" for suffix in audio.SOUND_FORMATS]
COMMENTS = ["x", "words " * 2000, json.dumps("雨🌧" * 8000)]


def save(path, comment):
    if path.suffix == ".png":
        audio.spectrogram_picture(path, SOUND, RATE, comment=comment)
    else:
        audio.save_audio(path, SOUND, RATE, comment=comment)


@pytest.mark.parametrize("comment", COMMENTS, ids=len)
@pytest.mark.parametrize("name", [*NAMES, "rain.png"])
def test_a_comment_comes_back_whatever_its_length(tmp_path, name, comment):
    save(tmp_path / name, comment)
    assert audio.read_comment(tmp_path / name) == comment
    if name != "rain.png":
        assert soundfile.info(tmp_path / name).frames == len(SOUND)


@pytest.mark.parametrize("name", [*NAMES, "rain.png"])
def test_a_file_without_a_comment_has_none(tmp_path, name):
    save(tmp_path / name, None)
    assert audio.read_comment(tmp_path / name) is None


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_U8", "FLOAT", "DOUBLE"])
def test_other_programs_read_a_wav_file_with_a_long_comment(tmp_path, subtype):
    audio.save_audio(tmp_path / "rain.wav", SOUND, RATE, subtype=subtype, comment=COMMENTS[-1])
    with warnings.catch_warnings(action="error"):
        rate, read = scipy.io.wavfile.read(tmp_path / "rain.wav")
    assert (rate, len(read)) == (RATE, len(SOUND))
    if "PCM" in subtype:
        with wave.open(str(tmp_path / "rain.wav")) as file:
            assert file.getnframes() == len(SOUND)


def test_what_opus_cannot_hold_is_left_out_with_a_warning(tmp_path, caplog):
    long = np.random.default_rng(0).integers(33, 127, 100_000).astype(np.uint8).tobytes().decode()
    audio.save_audio(tmp_path / "rain.opus", SOUND, RATE, comment=long)
    assert "rain.opus holds at most 50000 characters" in caplog.text
    assert audio.read_comment(tmp_path / "rain.opus") is None


@pytest.mark.parametrize("name", [*NAMES, "rain.png"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.99])
def test_a_file_that_is_cut_short_has_one_clear_error_or_no_comment(tmp_path, name, share):
    save(tmp_path / name, "words " * 2000)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: int(share * len(whole))])
    try:
        assert audio.read_comment(tmp_path / name) in (None, "words " * 2000)
    except ValueError as error:
        assert name in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", [*NAMES, "rain.png"])
def test_noise_in_the_place_of_a_file_is_one_clear_error(tmp_path, name):
    (tmp_path / name).write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(ValueError, match=name):
        audio.read_comment(tmp_path / name)


def test_a_comment_that_is_not_ascii_is_refused(tmp_path):
    with pytest.raises(ValueError, match="more than ASCII"):
        audio.save_audio(tmp_path / "rain.wav", SOUND, RATE, comment="雨")
    assert not list(tmp_path.iterdir())


def test_the_checksum_of_an_ogg_page_is_that_of_its_definition():
    page = b"OggS" + bytes(range(256))
    value = 0
    for byte in page:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)
            value &= 0xFFFFFFFF
    assert ogg_checksum(page) == value
