"""Folders of captioned sounds: what is read from them, what is skipped, and what is refused."""

import dataclasses
import functools
import os
from pathlib import Path

import numpy as np
import pytest

from litefocus_jax.audio import log_mel_spectrogram
from litefocus_jax.decoding.encoding import encode_mels
from litefocus_jax.training.batches import AudioBatches
from litefocus_jax.training.data import Dataset, open_dataset, read_clip
from tests.support.models import small_components
from tests.support.sounds import RATE, sound_folder, tone, write_metadata, write_sound

CLIP_IN_S = 0.64


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    return open_dataset(sound_folder(tmp_path_factory.mktemp("sounds")))


def batches_of(dataset: Dataset, **changes) -> AudioBatches:
    settings = {"batch_size": 2, "audio_length_in_s": CLIP_IN_S, "caption_dropout": 0.0, "seed": 1} | changes
    return AudioBatches(dataset, small_components(), **settings)


def with_table(folder: Path, name: str, text: str | bytes) -> Path:
    write_sound(folder / "a.wav", tone(0.1))
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_both_kinds_of_table_say_the_same(tmp_path):
    write_sound(tmp_path / "csv" / "deep" / "a.wav", tone(0.1))
    write_sound(tmp_path / "jsonl" / "deep" / "a.wav", tone(0.1))
    csv = '\ufefffile_name, text,kind\n\ndeep/a.wav, "rain,\n  heavy ",x\ndeep/a.wav,a "roof",y\n'
    jsonl = '{"file_name": "deep/a.wav", "text": "rain, heavy", "kind": 1}\n\n'
    jsonl += '{"text": "a \\"roof\\"", "file_name": "deep/a.wav"}'
    (tmp_path / "csv" / "metadata.csv").write_text(csv, encoding="utf-8")
    (tmp_path / "jsonl" / "metadata.jsonl").write_text(jsonl, encoding="utf-8")
    found = [open_dataset(tmp_path / kind) for kind in ("csv", "jsonl")]
    assert [[sound.caption for sound in one.sounds] for one in found] == [["rain, heavy", 'a "roof"']] * 2
    assert found[0].digest == found[1].digest


@pytest.mark.parametrize(("name", "text", "message"), [
    ("metadata.csv", "", r"metadata\.csv, line 1: the columns are missing, without 'file_name' and 'text'"),
    ("metadata.csv", "file;text\n", r"the columns are 'file;text', without 'file_name' and 'text'"),
    ("metadata.csv", "file_name,caption\na.wav,b\n", "without 'text'"),
    ("metadata.csv", "file_name,text\n", "has no rows"),
    ("metadata.csv", "file_name,text\na.wav,rain\na.wav,rain, heavy\n", r"line 3: 3 values for 2 columns"),
    ("metadata.csv", 'file_name,text\na.wav,"rain\n', r"line 2: unexpected end of data"),
    ("metadata.csv", b"file_name,text\na.wav,\xff\n", "not UTF-8 text"),
    ("metadata.csv", "file_name,text\n,rain\n", "line 2: file_name is empty"),
    ("metadata.csv", "file_name,text\n../a.wav,rain\n", r"line 2: file_name = '\.\./a\.wav' leads out of the folder"),
    ("metadata.csv", "file_name,text\n/etc/passwd,rain\n", "leads out of the folder"),
    ("metadata.jsonl", '{"file_name": "a.wav", "text": "x"}\n{"file_name"\n', r"jsonl, line 2: not valid JSON"),
    ("metadata.jsonl", "[" * 100_000, "line 1: not valid JSON"),
    ("metadata.jsonl", "[1]\n", "line 1: a JSON list; expected an object"),
    ("metadata.jsonl", '{"file_name": "a.wav"}\n', "line 1: no text; expected text for file_name and text"),
    ("metadata.jsonl", '{"file_name": 3, "text": "x"}\n', "line 1: file_name = 3"),
    ("metadata.jsonl", '{"file_name": "a\\u0000.wav", "text": "x"}\n', "leads out of the folder"),
])  # fmt: skip
def test_a_malformed_table_is_refused_with_its_line(name, text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        open_dataset(with_table(tmp_path, name, text))


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path):
    write_sound(tmp_path / "secret.wav", tone(0.1))
    write_metadata(tmp_path / "data", linked="a tone")
    (tmp_path / "data" / "linked.wav").symlink_to(tmp_path / "secret.wav")
    with pytest.raises(ValueError, match="leads out of the folder"):
        open_dataset(tmp_path / "data")


def test_a_folder_without_exactly_one_table_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing does not exist"):
        open_dataset(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match=r"neither metadata\.csv nor metadata\.jsonl"):
        open_dataset(tmp_path)
    (tmp_path / "metadata.csv").touch()
    (tmp_path / "metadata.jsonl").touch()
    with pytest.raises(ValueError, match="holds both"):
        open_dataset(tmp_path)
    with pytest.raises(NotADirectoryError, match=r"metadata\.csv is a file"):
        open_dataset(tmp_path / "metadata.csv")


def test_sounds_that_cannot_be_used_are_skipped_with_a_reason(tmp_path):
    reasons = {
        "missing": "does not exist",
        "folder": "is not a file",
        "empty": "is empty",
        "bare": "holds no samples",
        "text": "cannot be read: ",
        "silent": "is silent: its peak is below -60 dB of full scale",
        "nan": "holds NaN or infinity",
        "ten": "is too short: 10 samples, 0.00063 s; expected 0.04 s or more",
        "offset": "is silent: it holds a constant offset of 0.3 of full scale and no sound",
        "against": "mixes to silence: its channels cancel each other out",
        "cut": "cannot be read: ",
        "unsaid": "has no caption",
    }
    write_metadata(tmp_path, good="a tone", quiet="a soft tone", **dict.fromkeys(reasons, "x") | {"unsaid": "  "})
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all")
    write_sound(tmp_path / "bare.wav", np.zeros(0, np.float32))
    write_sound(tmp_path / "silent.wav", 0.0019 * tone(0.1))
    write_sound(tmp_path / "quiet.wav", np.concatenate([np.zeros(100_000, np.float32), 0.0021 * tone(0.1)]))
    write_sound(tmp_path / "nan.wav", np.full(100, np.nan, np.float32))
    write_sound(tmp_path / "ten.wav", tone(0.1)[:10])
    write_sound(tmp_path / "offset.wav", np.full(4000, 0.3, np.float32))
    against = np.stack([tone(0.1), -0.9999 * tone(0.1)], axis=1)
    write_sound(tmp_path / "against.wav", against, subtype="PCM_16")
    for name in ("good", "unsaid"):
        write_sound(tmp_path / f"{name}.wav", tone(0.1))
    # FLAC by its contents: its header promises more samples than follow.
    write_sound(tmp_path / "cut.flac", np.random.default_rng(0).uniform(-0.5, 0.5, 200_000), subtype="PCM_16")
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.flac").read_bytes()[:300_000])
    found = open_dataset(tmp_path)
    assert [sound.file_name for sound in found.sounds] == ["good.wav", "quiet.wav"]
    assert [row.file_name for row in found.skipped] == [f"{name}.wav" for name in reasons]
    for row, reason in zip(found.skipped, reasons.values(), strict=True):
        assert row.reason.startswith(reason) or row.reason.startswith("is cut short"), row
    lines = found.describe_skipped(2).splitlines()
    assert lines[0] == f"{tmp_path}/metadata.jsonl, line 3: missing.wav does not exist"
    assert lines[2] == "and 10 more"


def test_a_folder_with_nothing_to_use_is_an_error_with_the_reasons(tmp_path):
    write_metadata(tmp_path, rain="rain", wind="wind")
    with pytest.raises(ValueError, match=r"no pair of sound and caption(.|\n)*line 1: rain\.wav does not(.|\n)*wind"):
        open_dataset(tmp_path)


def test_a_clip_is_the_mean_of_the_channels_from_the_asked_place_on(tmp_path):
    ramp = np.arange(1000, dtype=np.float32) / 1000.0
    write_sound(tmp_path / "ramp.wav", np.stack([ramp, np.zeros_like(ramp)], axis=1))
    write_metadata(tmp_path, ramp="a ramp")
    [sound] = open_dataset(tmp_path).sounds
    read = functools.partial(read_clip, sound, samples=100, sampling_rate=RATE)
    np.testing.assert_allclose(read(0.0), ramp[:100] / 2, atol=1e-7)
    np.testing.assert_allclose(read(0.5), ramp[450:550] / 2, atol=1e-7)
    np.testing.assert_allclose(read(0.99999), ramp[900:] / 2, atol=1e-7)


def test_a_clip_is_brought_to_a_peak_without_its_mean_unless_it_is_silent(tmp_path):
    waveform = np.concatenate([0.2 + 0.1 * np.sign(tone(0.1)), np.full(1600, 1e-4)]).astype(np.float32)
    write_sound(tmp_path / "square.wav", waveform)
    write_metadata(tmp_path, square="a square wave")
    [sound] = open_dataset(tmp_path).sounds
    read = functools.partial(read_clip, sound, samples=1600, sampling_rate=RATE, peak=0.5, short="pad")
    loud, soft = read(0.0), read(0.9999)
    assert np.abs(loud).max() == pytest.approx(0.5)
    assert loud.mean() == pytest.approx(0.0, abs=1e-6)
    np.testing.assert_array_equal(soft, waveform[1600:])


def test_resampling_keeps_pitch_level_and_length(dataset):
    clip = read_clip(dataset.sounds[2], 0.5, samples=RATE, sampling_rate=RATE)
    spectrum = np.abs(np.fft.rfft(clip * np.hanning(RATE)))
    assert clip.shape == (RATE,)
    assert spectrum.argmax() == 440
    assert clip[1000:-1000].max() == pytest.approx(0.3, abs=1e-3)


def test_a_file_that_changes_later_is_named(tmp_path):
    write_sound(tmp_path / "a.wav", tone(0.2))
    write_metadata(tmp_path, a="a tone")
    [sound] = open_dataset(tmp_path).sounds
    read = functools.partial(read_clip, sound, 0.0, samples=3200, sampling_rate=RATE)
    write_sound(tmp_path / "a.wav", tone(0.1))
    with pytest.raises(OSError, match=r"a\.wav ends at sample 1600; expected 3200"):
        read()
    write_sound(tmp_path / "a.wav", np.full(3200, np.nan, np.float32))
    with pytest.raises(ValueError, match=r"a\.wav holds NaN"):
        read()
    (tmp_path / "a.wav").unlink()
    with pytest.raises(OSError, match=r"a\.wav cannot be read"):
        read()


def test_every_epoch_takes_every_sound_once_in_a_new_order(dataset):
    batches = batches_of(dataset, batch_size=4)
    drawn = [clip.sound for index in range(30) for clip in batches.draw(index)]
    epochs = {tuple(drawn[start : start + 3]) for start in range(0, 120, 3)}
    assert all(sorted(epoch) == [0, 1, 2] for epoch in epochs)
    assert len(epochs) == 6


def test_what_is_drawn_depends_on_the_number_of_the_clip_and_the_seed_alone(dataset):
    by_two, by_four = batches_of(dataset), batches_of(dataset, batch_size=4)
    assert by_two.draw(6) + by_two.draw(7) == by_four.draw(3)
    assert batches_of(dataset, seed=2).draw(0) != by_two.draw(0)


def test_captions_are_dropped_by_their_share(dataset):
    drawn = batches_of(dataset, batch_size=4000, caption_dropout=0.1).draw(0)
    assert np.mean([clip.has_caption for clip in drawn]) == pytest.approx(0.9, abs=0.015)
    places = [clip.place for clip in drawn]
    assert np.histogram(places, bins=10, range=(0.0, 1.0))[0].min() > 320


def test_a_batch_is_pure_and_of_fixed_shapes(dataset):
    batches = batches_of(dataset)
    one, again = batches.batch(3), batches_of(dataset).batch(3)
    assert one.names == again.names
    for first, second in zip(
        (*one.batch.latents, *one.batch[1:]), (*again.batch.latents, *again.batch[1:]), strict=True
    ):
        np.testing.assert_array_equal(first, second)
    assert one.batch.latents.mean.shape == (2, 16, 8, 4)
    assert {np.asarray(batches.batch(index).batch.t5_ids).shape for index in range(3)} == {
        (2, 32)
    }  # a character is a token


def test_a_batch_holds_the_latents_and_tokens_of_its_sounds(dataset):
    batches = batches_of(dataset, caption_dropout=0.5)
    dropped, kept = (
        next(index for index in range(99) if batches.draw(index)[0].has_caption == wanted) for wanted in (False, True)
    )
    full, empty, clip = batches.batch(kept), batches.batch(dropped), batches.draw(kept)[0]
    assert full.batch.t5_mask is not None
    assert empty.batch.t5_mask is not None
    assert empty.batch.t5_mask[0].sum() == 1  # the end of the text alone
    sound = dataset.sounds[clip.sound]
    assert full.names[0] == sound.file_name
    assert full.batch.t5_mask[0].sum() >= len(sound.caption)
    waveform = read_clip(sound, clip.place, samples=10240, sampling_rate=RATE)
    mel = log_mel_spectrogram(waveform, RATE, num_mels=32)[:64]
    expected = encode_mels(small_components().vae, np.stack([mel, mel]))
    np.testing.assert_allclose(full.batch.latents.mean[0], expected.mean[0], atol=1e-5)


def test_clips_are_whole_latent_frames_of_the_training_length_unless_asked(dataset):
    training_frames = small_components().unet.config.sample_size or 0
    assert batches_of(dataset, audio_length_in_s=None).samples == training_frames * 640
    assert batches_of(dataset, audio_length_in_s=0.05).samples == 2 * 640
    for seconds in (0.03, float("nan")):
        with pytest.raises(ValueError, match=r"at least one latent frame, 0\.04 s"):
            batches_of(dataset, audio_length_in_s=seconds)


def test_the_description_changes_with_captions_and_length(dataset):
    changed = dataclasses.replace(dataset.sounds[0], caption="another")
    other = dataclasses.replace(dataset, sounds=(changed, *dataset.sounds[1:]))
    descriptions = [batches_of(dataset), batches_of(other), batches_of(dataset, audio_length_in_s=1.0)]
    assert len({batches.description for batches in descriptions}) == 3
    assert descriptions[0].description.startswith("3 sounds (")


def test_the_digest_changes_with_a_single_sample(tmp_path):
    digests = []
    for sample in (0.1, 0.1001):
        write_sound(tmp_path / "a.wav", np.append(tone(0.1), np.float32(sample)))
        write_metadata(tmp_path, a="a tone")
        digests.append(open_dataset(tmp_path).digest)
    assert digests[0] != digests[1]


def test_held_out_sounds_are_whole_files_that_are_not_trained_on(tmp_path):
    rows = [f"{number}.wav,{text}" for number in range(10) for text in ("a tone", "a sine")]
    for number in range(10):
        write_sound(tmp_path / f"{number}.wav", tone(0.1, hertz=300 + number))
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,text", *rows]))
    dataset = open_dataset(tmp_path)
    kept, held_out = dataset.hold_out(0.2)
    assert (len(kept.sounds), len(held_out.sounds)) == (16, 4)
    assert not {sound.path for sound in kept.sounds} & {sound.path for sound in held_out.sounds}
    assert dataset.hold_out(0.2)[1] == held_out
    assert dataset.hold_out(0.2, seed=1)[1] != held_out
    for share, message in ((0.0, "hold_out = 0; expected a share"), (0.99, "leaves nothing to train on")):
        with pytest.raises(ValueError, match=message):
            dataset.hold_out(share)


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    write_metadata(tmp_path, pipe="x")
    with pytest.raises(ValueError, match=r"pipe\.wav is not a file"):
        open_dataset(tmp_path)
