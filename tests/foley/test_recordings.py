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


def test_without_a_clone_it_is_said_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(synthesised, "__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))
    with pytest.raises(MetricError, match="run the command in a clone"):
        synthesised.synthesised_recordings(tmp_path / "recorded", 2, (1,))
