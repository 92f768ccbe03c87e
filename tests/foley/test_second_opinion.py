"""Foley's own judges on the sounds of a report."""

import json

import pytest

from examples.foley.judges.panel import SHIPPED_JUDGES, Judges
from examples.foley.recordings import write_recordings
from examples.foley.second_opinion import second_opinion
from litefocus_jax.checkpoint.judges import load_aisfx
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.evaluation.judges import AisfxJudge
from tests.support.judges import aisfx_file
from tests.support.sounds import tone, write_sound


def test_synthesised_sounds_are_nearer_to_each_other_than_tones_are_and_what_is_incomplete_is_left_out(
    tmp_path,
):
    write_recordings(tmp_path / "recorded", 4, (1,))
    for number in range(4):
        name = f"{number:04}.wav"
        (tmp_path / "sounds" / "1x" / "original").mkdir(parents=True, exist_ok=True)
        (tmp_path / "sounds" / "1x" / "original" / name).write_bytes((tmp_path / "recorded" / "1x" / name).read_bytes())
        write_sound(tmp_path / "sounds" / "1x" / "tones" / name, tone(2.56, hertz=300 + 50 * number))
    for length in ("1x", "2x"):
        write_sound(tmp_path / "sounds" / length / "begun" / "0000.wav", tone(2.56))
    (tmp_path / "paper.json").write_text(json.dumps({"sounds": 4, "seeds": 1}))
    judges = Judges.load(SHIPPED_JUDGES, load_components("foley").tokenizer)
    aisfx = AisfxJudge(load_aisfx(aisfx_file()))
    lines = second_opinion(tmp_path, judges, aisfx, 0).splitlines()
    assert (tmp_path / "second_opinion.md").read_text().splitlines() == lines
    figures = {line.split(" | ")[1]: line.split(" | ")[2:] for line in lines[2:]}
    assert list(figures) == ["synthesised", "original", "tones"]
    distances, against = ([float(figures[kind][judge]) for kind in ("original", "tones")] for judge in (0, 2))
    assert abs(distances[0]) < distances[1]
    assert against[0] < against[1]
    assert figures["original"][1] == ""
    assert float(figures["tones"][1]) == pytest.approx(distances[1] - distances[0], rel=0.01)
    assert figures["original"][4] == figures["synthesised"][4]
