"""How loud a model answers: the loudest half second, and what of a kind is tried."""

import json
from types import SimpleNamespace

import pytest

from examples.foley import audible
from examples.foley.measure.audibility import levels, prompts_of, quietest
from examples.foley.report import card
from litefocus_jax.audio.levels import loudest_stretch_in_dbfs
from litefocus_jax.models.vocabulary import SoundKind, Vocabulary
from tests.support.models import small_pipeline


def test_a_kind_is_tried_by_its_name_alone_or_in_other_words_too():
    kind = SoundKind(("organ", "church organ", "choir", "violin"))
    assert prompts_of(kind, 0) == ("organ",)
    assert prompts_of(kind, 1)[:4] == ("organ", "an organ", "the organ", "church organ")
    assert len(set(prompts_of(kind, 3))) == len(prompts_of(kind, 3)) == 8


def test_every_seed_has_the_level_that_it_has_alone():
    pipe = small_pipeline()
    found = levels(pipe, "rain", [3, 5])
    alone = pipe("rain", seed=5, progress=False)
    assert found[1] == pytest.approx(loudest_stretch_in_dbfs(alone.audios[0], alone.sampling_rate), abs=0.1)
    assert quietest({"rain": found, "sea": [-90.0, 0.0]}) == ("sea", -90.0)


def test_the_command_goes_on_where_it_was_and_its_levels_stand_in_the_card(tmp_path, monkeypatch, capsys):
    known = Vocabulary({"rain": SoundKind(("rain",)), "sea": SoundKind(("sea", "waves"))}, frozenset())
    pipe = SimpleNamespace(components=SimpleNamespace(vocabulary=known), model_digest="0")
    asked: list[str] = []
    monkeypatch.setattr(audible, "AudioLDM2Pipeline", SimpleNamespace(from_pretrained=lambda *_, **__: pipe))
    monkeypatch.setattr(audible, "levels", lambda _, prompt, seeds: asked.append(prompt) or [-41.5, -20.0])
    for _ in range(2):
        audible.main("foley", tmp_path / "evaluation", seeds=2)
    assert asked == ["rain", "sea"]
    assert "2 prompts at 2 seeds: 2 sounds under -40 dBFS" in capsys.readouterr().out
    assert json.loads((tmp_path / "evaluation" / card.AUDIBLE).read_text())["levels"]["sea"] == {"sea": [-41.5, -20.0]}
    text = card.write_card(tmp_path, tmp_path / "card").read_text()
    assert next(line for line in text.splitlines() if line.startswith("| rain |")).endswith("| -42 dBFS |")
    assert "least among 2 seeds of its bare name" in text
    assert 'Under -40 dBFS: "rain" at 1, "sea" at 1 of them.' in text
