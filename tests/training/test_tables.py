"""Tables as people have them: other columns, several captions, names written on other systems."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from litefocus_jax.training.batches import AudioBatches
from litefocus_jax.training.data import open_dataset
from tests.support.models import small_components
from tests.support.sounds import tone, write_sound


def table(folder: Path, text: str, *, name: str = "metadata.csv", sound: str = "a.wav") -> Path:
    write_sound(folder / sound, tone(0.1))
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def captions(folder: Path, **columns) -> list[tuple[str, ...]]:
    return [sound.captions for sound in open_dataset(folder, **columns).sounds]


def test_columns_can_be_named(tmp_path):
    audiocaps = "audiocap_id,youtube_id,start_time,caption\n1,-abc_9,30,Rain falls\n2,gone,40,Wind\n"
    folder = table(tmp_path, audiocaps, sound="-abc_9.wav")
    assert captions(folder, audio_column="youtube_id", text_column="caption") == [("Rain falls",)]


@pytest.mark.parametrize(("name", "text", "message"), [
    ("metadata.csv", "Audio,caption\na.wav,b\n",
     r"the columns are 'Audio', 'caption', without 'file_name' and 'text'.*audio_column 'Audio' text_column 'caption'"),
    ("metadata.csv", "file_name,words\na.wav,b\n", r"without 'text'.*To read other columns: text_column 'NAME'$"),
    ("metadata.csv", "file_name;text\na.wav;b\n", r"put commas between the columns"),
    ("metadata.jsonl", '{"audio": "a.wav", "captions": ["b"]}',
     r"line 1: no file_name; .*the keys are 'audio', 'captions'. To read other columns: audio_column 'audio'"),
    ("metadata.jsonl", '{"file_name": "a.wav", "text": ["b", 3]}', r"text = \['b', 3\]; expected text or a list"),
    ("metadata.jsonl", '{"file_name": ["a.wav"], "text": "b"}', r"file_name = \['a.wav'\]; expected text$"),
])  # fmt: skip
def test_other_columns_are_listed_with_how_to_read_them(name, text, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        open_dataset(table(tmp_path, text, name=name))


def test_a_sound_may_have_several_captions(tmp_path):
    lines = '{"file_name": "a.wav", "text": ["rain", " ", "rain", "heavy  rain"]}\n{"file_name": "a.wav", "text": []}\n'
    folder = table(tmp_path / "list", lines, name="metadata.jsonl")
    assert captions(folder) == [("rain", "heavy rain")]
    assert open_dataset(folder).skipped[0].reason == "has no caption"
    clotho = "file_name,caption_1,caption_2\na.wav,rain,\na.wav,one,two\n"
    folder = table(tmp_path / "columns", clotho)
    assert captions(folder, text_column=["caption_1", "caption_2"]) == [("rain",), ("one", "two")]


def test_one_of_several_captions_is_drawn_for_each_clip(tmp_path):
    dataset = open_dataset(table(tmp_path, '{"file_name": "a.wav", "text": ["a", "bcd", "ef"]}', name="metadata.jsonl"))
    batches = AudioBatches(dataset, small_components(), batch_size=60, audio_length_in_s=0.16, caption_dropout=0.0)
    drawn = batches.draw(0)
    assert min(sum(clip.caption == number for clip in drawn) for number in range(3)) > 8
    lengths = np.asarray(batches.batch(0).batch.t5_mask).sum(axis=1)  # a character is a token, and the end is one
    expected = [1 + len(("a", "bcd", "ef")[clip.caption]) for clip in drawn]
    assert [length - lengths.min() for length in lengths] == [length - min(expected) for length in expected]


@pytest.mark.parametrize(
    "written", ["deep\\rain.wav", "deep/RAIN.wav", "./deep/rain.WAV", "deep\\Rain", "Deep/rain.wav"]
)
def test_names_from_other_systems_find_their_file(tmp_path, written):
    folder = table(tmp_path, f"file_name,text\n{written},rain\n", sound="deep/Rain.WAV")
    [sound] = open_dataset(folder).sounds
    assert sound.path == tmp_path / "deep" / "Rain.WAV"
    assert sound.file_name == written


def test_accents_may_be_written_in_either_way(tmp_path):
    folder = table(tmp_path, "file_name,text\ncafe\u0301.wav,voices\n", sound="caf\u00e9.wav")
    assert len(open_dataset(folder).sounds) == 1


def test_a_name_that_could_be_several_files_is_skipped_with_their_names(tmp_path):
    write_sound(tmp_path / "rain.flac", tone(0.1), subtype="PCM_16")
    table(tmp_path, "file_name,text\nrain,rain\nrain.wav,rain\n", sound="rain.wav")
    dataset = open_dataset(tmp_path)
    assert [sound.path.name for sound in dataset.sounds] == ["rain.wav"]
    assert dataset.skipped[0].reason == "could be any of rain.flac, rain.wav"


@pytest.mark.parametrize("written", ["..\\a.wav", "deep\\..\\..\\a.wav"])
def test_backslashes_do_not_lead_out_of_the_folder(tmp_path, written):
    with pytest.raises(ValueError, match="leads out of the folder"):
        open_dataset(table(tmp_path / "data", f"file_name,text\n{written},rain\n"))


def test_an_absolute_name_inside_of_the_folder_is_found(tmp_path):
    assert len(captions(table(tmp_path, f"file_name,text\n{tmp_path}/a.wav,rain\n"))) == 1


@pytest.mark.parametrize(("name", "form", "subtype"), [
    ("a.mp3", "MP3", "MPEG_LAYER_III"), ("a.ogg", "OGG", "VORBIS"), ("a.opus", "OGG", "OPUS"),
    ("a.FLAC", "FLAC", "PCM_24"),
])  # fmt: skip
def test_compressed_formats_are_read_from_any_place(tmp_path, name, form, subtype):
    soundfile.write(tmp_path / name, tone(1.0, rate=48000), 48000, format=form, subtype=subtype)
    (tmp_path / "metadata.csv").write_text(f"file_name,text\n{name},a tone\n")
    dataset = open_dataset(tmp_path)
    batches = AudioBatches(dataset, small_components(), batch_size=1, audio_length_in_s=0.32)
    for place in (0.0, 0.5, 0.9999):
        assert batches.mel(dataset.sounds[0], place).shape == (32, 32)
    assert dataset.sounds[0].frames == pytest.approx(48000, abs=2400)
