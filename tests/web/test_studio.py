"""What the page can do, without the page."""

import shlex
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from litefocus_jax import read_recipe
from litefocus_jax.cli.editing import parse_spans
from litefocus_jax.web.studio import Made, Refused, Step, Stopped
from litefocus_jax.web.wish import Wish
from tests.support.sounds import tone, write_sound
from tests.web.studio import TonePipeline, tone_studio


def made_of(wish: Wish, studio: Any = None) -> list[Made]:
    news: list[Any] = [*(studio or tone_studio()).make(wish, threading.Event())]
    assert [step.done for step in news[:-1]] == list(range(1, 21))
    return news[-1]


def test_each_sound_of_a_wish_is_a_file_with_its_recipe_and_a_picture() -> None:
    studio = tone_studio()
    first, second = made_of(Wish(prompt="rain", seconds=0.4, seed=7, waveforms=2), studio)
    recipe = read_recipe(second.sound)
    assert (recipe.prompt, recipe.seed, recipe.waveform) == ("rain", 7, 1)
    assert second.title == "rain (seed 7, waveform 1)"
    assert first.picture.stat().st_size > 10_000
    # Made again, it is asked for alone.
    assert studio.request(second.wish).waveforms == (1,)
    studio.close()
    assert not first.sound.exists()


@pytest.mark.parametrize(("wish", "message"), [
    (Wish(prompt=" "), "prompt is empty"),
    (Wish(prompt="rain", seed=-1), "seed = -1"),
    (Wish(prompt="rain", timeline="rain"), "does not begin with seconds"),
    (Wish(prompt="rain", seconds=500.0), "needs 1e.03 GB of memory"),
])  # fmt: skip
def test_what_cannot_be_made_is_refused_in_one_line_before_it_begins(wish: Wish, message: str) -> None:
    studio = tone_studio()
    with pytest.raises(Refused, match=message):
        list(studio.make(wish, threading.Event()))
    assert studio.pipeline.made == []  # pyright: ignore[reportAttributeAccessIssue]


def test_a_refusal_does_not_say_where_uploads_lie(tmp_path: Path) -> None:
    write_sound(tmp_path / "in.wav", tone(0.01))
    with pytest.raises(Refused, match=r"^in\.wav is too short"):
        tone_studio().request(Wish(prompt="rain", audio=str(tmp_path / "in.wav")))


def test_a_wish_is_stopped_after_the_step_at_hand_or_before_it_begins() -> None:
    studio, stop = tone_studio(0.01), threading.Event()
    news = studio.make(Wish(prompt="rain"), stop)
    assert isinstance(next(news), Step)
    stop.set()
    with pytest.raises(Stopped):
        list(news)
    with pytest.raises(Stopped):
        next(studio.make(Wish(prompt="rain"), stop))
    assert studio.pipeline.made == []  # pyright: ignore[reportAttributeAccessIssue]


def test_what_it_would_take_is_said_and_too_much_refused() -> None:
    assert tone_studio().estimate(Wish(prompt="rain")) == "2 GB of 10 GB of memory, about 4 s: 200 steps, then decoding"
    with pytest.raises(Refused, match="memory"):
        tone_studio().estimate(Wish(prompt="rain", seconds=200.0))


def test_a_sound_that_is_given_is_kept_where_it_is_not_filled(tmp_path: Path) -> None:
    write_sound(tmp_path / "in.wav", tone(0.64), subtype="PCM_16")
    studio = tone_studio()
    wish = Wish(prompt="rain", audio=str(tmp_path / "in.wav"), use="Fill", spans="0.2:0.4")
    (made,) = made_of(wish, studio)
    given, filled = (soundfile.read(path, dtype="int16")[0] for path in (tmp_path / "in.wav", made.sound))
    np.testing.assert_array_equal(filled[:3200], given[:3200])
    assert studio.picture_of(str(tmp_path / "in.wav"), "0.2:0.4").stat().st_size > 10_000
    with pytest.raises(Refused, match="not within the sound"):
        studio.picture_of(str(tmp_path / "in.wav"), "0.2:4")


WISHES = [
    Wish(prompt="a dog's bark; rm -rf $HOME", seed=3, quality="fast", waveforms=2),
    Wish(timeline="0:rain, 2:birds", seconds=5.0, negative_prompt="hum", loop=True),
    Wish(prompt="rain", audio="/upload/my sound.wav", use="Fill", spans="0.2:0.4"),
    Wish(prompt="rain", audio="/upload/in.wav", use="Continue", seconds=3.0, first_waveform=2),
]


@pytest.mark.parametrize("wish", WISHES)
def test_the_command_and_the_program_ask_for_what_the_page_asks_for(
    wish: Wish, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if wish.audio is not None:
        write_sound(tmp_path / Path(wish.audio).name, tone(0.64))
    calls: list[Any] = []

    class Recording:
        @classmethod
        def from_pretrained(cls, model: str) -> "Recording":
            return cls()

        def __call__(self, *arguments: Any, **options: Any) -> Any:
            calls.append(TonePipeline().request(*arguments, **options))
            return self

        def save(self, path: str) -> None:
            assert ("{index}" in path) == (wish.waveforms > 1)

    monkeypatch.setattr("litefocus_jax.AudioLDM2Pipeline", Recording, raising=False)
    exec(wish.program("tone", 2.56))
    prompt, options = wish.asked(2.56)
    if wish.audio is not None:
        options["audio"] = Path(wish.audio).name
    assert calls == [TonePipeline().request(prompt, **options)]
    words = shlex.split(wish.command("tone"))
    assert words[:2] == ["litefocus-jax", "generate"]
    assert (wish.prompt or wish.timeline) in words
    if wish.use == "Fill":
        assert parse_spans(words[words.index("--fill") + 1], "--fill") == options.get("fill")


def test_heads_that_the_page_was_opened_with_are_in_its_command_and_its_program() -> None:
    wish = Wish(prompt="rain")
    words = shlex.split(wish.command("tone", "trained"))
    assert words[words.index("--heads") + 1] == "trained"
    assert "--heads" not in wish.command("tone")
    assert "from_pretrained('tone', heads='trained')" in wish.program("tone", 2.56, "trained")
    assert "from_pretrained('tone')" in wish.program("tone", 2.56)
