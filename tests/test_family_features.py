"""What AudioLDM2 can do, done by the others of the family: in each way of reading a prompt, and at 48 kHz."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from litefocus_jax import AudioLDM2Pipeline, LiteFocusConfig, PartialRun, TilingConfig
from litefocus_jax.audio.mel import log_mel_spectrogram
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.cli import app
from litefocus_jax.decoding.encoding import encode_sound, mel_of
from litefocus_jax.generation import sampling
from litefocus_jax.generation.resume import ResumableRun
from litefocus_jax.models.generation_defaults import QUALITIES
from litefocus_jax.models.vocoder import VocoderConfig
from litefocus_jax.system.json_config import ConfigError
from litefocus_jax.web.studio import Studio
from litefocus_jax.web.wish import Wish
from tests.support.family import BRIEF, FIRST, MUSIC, OF_48K, OF_T5, family_folder, family_pipeline
from tests.support.sounds import sound_folder
from tests.support.tolerance import deviation
from tests.support.xla_flags import with_devices

two_kinds = pytest.mark.parametrize("name", [OF_48K, OF_T5])
every_kind = pytest.mark.parametrize("name", [FIRST, MUSIC, OF_48K, OF_T5])


def invoke(*arguments: Any) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_writes_a_file_of_48_khz_and_its_picture_and_makes_it_again(tmp_path: Path) -> None:
    first, second = tmp_path / "first.wav", tmp_path / "second.wav"
    picture = tmp_path / "first.png"
    few = ("-d", 0.8, "--steps", 1, "--litefocus", "off", "--seed", 4, "--spectrogram", picture)
    invoke("generate", "rain", "-m", family_folder(OF_48K), *few, "-o", first)
    about = soundfile.info(first)
    assert (about.samplerate, about.frames, about.channels) == (48000, 38400, 1)
    assert picture.stat().st_size > 1000
    invoke("generate", "--from", first, "-o", second)
    assert first.read_bytes() == second.read_bytes()


def test_a_model_of_48_khz_is_told_by_info_in_all_its_sizes() -> None:
    shown = " ".join(invoke("info", family_folder(OF_48K)).split())
    assert "48000 Hz, latent frames of 3840 samples, trained on 1.28 s" in shown
    shown = " ".join(invoke("info", family_folder(OF_T5)).split())
    assert "native checkpoint of an AudioLDM-T5" in shown
    assert "16000 Hz" in shown


def test_spectrograms_are_those_of_the_models_own_transform_and_band() -> None:
    waveform = np.random.default_rng(0).standard_normal(48000).astype(np.float32)
    config = family_pipeline(OF_48K).components.vocoder.config
    expected = log_mel_spectrogram(waveform, 48000, num_mels=64, n_fft=2048, hop_length=480, fmin=20.0, fmax=24000.0)
    np.testing.assert_array_equal(mel_of(waveform, config), expected[:100])
    with pytest.raises(ConfigError, match="fmin = 9000; expected less than fmax = 8000"):
        VocoderConfig(fmin=9000.0)


def test_a_sound_of_48_khz_is_encoded_to_a_latent_frame_for_each_3840_samples() -> None:
    components = family_pipeline(OF_48K).components
    waveform = 0.1 * np.random.default_rng(0).standard_normal(3840 * 10).astype(np.float32)
    latents = encode_sound(components.vae, components.vocoder.config, waveform)
    assert latents.shape == (10, 8, 16)
    assert np.isfinite(latents).all()
    with pytest.raises(ValueError, match="has 38399 samples; expected a multiple of a latent frame's, 3840"):
        encode_sound(components.vae, components.vocoder.config, waveform[1:])


def test_long_sound_of_48_khz_is_decoded_in_tiles() -> None:
    pipe = AudioLDM2Pipeline(family_pipeline(OF_48K).components)
    latents = 0.3 * np.random.default_rng(1).standard_normal((100, 8, 16)).astype(np.float32)
    (whole,) = pipe.decode_blocks(latents, progress=False)
    pipe.tiling = TilingConfig(whole_up_to_in_s=1.0, tile_in_s=3.84, margin_in_s=0.48, sample_in_s=3.84, passes=2)
    blocks = [*pipe.decode_blocks(latents, progress=False)]
    assert len(blocks) > 1
    tiled = np.concatenate(blocks)
    assert len(tiled) == len(whole) == 100 * 3840
    assert deviation(tiled, whole) < 1e-2


def test_what_is_kept_of_a_given_sound_of_48_khz_is_kept_to_the_sample() -> None:
    given = 0.1 * np.random.default_rng(0).standard_normal(38400).astype(np.float32)
    options: Any = {**BRIEF, "audio": given, "sampling_rate": 48000, "fill": [(0.24, 0.4)]}
    filled = family_pipeline(OF_48K)("rain", **options).audios[0]
    np.testing.assert_array_equal(filled[:11520], given[:11520])
    assert deviation(filled[11520:19200], given[11520:19200]) > 1e-3


@two_kinds
def test_loops_timelines_and_litefocus_serve_them_too(name: str) -> None:
    pipe = family_pipeline(name)
    options: Any = {**BRIEF, "audio_length_in_s": 1.28, "output_type": "latent"}
    plain = pipe("rain", **options).audios
    looped = pipe("rain", **options, loop=True).audios
    sparse = pipe("rain", **(options | {"litefocus": LiteFocusConfig(levels="all", sparse_ratio=0.25)})).audios
    changing = pipe(timeline=[(0.0, "rain"), (0.64, "a dog barks")], **options).audios
    for other in (looped, sparse, changing):
        assert other.shape == plain.shape
        assert np.isfinite(other).all()
        assert deviation(other, plain) > 1e-5


def test_a_loop_of_48_khz_is_as_long_as_its_frames() -> None:
    looped = family_pipeline(OF_48K)("rain", **BRIEF, audio_length_in_s=0.8, loop=True).audios
    assert looped.shape == (1, 38400)


@two_kinds
def test_a_run_that_was_ended_goes_on_to_the_same_latents(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, options = tmp_path / "run.safetensors", {**BRIEF, "audio_length_in_s": 1.28, "output_type": "latent"}
    after_call = ResumableRun.after_call

    def interrupt(self: ResumableRun, run: sampling.Progress) -> None:
        after_call(self, run)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ResumableRun, "after_call", interrupt)
        with pytest.raises(KeyboardInterrupt):
            family_pipeline(name)("rain", partial_run=PartialRun(path, every=1), **options)
    assert path.exists()
    resumed = family_pipeline(name)("rain", partial_run=PartialRun(path, every=1, resume=True), **options)
    np.testing.assert_array_equal(resumed.audios, family_pipeline(name)("rain", **options).audios)


@pytest.fixture(scope="module")
def on_devices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("devices")
    command = [sys.executable, "-m", "tests.support.family", folder]
    worker = subprocess.run(command, env=os.environ | with_devices(4), capture_output=True, text=True, check=False)
    assert worker.returncode == 0, worker.stderr
    with np.load(folder / "sounds.npz") as arrays:
        return dict(arrays)


@two_kinds
def test_devices_along_sounds_and_time_equal_one_device(name: str, on_devices: dict[str, np.ndarray]) -> None:
    assert deviation(on_devices[f"{name}_on_2x2"], on_devices[f"{name}_on_1x1"]) < 1e-5


@two_kinds
def test_an_adapter_is_learnt_and_changes_the_sound(name: str, tmp_path: Path) -> None:
    data, out = sound_folder(tmp_path / "data"), tmp_path / "run"
    few = ["--steps", "2", "--batch-size", "2", "-d", "0.32", "--learning-rate", "0.01", "--lora", "2"]
    shown = invoke("finetune", data, "-m", family_folder(name), "-o", out, *few)
    assert "Training an adapter of rank 2 for the unet" in shown
    options: Any = {**BRIEF, "audio_length_in_s": 1.28, "output_type": "latent"}
    pipe = AudioLDM2Pipeline(load_components(family_folder(name)))
    pipe.load_lora_weights(out / "lora")
    assert deviation(pipe("rain", **options).audios, family_pipeline(name)("rain", **options).audios) > 1e-6


@every_kind
def test_qualities_and_the_page_ask_for_what_the_model_can(name: str) -> None:
    pipe = family_pipeline(name)
    steps = [pipe.request("rain", quality=quality).sampling.num_inference_steps for quality in QUALITIES]
    assert steps == sorted(steps)
    studio = Studio(pipe, str(family_folder(name)))
    try:
        request = studio.request(Wish(prompt="rain", negative_prompt="wind", seconds=0.8, quality="good", waveforms=2))
        assert (request.batch_size, request.negative_prompts) == (2, ("wind",))
        assert studio.request(Wish(timeline="0:rain, 0.64:a dog", seconds=1.28)).timeline is not None
    finally:
        studio.close()


@pytest.mark.parametrize(("name", "guidance", "waveforms", "per_second", "frames"), [
    (FIRST, 2.5, 3, 25.6, 256), (MUSIC, 2.0, 5, 25.6, 256), (OF_48K, 3.5, 3, 12.8, 128), (OF_T5, 3.5, 3, 25.6, 256),
])  # fmt: skip
def test_the_authors_of_each_sample_in_their_own_way(
    name: str, guidance: float, waveforms: int, per_second: float, frames: int
) -> None:
    request = family_pipeline(name).request("rain", sampling="authors", audio_length_in_s=10)
    assert (request.guidance_scale, request.num_waveforms_per_prompt) == (guidance, waveforms)
    assert (request.latent_frames_per_second, request.plan.frames) == (per_second, frames)
    assert (request.eta, request.force_zeros_for_empty_prompt, request.ranks) == (1.0, False, True)
    assert (request.sampling.num_inference_steps, request.sampling.timestep_spacing) == (200, "uniform")


def test_ranking_by_a_clap_that_only_reads_is_one_clear_line() -> None:
    for name in (OF_48K, OF_T5):
        with pytest.raises(ValueError, match=r"sampling='authors', which ranks .*set pipe\.clap = litefocus_jax"):
            family_pipeline(name)("rain", sampling="authors", audio_length_in_s=0.8)


def test_vectors_of_words_make_the_sound_of_the_words() -> None:
    pipe = family_pipeline(OF_T5)
    options: Any = {**BRIEF, "audio_length_in_s": 1.28, "output_type": "latent"}
    words = pipe("rain", **options, negative_prompt="wind that never ends").audios
    embeddings: Any = pipe.encode_prompt("rain")._asdict()
    assert deviation(pipe(**embeddings, **options, negative_prompt="wind that never ends").audios, words) < 1e-4
    both = pipe(["rain", "a much longer prompt of wind and hail"], **options).audios
    assert deviation(both[:1], pipe("rain", **options).audios) < 1e-4
    for given, message in (
        ({"attention_mask": np.ones((1, 3))}, "prompt_embeds is missing; attention_mask says which"),
        ({"prompt_embeds": np.zeros((1, 3, 5))}, r"has shape \(1, 3, 5\); expected \[prompts, vectors, 24\]"),
        ({"prompt_embeds": np.zeros((1, 3, 24)), "attention_mask": np.ones((1, 2))}, r"expected \(1, 3\)"),
    ):
        arguments: Any = given
        with pytest.raises(ValueError, match=message):
            pipe.request(None, **arguments)
    with pytest.raises(ValueError, match=r"generated_prompt_embeds is of AudioLDM2; .* by T5's vectors of its words"):
        pipe.request("rain", generated_prompt_embeds=np.zeros((1, 8, 16)))


def test_what_diffusers_cannot_run_is_not_written_for_it(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", str(family_folder(OF_T5)), str(tmp_path / "exported")])
    assert result.exit_code == 1
    assert "diffusers has no pipeline that runs an AudioLDM-T5; expected --format original" in " ".join(
        result.output.split()
    )
    assert not (tmp_path / "exported").exists()


def test_a_model_of_48_khz_survives_diffusers_layout(tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    invoke("export", family_folder(OF_48K), folder)
    again = load_components(folder)
    for part, module in family_pipeline(OF_48K).components.modules.items():
        assert again.modules[part].config == module.config
    (folder / "unet" / "config.json").write_text(
        (folder / "unet" / "config.json").read_text().replace('"simple_projection"', '"timestep"')
    )
    with pytest.raises(CheckpointError, match="class_embed_type = 'timestep' is not supported"):
        load_components(folder)
