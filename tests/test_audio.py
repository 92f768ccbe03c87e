import errno
import logging
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from litefocus_jax import audio

RATE = 16000
SOUND = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)


@pytest.mark.parametrize(("name", "subtype", "tolerance"), [
    ("rain.wav", "PCM_16", 1e-4), ("rain.FLAC", "PCM_24", 1e-6), ("rain.wav", "FLOAT", 0),
])  # fmt: skip
def test_saved_sound_reads_back(tmp_path, name, subtype, tolerance):
    path = tmp_path / "new folder" / name
    audio.save_audio(path, SOUND, RATE, subtype=subtype)
    read, rate = soundfile.read(path, dtype="float32")
    assert (rate, soundfile.info(path).subtype) == (RATE, subtype)
    np.testing.assert_allclose(read, SOUND, rtol=0, atol=tolerance)


def test_saved_sound_replaces_the_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "rain.wav"
    path.write_text("not a sound")
    audio.save_audio(path, SOUND, RATE)
    assert soundfile.info(path).frames == len(SOUND)
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    def interrupted(file, waveform):
        Path(file.name).write_bytes(b"half")
        raise KeyboardInterrupt

    path = tmp_path / "rain.wav"
    path.write_text("old")
    monkeypatch.setattr(soundfile.SoundFile, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        audio.save_audio(path, SOUND, RATE)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("name", "subtype"), [("rain.wav", "PCM_16"), ("rain.wav", "FLOAT"), ("rain.flac", "PCM_24")])
def test_sound_written_in_blocks_is_the_file_that_one_piece_makes(tmp_path, name, subtype):
    audio.save_audio(tmp_path / "whole" / name, SOUND, RATE, subtype=subtype)
    blocks = iter(np.array_split(SOUND, [1, 1000, 5000]))
    assert audio.save_audio_blocks(tmp_path / "blocks" / name, blocks, RATE, subtype=subtype) == len(SOUND)
    assert (tmp_path / "blocks" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_block_is_written_before_the_next_is_asked_for(tmp_path):
    def blocks():
        for number in range(3):
            [partial] = tmp_path.iterdir() if number > 1 else [None]
            assert partial is None or partial.stat().st_size > number * len(SOUND)
            yield SOUND

    audio.save_audio_blocks(tmp_path / "rain.wav", blocks(), RATE, subtype="FLOAT")


def test_a_sound_that_fails_half_way_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match="NaN or infinity in 1 of 2 samples"):
        audio.save_audio_blocks(tmp_path / "rain.wav", [SOUND, np.array([0.0, np.nan])], RATE)
    assert not list(tmp_path.iterdir())


def test_loud_sound_is_clipped_with_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        audio.save_audio(tmp_path / "loud.wav", 4 * SOUND, RATE)
    assert "samples are clipped; the peak is 2" in caplog.text
    assert np.abs(soundfile.read(tmp_path / "loud.wav")[0]).max() <= 1.0


def test_loud_sound_is_kept_in_a_float_file(tmp_path, caplog):
    audio.save_audio(tmp_path / "loud.wav", 4 * SOUND, RATE, subtype="FLOAT")
    assert np.abs(soundfile.read(tmp_path / "loud.wav")[0]).max() == pytest.approx(2.0, abs=1e-3)
    assert not caplog.text


@pytest.mark.parametrize(("waveform", "message"), [
    (np.array([0.0, np.nan, np.inf]), "NaN or infinity in 2 of 3 samples"),
    (np.zeros((2, 100)), r"shape \(2, 100\)"),
    (np.zeros(0), r"shape \(0,\)"),
])  # fmt: skip
def test_waveform_that_is_no_sound_is_refused_and_nothing_written(tmp_path, waveform, message):
    with pytest.raises(ValueError, match=message):
        audio.save_audio(tmp_path / "rain.wav", waveform, RATE)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "subtype", "message"), [
    ("rain.mp3", "PCM_16", r"suffix '.mp3'; expected .wav or .flac"),
    ("rain", "PCM_16", r"suffix ''; expected .wav or .flac"),
    ("rain.flac", "FLOAT", r"subtype = 'FLOAT' is not a sample format of FLAC; expected one of PCM_16, PCM_24"),
])  # fmt: skip
def test_unknown_formats_are_refused_before_and_while_writing(tmp_path, name, subtype, message):
    with pytest.raises(ValueError, match=message):
        audio.check_writable(tmp_path / name, subtype=subtype)
    with pytest.raises(ValueError, match=message):
        audio.save_audio(tmp_path / name, SOUND, RATE, subtype=subtype)


def test_checking_a_destination_leaves_nothing_behind(tmp_path):
    audio.check_writable(tmp_path / "a" / "b" / "rain.wav")
    assert not list(tmp_path.iterdir())


def test_destination_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file is a file, not a folder"):
        audio.check_writable(tmp_path / "file" / "deeper" / "rain.wav")


def test_destination_that_is_a_folder_is_refused(tmp_path):
    (tmp_path / "rain.wav").mkdir()
    with pytest.raises(IsADirectoryError, match="is a folder"):
        audio.check_writable(tmp_path / "rain.wav")


def test_destination_where_nothing_can_be_written_is_refused(tmp_path, monkeypatch):
    def refuse(**kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(PermissionError, match=r"takes no files \(Read-only file system\)"):
        audio.check_writable(tmp_path / "rain.wav")


def test_existing_file_is_refused_unless_it_may_be_overwritten(tmp_path):
    (tmp_path / "rain.wav").touch()
    audio.check_writable(tmp_path / "rain.wav")
    with pytest.raises(FileExistsError, match=r"rain\.wav exists"):
        audio.check_writable(tmp_path / "rain.wav", overwrite=False)


@pytest.mark.parametrize(("num_mels", "fmin", "fmax"), [(64, 0.0, 8000.0), (20, 100.0, 5000.0)])
def test_log_mel_equals_an_independent_implementation(num_mels, fmin, fmax):
    noise = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    filters = mel_filter_bank(513, num_mels, fmin, fmax, RATE, norm="slaney", mel_scale="slaney")
    window = window_function(1024, "hann", periodic=True)
    expected = spectrogram(noise, window, 1024, 160, power=1.0, mel_filters=filters, mel_floor=1e-5, log_mel="log")
    actual = audio.log_mel_spectrogram(noise, RATE, num_mels=num_mels, fmin=fmin, fmax=fmax)
    np.testing.assert_allclose(actual, np.asarray(expected).T, atol=1e-4)


def test_log_mel_of_a_long_sound_is_that_of_its_parts():
    expected = audio.log_mel_spectrogram(SOUND, RATE)
    np.testing.assert_allclose(audio.log_mel_spectrogram(SOUND, RATE, frames_at_a_time=7), expected, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 2, 100, 159, 160, 1600])
def test_log_mel_has_a_frame_for_every_hop_of_any_sound(samples):
    mel = audio.log_mel_spectrogram(np.zeros(samples), RATE)
    assert mel.shape == (1 + samples // 160, 64)
    np.testing.assert_allclose(mel, np.log(1e-5), rtol=1e-6)


def test_mel_filters_are_computed_once_for_all_clips():
    settings = {"n_fft": 1024, "num_mels": 64, "fmin": 0.0, "fmax": 8000.0}
    assert audio.mel_filters(16000, **settings) is audio.mel_filters(16000, **settings)


def test_mel_filters_refuse_frequencies_past_half_the_sampling_rate():
    with pytest.raises(ValueError, match="fmax = 8000; expected 0 <= fmin < fmax <= 4000 Hz"):
        audio.log_mel_spectrogram(SOUND, 8000)


@pytest.mark.parametrize("title", [None, "rain on a roof", "costs $5 and $6_a " * 30, "雨の音"])
def test_picture_is_drawn_whatever_the_title(tmp_path, title):
    audio.spectrogram_picture(tmp_path / "rain.png", SOUND, RATE, title=title)
    assert (tmp_path / "rain.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1


def test_picture_is_drawn_of_silence_and_of_a_single_sample(tmp_path):
    audio.spectrogram_picture(tmp_path / "silence.png", np.zeros(RATE), RATE)
    audio.spectrogram_picture(tmp_path / "sample.png", np.ones(1), RATE)


def test_picture_of_another_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"suffix '.jpg'; expected .png for a picture"):
        audio.check_picture_writable(tmp_path / "rain.jpg")
