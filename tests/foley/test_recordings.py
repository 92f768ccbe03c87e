"""Synthesised sounds in the place of recordings."""

import pytest
import soundfile

from examples.foley.recordings import write_recordings
from litefocus_jax.evaluation import MetricError
from litefocus_jax.evaluation.paper import synthesised
from litefocus_jax.evaluation.paper.subjects import subjects_of


def test_every_length_has_the_same_scenes_and_one_table_of_captions(tmp_path):
    write_recordings(tmp_path, 2, (1, 2))
    found = subjects_of(None, tmp_path, (1, 2), 2)
    assert found.names == ("0000", "0001")
    assert soundfile.info(tmp_path / "2x" / "0001.wav").duration == pytest.approx(5.12)
    assert not [*tmp_path.glob(".*")]
    # They are complete, so that nothing is run for them.
    synthesised.synthesised_recordings(tmp_path, 2, (1, 2))


def test_captions_are_the_same_whichever_lengths_come_first_and_what_is_there_is_kept(tmp_path):
    both, longer_first = tmp_path / "both", tmp_path / "longer first"
    write_recordings(both, 2, (1, 2))
    write_recordings(longer_first, 2, (2,))
    assert not (longer_first / "1x").exists()
    kept = (longer_first / "2x" / "0000.wav").stat().st_mtime_ns
    write_recordings(longer_first, 2, (1, 2))
    assert (longer_first / "2x" / "0000.wav").stat().st_mtime_ns == kept
    for name in ("captions.csv", "1x/0001.wav", "2x/0001.wav"):
        assert (both / name).read_bytes() == (longer_first / name).read_bytes()


def test_without_a_clone_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(synthesised, "__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))
    with pytest.raises(MetricError, match="run the command in a clone"):
        synthesised.synthesised_recordings(tmp_path / "recorded", 2, (1,))
