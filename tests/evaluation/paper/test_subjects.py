"""Captions and recordings of a run of the paper's tables."""

import pytest

from litefocus_jax.evaluation import MetricError
from litefocus_jax.evaluation.paper.subjects import subjects_of
from tests.support.sounds import tone, write_sound


def recordings(folder, *names):
    for number, name in enumerate(names):
        write_sound(folder / f"{name}.wav", tone(0.3, hertz=200 + 100 * number))
    return folder


def captions(path, *names):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("file_name,text\n" + "".join(f"{name}.wav,sound {name}\n" for name in names), encoding="utf-8")
    return path


def test_captions_alone_are_taken_in_their_order_from_audiocaps_too(tmp_path):
    table = tmp_path / "test.csv"
    table.write_text('audiocap_id,youtube_id,start_time,caption\n9,b,30,"a dog, far away"\n7,a,0,rain\n5,a,0,wind\n')
    found = subjects_of(table, None, (1, 2), 2)
    assert found.captions == ("a dog, far away", "rain")
    assert found.recordings_at(2) is None


def test_recordings_serve_every_length_or_have_folders_of_their_own(tmp_path):
    one = recordings(tmp_path / "one", "a", "b", "c")
    captions(one / "captions.csv", "c", "b", "a")
    found = subjects_of(None, one, (1, 2), 2)
    assert (found.names, found.captions) == (("a", "b"), ("sound a", "sound b"))
    assert found.recordings_at(1) is found.recordings_at(2)
    folder = found.recordings_at(1)
    assert folder is not None
    assert list(folder.sounds) == ["a", "b"]
    each = tmp_path / "each"
    for length in ("1x", "2x"):
        recordings(each / length, "a", "b")
    table = captions(tmp_path / "captions.csv", "a", "b")
    found = subjects_of(table, each, (1, 2), 2)
    folder = found.recordings_at(2)
    assert folder is not None
    assert folder.folder == each / "2x"
    recordings(each / "2x", "other")
    with pytest.raises(MetricError, match="hold sounds of other names"):
        subjects_of(table, each, (1, 2), 2)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MetricError, match="give a table"):
        subjects_of(None, None, (1,), 2)
    table = captions(tmp_path / "captions.csv", "a", "b")
    with pytest.raises(MetricError, match="has 2 captions, for 3 sounds"):
        subjects_of(table, None, (1,), 3)
    with pytest.raises(FileNotFoundError, match=r"captions\.csv does not exist"):
        subjects_of(None, recordings(tmp_path / "bare", "a", "b"), (1,), 2)
    recordings(tmp_path / "short" / "1x", "a", "b")
    with pytest.raises(FileNotFoundError, match="2x does not exist"):
        subjects_of(table, tmp_path / "short", (1, 2), 2)


def test_other_captions_are_other_subjects(tmp_path):
    first = subjects_of(captions(tmp_path / "one.csv", "a", "b"), None, (1,), 2)
    same = subjects_of(captions(tmp_path / "two.csv", "a", "b", "c"), None, (1, 4), 2)
    other = subjects_of(captions(tmp_path / "three.csv", "b", "a"), None, (1,), 2)
    assert first.digest == same.digest != other.digest
