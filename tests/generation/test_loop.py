"""Sound that runs on into its own beginning."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from litefocus_jax import AudioLDM2Pipeline, WindowedDenoising
from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.decoding.plan import TilingConfig
from litefocus_jax.models.vocoder import Vocoder
from tests.support.models import tiny_pipeline
from tests.support.tolerance import deviation

SAMPLES_PER_FRAME = 640
BRIEF: dict[str, Any] = {"audio_length_in_s": 0.64, "num_inference_steps": 2, "litefocus": None, "loop": True}


def changed(**changes: Any) -> dict[str, Any]:
    return BRIEF | changes


def noise(frames: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((frames, 8, 4)).astype(np.float32)


def decoded(pipe: AudioLDM2Pipeline, latents: np.ndarray, **options: Any) -> np.ndarray:
    return np.concatenate([*pipe.decode_blocks(latents, **options)])


@functools.cache
def correcting_pipeline() -> AudioLDM2Pipeline:
    """One whose vocoder's sound is filtered, as foley's is."""
    components = tiny_pipeline().components
    config = dataclasses.replace(components.vocoder.config, mel_corrections=2)
    return AudioLDM2Pipeline(dataclasses.replace(components, vocoder=random_model(Vocoder, config)))


@pytest.mark.parametrize("make", [tiny_pipeline, correcting_pipeline])
@pytest.mark.parametrize("frames", [16, 5])
def test_what_is_decoded_of_rolled_latents_is_rolled(make: Callable[[], AudioLDM2Pipeline], frames: int) -> None:
    latents, pipe = noise(frames), make()
    expected = np.roll(decoded(pipe, latents, loop=True), 3 * SAMPLES_PER_FRAME)
    assert deviation(decoded(pipe, np.roll(latents, 3, axis=0), loop=True), expected) < 1e-4
    assert deviation(decoded(pipe, np.roll(latents, 3, axis=0)), np.roll(decoded(pipe, latents), 3 * 640)) > 1e-2


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++"])
def test_what_is_denoised_of_rolled_noise_is_rolled(scheduler: str) -> None:
    latents = noise(16)[None]
    first, rolled = (
        tiny_pipeline()("rain", latents=each, output_type="latent", scheduler=scheduler, **BRIEF).audios  # pyright: ignore[reportArgumentType]
        for each in (latents, np.roll(latents, 8, axis=1))
    )
    assert deviation(rolled, np.roll(first, 8, axis=1)) < 1e-4


@pytest.mark.parametrize(
    "options", [{}, {"windowed": WindowedDenoising("swap", 0.32, 0.08)}, {"audio_length_in_s": 0.52}]
)
def test_the_seam_is_no_rougher_than_the_rest(options: dict[str, Any]) -> None:
    latents = tiny_pipeline()("rain", output_type="latent", **changed(num_inference_steps=8, **options)).audios[0]
    sound = decoded(tiny_pipeline(), latents, loop=True)
    steps = np.abs(np.diff(np.append(sound, sound[0])))
    assert steps[-1] <= np.quantile(steps, 0.999)
    # The same of frames: how much the spectrum changes from one to the next.
    spectra = np.abs(np.fft.rfft(np.append(sound, sound[:SAMPLES_PER_FRAME]).reshape(-1, SAMPLES_PER_FRAME), axis=1))
    flux = np.linalg.norm(np.diff(spectra, axis=0), axis=1)
    assert flux[-1] <= flux[:-1].max()


def mean_deviation(found: np.ndarray, expected: np.ndarray, *, of: np.ndarray) -> float:
    """Root mean square of the difference, in standard deviations of a sound."""
    return float(np.sqrt(np.mean(np.square(found - expected))) / of.std())


@pytest.mark.parametrize("make", [tiny_pipeline, correcting_pipeline])
def test_a_long_loop_is_decoded_in_tiles_whose_ends_meet(make: Callable[[], AudioLDM2Pipeline]) -> None:
    pipe = AudioLDM2Pipeline(make().components)
    pipe.tiling = TilingConfig(whole_up_to_in_s=1.0, tile_in_s=1.92, margin_in_s=0.2, sample_in_s=1.6)
    latents = noise(200)
    blocks = [*pipe.decode_blocks(latents, loop=True)]
    whole, tiles = decoded(make(), latents, loop=True), np.concatenate(blocks)
    assert len(blocks) > 1
    assert len(tiles) == 200 * SAMPLES_PER_FRAME
    # Normalisation counts the ends twice that are written out beyond each other, which changes all of it a little.
    open_ended = np.concatenate([*pipe.decode_blocks(latents)])
    for part in (slice(None), slice(SAMPLES_PER_FRAME), slice(-SAMPLES_PER_FRAME, None)):
        assert mean_deviation(tiles[part], whole[part], of=whole) < 0.03
    for end in (slice(SAMPLES_PER_FRAME), slice(-SAMPLES_PER_FRAME, None)):
        assert mean_deviation(open_ended[end], whole[end], of=whole) > 0.5


def test_the_length_is_rounded_to_latent_frames_and_that_is_said(caplog: pytest.LogCaptureFixture) -> None:
    result = tiny_pipeline()("rain", **changed(audio_length_in_s=0.63))
    assert result.audios.shape == (1, 16 * SAMPLES_PER_FRAME)
    assert "The loop is 0.64 s long, 16 latent frames, not 0.63 s" in caplog.text


def test_whole_lengths_are_kept_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    assert tiny_pipeline().request("rain", **BRIEF).audio_length_in_s == 0.64
    assert caplog.text == ""


def test_sounds_of_a_batch_loop_as_alone_and_a_loop_is_a_fact_of_its_request() -> None:
    alone = tiny_pipeline()("rain", **BRIEF).audios[0]
    assert deviation(tiny_pipeline()(["wind", "rain"], **BRIEF).audios[1], alone) < 1e-4
    facts = [tiny_pipeline().request("rain", **changed(loop=loop)).facts() for loop in (True, False)]
    assert [each["loop"] for each in facts] == [True, False]


def test_what_a_loop_cannot_be_is_named() -> None:
    with pytest.raises(TypeError, match="loop = 'yes'; expected True or False"):
        tiny_pipeline().request("rain", loop="yes")  # pyright: ignore[reportArgumentType]
