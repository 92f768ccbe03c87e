"""Sound files: what is in them, and what is refused."""

import errno
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

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


@pytest.mark.parametrize("name", ["rain.wav", "rain.flac", "rain.mp3", "rain.ogg", "rain.opus"])
def test_both_sides_read_back_on_their_side(tmp_path, name):
    sides = np.stack([SOUND, 0.25 * np.roll(SOUND, 9)], axis=1)
    assert audio.save_audio_blocks(tmp_path / name, np.array_split(sides, 5), RATE, comment="{}") == len(SOUND)
    read, _ = soundfile.read(tmp_path / name, dtype="float32")
    middle = slice(2000, 14000)  # lossy encoders settle at both ends
    np.testing.assert_allclose(np.std(read[middle], axis=0), np.std(sides[middle], axis=0), rtol=0.05)
    assert audio.read_comment(tmp_path / name) == "{}"


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
    ("rain.aac", "PCM_16", r"suffix '.aac'; expected .wav, .flac, .mp3, .ogg or .opus"),
    ("rain", "PCM_16", r"suffix ''; expected .wav, .flac, .mp3, .ogg or .opus"),
    ("rain.flac", "FLOAT", r"subtype = 'FLOAT' is not a sample format of FLAC; expected one of PCM_16, PCM_24"),
    ("rain.mp3", "PCM_16", r"subtype = 'PCM_16' is not a sample format of MP3; expected one of MPEG_LAYER_III"),
    ("rain.wav", "MPEG_LAYER_III", "is not a sample format of WAV; expected one of .*FLOAT.*PCM_16"),
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


@pytest.mark.parametrize("name", ["rain.mp3", "rain.ogg", "rain.opus"])
def test_lossy_formats_hold_about_the_sound_and_end_without_a_click(tmp_path, name):
    audio.save_audio(tmp_path / name, SOUND, RATE)
    read, rate = soundfile.read(tmp_path / name, dtype="float32")
    assert (rate, read.shape) == (RATE, SOUND.shape)
    assert np.std(read[: -RATE // 20] - SOUND[: -RATE // 20]) < 0.02
    assert np.abs(read).max() < 0.55


@pytest.mark.parametrize(("name", "rate", "message"), [
    ("rain.opus", 22050, ".opus cannot hold 22050 samples per second; expected 8000, 12000, 16000, 24000, 48000"),
    ("rain.mp3", 96000, ".mp3 cannot hold 96000 samples per second; expected 8000, .*48000: ask for another rate"),
    ("rain.ogg", 384000, ".ogg cannot hold 384000 samples per second; expected 1000 to 200000"),
])  # fmt: skip
def test_rates_that_a_format_cannot_hold_are_refused_and_nothing_written(tmp_path, name, rate, message):
    for refuse in (
        lambda path: audio.check_writable(path, sampling_rate=rate),
        lambda path: audio.save_audio(path, SOUND, rate),
    ):
        with pytest.raises(ValueError, match=message):
            refuse(tmp_path / name)
    assert not list(tmp_path.iterdir())


WRITTEN = [(f"rain{suffix}", subtype) for suffix, known in audio.SOUND_FORMATS.items() for subtype in known.subtypes]


@pytest.mark.parametrize(("name", "subtype"), WRITTEN)
def test_the_same_sound_is_the_same_file_at_any_time(tmp_path, name, subtype):
    files = []
    for number in range(2):
        if number and subtype in ("FLOAT", "DOUBLE", "VORBIS", "OPUS"):  # those in which libsndfile puts the time
            time.sleep(1.1)
        audio.save_audio(tmp_path / name, SOUND[:4001], RATE, subtype=subtype, comment="rain")
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]


@pytest.mark.parametrize(("name", "subtype"), WRITTEN)
def test_silence_is_written_as_silence(tmp_path, name, subtype):
    audio.save_audio(tmp_path / name, np.zeros(4001), RATE, subtype=subtype)
    assert np.abs(soundfile.read(tmp_path / name)[0]).max() < 1e-3


@pytest.mark.parametrize("name", [f"rain{suffix}" for suffix in audio.SOUND_FORMATS])
def test_files_do_not_hang_on_how_a_sound_is_cut_into_blocks(tmp_path, name):
    long = np.tile(SOUND, 3)
    audio.save_audio(tmp_path / "whole" / name, long, RATE)
    audio.save_audio_blocks(tmp_path / "blocks" / name, np.array_split(long, 37), RATE)
    assert (tmp_path / "blocks" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from litefocus_jax.audio import save_audio
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000 * 4).astype(np.float32)
for name in sys.argv[2:]:
    try:
        save_audio(Path(sys.argv[1]) / name, noise, 16000)
    except OSError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of this kind there")
def test_a_disk_that_is_full_is_one_line_for_each_format_and_nothing_is_left(tmp_path):
    names = ("a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3")
    (tmp_path / "a.wav").write_bytes(b"earlier")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path), *names], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [f"{tmp_path / name} cannot be written" in line for name, line in zip(names, lines, strict=True)] == [
        True
    ] * 5
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == b"earlier"


def test_a_link_to_nowhere_counts_as_a_file_that_exists(tmp_path):
    (tmp_path / "rain.wav").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match=r"rain\.wav exists"):
        audio.check_writable(tmp_path / "rain.wav", overwrite=False)


def test_a_file_that_came_while_the_sound_was_made_is_left_unless_it_may_be_replaced(tmp_path):
    path = tmp_path / "rain.wav"
    path.write_text("theirs")
    with pytest.raises(FileExistsError, match="another process wrote it in the meantime"):
        audio.save_audio(path, SOUND, RATE, overwrite=False)
    assert path.read_text() == "theirs"
    audio.save_audio(path, SOUND, RATE)
    assert soundfile.info(path).frames == RATE
