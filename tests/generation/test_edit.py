"""Sound as an input: varied, filled, continued."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax import AudioLDM2Pipeline, PartialRun, ResumeError, StopGeneration, WindowedDenoising, read_recipe
from litefocus_jax.audio.splicing import spliced
from litefocus_jax.checkpoint.lora import LoraConfig, save_adapter
from litefocus_jax.decoding.encoding import encode_sound, mel_of
from litefocus_jax.diffusion.inpainting import hold, weight_of_frames
from litefocus_jax.diffusion.noise import add_noise
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.diffusion.schedulers import initial_state, make_schedule
from litefocus_jax.generation import sampling
from litefocus_jax.generation.recipe import RecipeError
from litefocus_jax.parallel.mesh import DATA_AXIS, TIME_AXIS
from tests.support.adapters import random_adapter
from tests.support.models import small_components, small_pipeline
from tests.support.sounds import RATE, tone, write_sound
from tests.support.tolerance import deviation

ROUNDING = 1e-4
FRAME = 640
SOUND = tone(0.64) * np.linspace(0.2, 1.0, round(0.64 * RATE), dtype=np.float32)
GIVEN: dict[str, Any] = {"audio": SOUND, "sampling_rate": RATE}
EDITS: dict[str, dict[str, Any]] = {"filled": {"fill": [(0.5, 0.64)]}, "continued": {"continue_for_s": 0.16}}
BRIEF: dict[str, Any] = {"num_inference_steps": 4, "litefocus": None}


def make(**options: Any) -> np.ndarray:
    """The sounds of four steps of the small model."""
    asked: dict[str, Any] = {**BRIEF, **GIVEN, **options}
    return small_pipeline()("rain", **asked).audios


def request(**options: Any) -> Any:
    asked: dict[str, Any] = {**BRIEF, **GIVEN, **options}
    return small_pipeline().request("rain", **asked)


def test_no_strength_gives_what_the_vae_makes_of_the_sound() -> None:
    pipe = small_pipeline()
    vae = pipe.components.vae
    mean = vae.encode(jnp.asarray(mel_of(SOUND, pipe.components.vocoder.config)[None, :, :, None])).mean[0]
    expected = np.concatenate([*pipe.decode_blocks(np.asarray(vae.scaled(mean)))])
    assert deviation(make(strength=0.0)[0], expected) < ROUNDING
    assert deviation(make(strength=0.0, seed=1)[0], expected) < ROUNDING


def test_full_strength_gives_the_bytes_of_no_sound_at_all() -> None:
    alone = small_pipeline()("rain", audio_length_in_s=0.64, **BRIEF).audios
    assert make(strength=1.0).tobytes() == alone.tobytes()


def test_a_variation_begins_with_the_sound_noised_for_the_first_step_that_is_kept() -> None:
    pipe = small_pipeline()
    plan = request(strength=0.5)
    inputs = pipe.inputs(plan)
    noise = pipe.inputs(request(strength=1.0)).latents
    clean = encode_sound(pipe.components.vae, pipe.components.vocoder.config, SOUND)
    whole = make_schedule(pipe.components.scheduler, 4, scheduler=plan.schedule.kind).steps.timestep
    assert plan.schedule.steps.timestep.tolist() == whole[2:].tolist()
    expected = add_noise(pipe.components.scheduler, jnp.asarray(clean)[None], noise, whole[2:3])
    np.testing.assert_allclose(inputs.latents, expected, rtol=1e-6)
    assert inputs.known is None
    assert (plan.num_inference_steps, plan.schedule.num_steps) == (4, 2)


def test_a_sampler_that_remembers_begins_anew_where_it_is_entered() -> None:
    config = SchedulerConfig.tiny()
    whole, part = (make_schedule(config, 20, scheduler="dpm++", strength=strength).steps for strength in (1.0, 0.5))
    assert part.next_from_previous_data[0] == 0.0 != whole.next_from_previous_data[10]
    expected = whole.next_from_data[10] + whole.next_from_previous_data[10]
    assert part.next_from_data[0] == pytest.approx(expected, rel=1e-5)
    for column, kept in zip(whole, part, strict=True):
        np.testing.assert_array_equal(column[11:], kept[1:])


@pytest.mark.parametrize(("options", "made"), [
    ({"fill": [(0.2, 0.4)]}, [(3200, 6400)]),
    ({"keep": [(0.1, 0.2), (0.4, None)]}, [(0, 1600), (3200, 6400)]),
    ({"fill": [(0.5, 0.64), (0.0, 0.1)]}, [(0, 1600), (8000, 10240)]),
])  # fmt: skip
def test_what_is_kept_is_the_sound_itself_to_the_bit_and_the_rest_is_not(options: Any, made: Any) -> None:
    is_made = np.zeros(len(SOUND), bool)
    for start, end in made:
        is_made[start:end] = True
    (waveform,) = make(**options)
    np.testing.assert_array_equal(waveform[~is_made], SOUND[~is_made])
    assert np.mean(waveform[is_made] != SOUND[is_made]) > 0.95


def test_with_an_adapter_what_is_kept_stays_and_what_is_made_is_its_own(tmp_path: Path) -> None:
    pipe, config = AudioLDM2Pipeline(small_components()), LoraConfig(rank=2)  # its own: the adapter stays in it
    save_adapter(tmp_path / "lora", random_adapter(pipe.components.unet, config), config)
    plain = {name: make(**options)[0] for name, options in EDITS.items()}
    pipe.load_lora_weights(tmp_path / "lora")
    for name, options in EDITS.items():
        adapted = pipe("rain", **BRIEF, **GIVEN, **options).audios[0]
        length = min(len(adapted), len(SOUND))
        was_kept = plain[name][:length] == SOUND[:length]
        np.testing.assert_array_equal(adapted[:length][was_kept], SOUND[:length][was_kept])
        assert deviation(adapted[len(adapted) - 1000 :], plain[name][len(adapted) - 1000 :]) > 10 * ROUNDING
        assert np.mean(was_kept) > 0.5


def test_what_is_made_in_a_span_hangs_on_the_sound_around_it() -> None:
    quiet = np.where(np.arange(len(SOUND)) < 3200, SOUND, 0.01 * SOUND)
    first, second = (make(audio=audio, fill=[(0.0, 0.1)])[0, :800] for audio in (SOUND, quiet))
    assert deviation(first, second) > 10 * ROUNDING


def test_frames_are_held_with_one_noise_and_let_go_over_a_few() -> None:
    known = small_pipeline().inputs(request(fill=[(0.24, 0.4)])).known
    assert known is not None
    assert weight_of_frames(16, [(6, 10)]).tolist() == known.weight[0, :, 0, 0].tolist()
    assert known.weight[0, 2:7, 0, 0].tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]
    latents = jnp.ones_like(known.latents)
    for timestep in (3, 700):
        noised = add_noise(small_pipeline().components.scheduler, known.latents, known.noise, np.array([timestep]))
        held = hold(known, latents, jnp.int32(timestep))
        np.testing.assert_allclose(held, known.weight * noised + (1 - known.weight) * latents, rtol=1e-6)


def test_of_a_circle_frames_are_let_go_across_its_ends() -> None:
    assert weight_of_frames(6, [(0, 1)], loop=True).tolist() == [0.0, 0.25, 0.5, 0.75, 0.5, 0.25]


def test_the_cross_fade_keeps_the_power_of_sounds_that_have_nothing_in_common() -> None:
    noise = np.random.default_rng(0).standard_normal((400, 2000)).astype(np.float32)
    mixed = np.stack([
        np.concatenate([*spliced(np.split(made, [700, 1100]), given, [(500, 1500)], 240)])
        for made, given in zip(noise[:200], noise[200:], strict=True)
    ])  # fmt: skip
    np.testing.assert_array_equal(mixed[:, :500], noise[200:, :500])
    np.testing.assert_array_equal(mixed[:, 740:1260], noise[:200, 740:1260])
    np.testing.assert_allclose(np.mean(np.square(mixed[:, 500:740])), 1.0, atol=0.03)


SHORT = SOUND[-5120:]  # of eight frames; with eight more, programs are those of the other tests


def test_a_sound_is_continued_and_led_in() -> None:
    (waveform,) = make(audio=SHORT, continue_for_s=0.2, lead_in_for_s=0.12)
    join = 1920 + len(SHORT)
    assert len(waveform) == 10240
    np.testing.assert_array_equal(waveform[1920:join], SHORT)
    # Where it goes on there is no click.
    assert np.abs(np.diff(waveform))[join - 2 : join + 2].max() < 1.5 * np.abs(np.diff(SHORT)).max()


def test_sounds_are_continued_in_windows_and_several_at_once() -> None:
    windowed = WindowedDenoising("swap", 0.32, 0.12)
    first, second = make(audio=SHORT, continue_for_s=0.32, windowed=windowed, num_waveforms_per_prompt=2)
    np.testing.assert_array_equal(first[: len(SHORT)], SHORT)
    np.testing.assert_array_equal(second[: len(SHORT)], SHORT)
    assert deviation(first[len(SHORT) :], second[len(SHORT) :]) > 0.01


def test_devices_share_what_is_held() -> None:
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:1]).reshape(1, 1), (DATA_AXIS, TIME_AXIS))
    plan = request(continue_for_s=0.32, mesh=mesh, num_waveforms_per_prompt=2)
    inputs, unet = small_pipeline().inputs(plan), small_pipeline().unet
    context = sampling.project_context.eval_shape(
        unet, sampling.encode.eval_shape(*inputs.tokens), num_waveforms_per_prompt=2
    )
    state = initial_state(plan.schedule, inputs.latents)
    arguments = sampling.spread_arguments(
        sampling.Arguments(unet, context, state, inputs.keys, inputs.known), plan.plan
    )
    lowered = sampling.denoise.lower(arguments, plan.schedule, jnp.int32(0), jnp.float32(2), plan=plan.plan)
    assert lowered.out_info.latents.shape == inputs.latents.shape


def test_a_continued_loop_comes_back_to_its_beginning() -> None:
    edit = request(audio=SHORT, continue_for_s=0.31, loop=True).edit
    assert (edit.samples, edit.spans) == (16 * FRAME, ((5120, 10240),))
    # What fades out as the loop ends is its beginning, turned back.
    np.testing.assert_array_equal(edit.waveform[-1:-600:-1], SHORT[1:600])
    made = np.zeros(edit.samples, np.float32)
    (waveform,) = spliced([made], edit.waveform, edit.spans, 480, loop=True)
    np.testing.assert_array_equal(waveform[:5120], SHORT)
    np.testing.assert_allclose(waveform[-1], edit.waveform[-1], atol=1e-3)


def test_a_run_with_a_sound_is_resumed_to_the_same_bytes_and_not_with_another(tmp_path: Path) -> None:
    options: dict[str, Any] = {**BRIEF, **GIVEN, "fill": [(0.2, 0.4)]}
    path = tmp_path / "run.safetensors"

    def stop(step: int, steps: int, latents: Any) -> None:
        if step == 2:
            raise StopGeneration

    small_pipeline()("rain", partial_run=PartialRun(path, every=2), callback=stop, **options)
    resumed = small_pipeline()("rain", partial_run=PartialRun(path, resume=True, keep=True), **options)
    assert resumed.audios.tobytes() == small_pipeline()("rain", **options).audios.tobytes()
    options["audio"] = SOUND[::-1]
    with pytest.raises(ResumeError, match="audio was"):
        small_pipeline()("rain", partial_run=PartialRun(path, resume=True), **options)


def test_a_recipe_finds_its_sound_again_and_says_where_it_is_gone_or_changed(tmp_path: Path) -> None:
    pipe, path = small_pipeline(), tmp_path / "in.wav"
    write_sound(path, SHORT)
    result = pipe("rain", audio=path, fill=[(0.1, 0.2)], lead_in_for_s=0.32, **BRIEF)
    result.save(tmp_path / "out.wav", subtype="FLOAT")
    prompts, options = read_recipe(tmp_path / "out.wav").request_options()
    assert pipe.request(prompts, **options) == result.request
    assert pipe(prompts, **options).audios.tobytes() == result.audios.tobytes()
    write_sound(path, SHORT[::-1])
    with pytest.raises(ValueError, match=r"in\.wav is not the sound any more that the recipe's was made of"):
        pipe(prompts, **options)
    path.unlink()
    with pytest.raises(ValueError, match=r"in\.wav does not exist; the recipe's sound was made of it"):
        pipe(prompts, **options)


def test_what_was_an_array_is_in_no_recipe_and_a_recipe_without_a_sound_is_as_ever() -> None:
    recipe = small_pipeline().recipes(request())[0]
    with pytest.raises(RecipeError, match="audio were arrays"):
        recipe.request_options()
    plain = small_pipeline().recipes(small_pipeline().request("rain", **BRIEF))[0]
    assert not {"audio", "timeline"} & plain.to_dict().keys()
    assert dataclasses.replace(plain, audio=recipe.audio).to_dict()["audio"]["digest"] == recipe.audio.digest  # pyright: ignore[reportOptionalMemberAccess]


def test_what_became_of_the_sound_is_told(caplog: pytest.LogCaptureFixture) -> None:
    request(audio=np.stack([tone(1.0, rate=8000)] * 2), sampling_rate=8000, audio_length_in_s=0.5)
    assert "audio is mixed from 2 channels to one and resampled from 8000 to 16000 Hz" in caplog.text
    assert "the first 0.5 s of 1 s that are given are used" in caplog.text


@pytest.mark.parametrize(("options", "message"), [
    ({"audio": None, "sampling_rate": None, "fill": [(0.1, 0.2)]}, r"fill = \[\(0.1, 0.2\)\] needs a sound"),
    ({"sampling_rate": None}, "sampling_rate is not given; an array"),
    ({"audio": "missing.wav", "sampling_rate": None}, "missing.wav does not exist"),
    ({"audio": "missing.wav"}, "sampling_rate = 16000 beside a file"),
    ({"strength": 1.5}, r"strength = 1.5; expected 0 .* to 1"),
    ({"strength": float("nan")}, "strength = nan; expected a finite number"),
    ({"strength": 0.5, "continue_for_s": 1.0}, "strength = 0.5, but there is no sound to begin with"),
    ({"fill": [(0.1, 0.3), (0.2, 0.4)]}, "fill = 0.1 to 0.3 s and 0.2 to 0.4 s overlap"),
    ({"fill": [(0.3, 0.1)]}, "fill = 0.3 to 0.1 s is reversed"),
    ({"keep": [(0.3, 0.3)]}, "keep = 0.3 to 0.3 s is empty"),
    ({"fill": [(0.1, 0.9)]}, "fill = 0.1 to 0.9 s is not within the sound; expected seconds from 0 to 0.64"),
    ({"fill": [(-0.1, 0.3)]}, "is not within the sound"),
    ({"fill": []}, r"fill = \[\]; expected pairs of seconds"),
    ({"fill": [(None, None)]}, "keeps nothing of the sound"),
    ({"keep": [(0.0, 0.64)]}, "keeps all of the sound"),
    ({"fill": [(0.1, 0.11)]}, "leaves 0.01 s to make from 0.1 s on; expected at least one latent frame"),
    ({"fill": [(0.1, 0.2)], "keep": [(0.1, 0.2)]}, "fill and keep are both given"),
    ({"continue_for_s": 0.0}, "continue_for_s = 0; expected at least one latent frame"),
    ({"continue_for_s": 1e308}, r"continue_for_s = 1e\+308 is too long; expected at most 86400, a day"),
    ({"audio_length_in_s": 2.0}, "audio_length_in_s = 2, but the sound that is given has 0.64 s"),
    ({"audio_length_in_s": 2.0, "continue_for_s": 1.0}, "audio_length_in_s = 2, but what is made"),
])  # fmt: skip
def test_what_cannot_be_made_of_a_sound_is_one_error(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        request(**options)


@pytest.mark.parametrize("fill", [(0.1, 0.2), "0.1:0.2", [0.1], [("a", "b")], 5])
def test_what_are_no_spans_is_a_type_error(fill: Any) -> None:
    with pytest.raises(TypeError, match="fill = "):
        request(fill=fill)
