"""The synthetic world: what its kinds of sound have in common, and that words mean what they say."""

from typing import Any, Literal

import numpy as np
import pytest
import scipy.signal

from examples.foley.world import captions
from examples.foley.world.kinds import KINDS, WORDS
from examples.foley.world.sounds import Event, Scene, random_event, random_scene, render
from litefocus_jax.audio import log_mel_spectrogram

RATE = 16000


def knowing(parameter: str) -> list[str]:
    return [name for name, kind in KINDS.items() if parameter in kind.parameters]


def sound_of(kind: str, seed: int = 0, duration_in_s: float = 2.5, **words: Any) -> np.ndarray:
    return render(Scene((Event(kind, **words),)), np.random.default_rng(seed), duration_in_s=duration_in_s)


def scenes(count: int, seed: int = 0) -> list[Scene]:
    generator = np.random.default_rng(seed)
    return [random_scene(generator) for _ in range(count)]


def level(waveform: np.ndarray) -> float:
    return float(20.0 * np.log10(np.sqrt(np.mean(np.square(waveform))) + 1e-9))


def centroid(waveform: np.ndarray) -> float:
    power = np.square(np.abs(np.fft.rfft(waveform)))
    return float(np.average(np.fft.rfftfreq(len(waveform), 1 / RATE), weights=power))


def onsets(waveform: np.ndarray) -> int:
    """How often the power of some mel band rises anew."""
    mel = log_mel_spectrogram(waveform, RATE, n_fft=512)
    root = np.exp(np.maximum(mel, mel.max() - 6.0) / 2.0)
    rise = np.convolve(np.maximum(root[2:] - root[:-2], 0.0).sum(axis=1), np.hanning(7))
    return len(scipy.signal.find_peaks(rise, prominence=0.25 * rise.max())[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("duration_in_s", [1.0, 2.5, 10.0])
def test_every_kind_fills_any_duration(kind, duration_in_s):
    event = random_event(np.random.default_rng(1), kind)
    waveform = render(Scene((event,)), np.random.default_rng(2), duration_in_s=duration_in_s)
    assert waveform.shape == (round(duration_in_s * RATE),)
    assert waveform.dtype == np.float32
    assert np.isfinite(waveform).all()
    assert 0.02 < np.abs(waveform).max() < 0.95


def test_scenes_of_all_sorts_render():
    generator = np.random.default_rng(3)
    drawn = scenes(150)
    assert {scene.relation for scene in drawn} == {None, "while", "then"}
    assert {scene.reverberant for scene in drawn} == {False, True}
    assert {scene.fade for scene in drawn} == {None, "in", "out"}
    for scene in drawn:
        waveform = render(scene, generator, duration_in_s=1.23)
        assert waveform.shape == (19680,)
        assert 0.005 < np.abs(waveform).max() < 0.95


def test_the_shares_of_scenes_are_as_documented():
    relations = [scene.relation for scene in scenes(1000)]
    shares = [relations.count(relation) / 1000 for relation in (None, "while", "then")]
    np.testing.assert_allclose(shares, [0.65, 0.2, 0.15], atol=0.04)


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_gives_one_sound(kind):
    assert sound_of(kind, seed=4).tobytes() == sound_of(kind, seed=4).tobytes()
    assert sound_of(kind, seed=4).tobytes() != sound_of(kind, seed=5).tobytes()


def test_there_are_kinds_enough():
    assert len(KINDS) >= 28
    for kind in KINDS.values():
        names = [*kind.phrases.usual, *(kind.one.usual if kind.one else ())]
        assert len(set(names)) >= 3


@pytest.mark.parametrize("kind", knowing("pitch"))
def test_high_sounds_lie_above_low_ones(kind):
    low, high = ([centroid(sound_of(kind, seed, pitch=word)) for seed in range(10)] for word in WORDS["pitch"])
    assert sum(np.array(high) > np.array(low)) >= 9
    assert np.median(high) > 1.5 * np.median(low)


@pytest.mark.parametrize("kind", [kind for kind in knowing("speed") if kind != "waves"])
def test_fast_sounds_have_more_onsets_than_slow_ones(kind):
    slow, fast = (
        [onsets(sound_of(kind, seed, duration_in_s=5.0, speed=word)) for seed in range(5)] for word in WORDS["speed"]
    )
    assert min(fast) > max(slow)
    assert np.median(fast) >= 2.0 * np.median(slow)


@pytest.mark.parametrize("kind", KINDS)
def test_loud_is_about_12_db_above_soft(kind):
    soft, loud = ([level(sound_of(kind, seed, loudness=word)) for seed in range(4)] for word in WORDS["loudness"])
    assert 9.0 < np.mean(loud) - np.mean(soft) < 15.0


@pytest.mark.parametrize("kind", knowing("direction"))
def test_rising_sounds_rise_and_falling_ones_fall(kind):
    def climb(waveform: np.ndarray) -> float:
        heard = np.trim_zeros(np.where(np.abs(waveform) > 1e-3, waveform, 0.0))
        return centroid(heard[-len(heard) // 3 :]) / centroid(heard[: len(heard) // 3])

    for seed in range(4):
        assert climb(sound_of(kind, seed, direction="rising", number="one")) > 1.1
        assert climb(sound_of(kind, seed, direction="falling", number="one")) < 0.9


@pytest.mark.parametrize("kind", knowing("number"))
def test_several_sounds_are_heard_for_longer_than_one(kind):
    def heard(waveform: np.ndarray) -> float:
        frames = np.square(waveform).reshape(-1, 160).mean(axis=1)
        return float(np.mean(frames > 1e-3 * frames.max()))

    one, several = (
        np.mean([heard(sound_of(kind, seed, duration_in_s=8.0, number=word)) for seed in range(3)])
        for word in WORDS["number"]
    )
    assert several > 1.4 * one


@pytest.mark.parametrize("kind", knowing("length"))
def test_long_sounds_last_longer_than_short_ones(kind):
    def seconds(waveform: np.ndarray) -> float:
        return float(np.count_nonzero(np.convolve(np.abs(waveform) > 3e-3, np.ones(80), "same")) / RATE)

    for seed in range(3):
        short, long = (seconds(sound_of(kind, seed, 5.0, number="one", length=word)) for word in WORDS["length"])
        assert long > 1.5 * short


def test_fades_and_rooms_are_heard():
    rain, knock = Event("rain"), Event("knocks", number="one")
    fades: tuple[tuple[Literal["in", "out"], float], ...] = (("in", 1.0), ("out", -1.0))
    for fade, sign in fades:
        waveform = render(Scene((rain,), fade=fade), np.random.default_rng(0), duration_in_s=4.0)
        assert sign * (level(waveform[-RATE:]) - level(waveform[:RATE])) > 10.0
    dry, wet = (
        render(Scene((knock,), reverberant=reverberant), np.random.default_rng(1), duration_in_s=4.0)
        for reverberant in (False, True)
    )
    assert np.mean(np.abs(wet) > 1e-3) > 3.0 * np.mean(np.abs(dry) > 1e-3)


def test_then_puts_one_event_after_the_other():
    scene = Scene((Event("bass drum", speed="fast"), Event("shaker", speed="fast")), "then")
    waveform = render(scene, np.random.default_rng(0), duration_in_s=4.0)
    assert centroid(waveform[: 3 * RATE // 2]) < 500.0 < 3000.0 < centroid(waveform[-3 * RATE // 2 :])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Event("dragon"), "kind = 'dragon' is unknown; expected one of tone, organ"),
        (lambda: random_event(np.random.default_rng(0), "dragon"), "expected one of tone, organ"),
        (lambda: Event("rain", pitch="low"), "'rain', which knows only loudness"),
        (lambda: Event("bell", pitch="huge"), "pitch = 'huge'; expected None or one of low, high"),  # pyright: ignore[reportArgumentType]
        (lambda: Scene((Event("rain"),), "then"), "1 events with relation = 'then'; expected 2"),
        (lambda: Scene((Event("rain"),), "after"), "expected None, 'while' or 'then'"),  # pyright: ignore[reportArgumentType]
        (lambda: Scene((Event("rain"),), fade="up"), "expected None, 'in' or 'out'"),  # pyright: ignore[reportArgumentType]
        (lambda: sound_of("rain", duration_in_s=0.5), "duration_in_s = 0.5; expected at least 1 s"),
        (lambda: captions.contrasting_scenes(np.random.default_rng(0), "size"), "expected one of pitch, speed"),
    ],
)
def test_mistakes_are_named_with_what_is_expected(make, message):
    with pytest.raises(ValueError, match=message):
        make()
