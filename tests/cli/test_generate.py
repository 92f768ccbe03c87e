"""The command line, with a small fake in place of the pipeline; `test_pipeline` makes real sound."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile

import litefocus_jax.checkpoint.store
import litefocus_jax.cli
import litefocus_jax.pipeline
from litefocus_jax.cli.console import logger
from litefocus_jax.cli.destinations import file_names, slug
from litefocus_jax.decoding.plan import TilingConfig
from litefocus_jax.generation.request import make_request
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.ops.token_merging import TokenMerging
from litefocus_jax.system.interruption import deferred_interruption
from tests.support.command_line import FakePipeline, generate, open_tiny, run, written
from tests.support.models import tiny_checkpoint

FRAME_IN_S = 0.04  # of the tiny model, which was trained on 0.64 s


@pytest.fixture
def fake(monkeypatch, tmp_path):
    return FakePipeline.put_in_place(monkeypatch, tmp_path)


def test_help_is_instant_and_imports_nothing_heavy():
    code = (
        "import sys, litefocus_jax.cli as cli\n"
        "try: cli.app(['generate', '--help'])\n"
        "except SystemExit: pass\n"
        "print(*({'jax', 'flax', 'numpy', 'transformers', 'matplotlib', 'soundfile'} & sys.modules.keys()), 'none')"
    )
    started = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "none"
    # Well under a second on an idle machine; the slack is for busy ones.
    assert time.perf_counter() - started < 5.0


def test_one_prompt_makes_the_file_that_was_asked_for(fake):
    result = generate("rain", "-o", "new/rain.flac", "-d", "0.1", "--subtype", "PCM_24")
    assert result.exit_code == 0
    assert soundfile.info("new/rain.flac").subtype == "PCM_24"
    assert result.stdout == "new/rain.flac\n"
    assert "0.10 s of sound" in result.stderr
    assert "real-time factor" in result.stderr


def test_without_a_model_the_bundled_one_is_used_and_the_user_told(fake):
    result = run("generate", "rain", "-o", "rain.wav")
    assert result.exit_code == 0, result.output
    assert fake.opened == ["foley"]
    assert "Loading foley, the small bundled model" in result.stderr
    assert "-m cvssp/audioldm2" in result.stderr


def test_options_reach_the_pipeline(fake):
    options = "-d 3 --negative noise --seed 7 --steps 12 --guidance 2.5 --scheduler ddim --eta 0.5 --waveforms 2"
    result = generate(
        "rain",
        *options.split(),
        "--spacing",
        "trailing",
        "--litefocus",
        "on",
        "--sparse-ratio",
        "0.2",
        "--dtype",
        "bfloat16",
    )
    assert result.exit_code == 0, result.output
    assert (fake.opened, fake.loaded) == (["model"], ["bfloat16"])
    assert_asked_for(
        fake,
        negative_prompt="noise",
        audio_length_in_s=3.0,
        num_inference_steps=12,
        guidance_scale=2.5,
        num_waveforms_per_prompt=2,
        eta=0.5,
        seed=7,
        scheduler="ddim",
        timestep_spacing="trailing",
        litefocus=LiteFocusConfig(sparse_ratio=0.2),
    )
    assert fake.arguments == [
        {"partial_run": None, "check_memory": True, "output_type": "latent", "progress": True},
    ]
    assert fake.decoded == [(3.0, True)] * 2


def test_without_options_the_request_is_the_librarys_own(fake):
    assert generate("rain").exit_code == 0
    assert_asked_for(fake)
    assert fake.decoded == [(0.64, True)]


def assert_asked_for(fake, **options):
    """That one request was run, the one that the library makes with these options."""
    [request], expected = fake.requests, make_request(open_tiny().facts, "rain", **options)
    assert request == expected
    assert request.facts() == expected.facts()  # which tell of the sampler too


@pytest.mark.parametrize(("options", "expected"), [
    ("auto", LiteFocusConfig(cross_frequency=False)),
    ("on", LiteFocusConfig()),
    ("off", None),
    ("linear", LiteFocusConfig.linear(0.64)),
    ("on --reach 4 --max-cross-tokens 100", LiteFocusConfig(reach_in_s=4.0, max_cross_tokens=100)),
    (
        "linear --reach 4 --sparse-ratio 0.2",
        dataclasses.replace(LiteFocusConfig.linear(0.64), reach_in_s=4.0, sparse_ratio=0.2),
    ),
])  # fmt: skip
@pytest.mark.parametrize("scale_scores", [False, True])
def test_litefocus_choices_mean_what_the_library_means(fake, options, expected, scale_scores):
    # Of a length at which "auto" is none of the others.
    generate("rain", "-d", "5", "--litefocus", *options.split(), *(["--scale-scores"] if scale_scores else []))
    layout = DENSE if expected is None else expected.layout(FRAME_IN_S)
    assert fake.requests[0].plan.attention == dataclasses.replace(layout, scale_scores=scale_scores)


def test_token_merging_takes_the_place_of_litefocus(fake):
    assert generate("rain", "-d", "5", "--token-merging", "0.4").exit_code == 0
    assert fake.requests[0].plan.attention == AttentionLayout(merging=TokenMerging(0.4))
    both = generate("wind", "--token-merging", "0.4", "--litefocus", "linear")
    assert both.exit_code == 1
    assert "--token-merging = 0.4 beside --litefocus = 'linear'; expected one of them" in both.stderr


@pytest.mark.parametrize("output", ["sounds/", "sounds"])
def test_several_sounds_are_named_after_prompt_and_seed(fake, output):
    result = generate("Rain on a roof!", "a dog", "--seed", "3", "--waveforms", "2", "-o", output)
    names = ["a-dog-seed3-0.wav", "a-dog-seed3-1.wav", "rain-on-a-roof-seed3-0.wav", "rain-on-a-roof-seed3-1.wav"]
    assert written("sounds") == names
    assert sorted(result.stdout.splitlines()) == [f"sounds/{name}" for name in names]


def test_without_an_output_files_go_to_the_current_folder(fake):
    generate("rain")
    assert written() == ["rain-seed0.wav"]


def test_one_file_for_several_sounds_is_a_usage_error(fake):
    result = generate("rain", "wind", "-o", "both.wav")
    assert result.exit_code == 2
    assert "give a folder, such as both/" in " ".join(result.stderr.replace("│", "").split())
    assert not fake.opened


def test_prompts_that_look_alike_get_different_files():
    names = [name for row in file_names(["a b", "A, b", "a b 2", "a b"], 0, 1, ".wav") for name in row]
    assert names == ["a-b-seed0.wav", "a-b-2-seed0.wav", "a-b-2-2-seed0.wav", "a-b-3-seed0.wav"]


@pytest.mark.parametrize(("prompt", "expected"), [
    ("Rain on a tin roof!", "rain-on-a-tin-roof"),
    ("../../etc/passwd", "etc-passwd"),
    ("雨の音", "雨の音"),
    ("?!", "sound"),
    ("x" * 300, "x" * 48),
    ("word " * 30, "-".join(["word"] * 9)),
])  # fmt: skip
def test_slugs_are_safe_names_for_files(prompt, expected):
    assert slug(prompt) == expected


def test_prompts_come_from_arguments_and_then_from_a_file(fake):
    Path("prompts.txt").write_text("\ufeff# sounds of weather\nrain\n\n  wind  \n", encoding="utf-8")
    assert generate("dog", "--prompts", "prompts.txt").exit_code == 0
    assert fake.prompts == [("dog",), ("rain",), ("wind",)]


def test_prompts_run_in_batches_of_the_asked_size(fake):
    generate("a", "b", "c", "--batch-size", "2", "-o", "sounds")
    assert fake.prompts == [("a", "b"), ("c",)]
    assert written("sounds") == ["a-seed0.wav", "b-seed0.wav", "c-seed0.wav"]


def test_spectrograms_are_drawn_beside_the_sounds(fake):
    result = generate("rain", "-o", "rain.wav", "--spectrogram", "pictures/rain.png")
    assert written() == ["pictures/rain.png", "rain.wav"]
    assert result.stdout.splitlines() == ["rain.wav", "pictures/rain.png"]


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "give at least one"),
    (["  "], "none of them empty"),
    (["rain", "--prompts", "missing.txt"], "missing.txt"),
    (["rain", "--steps", "0"], "--steps"),
    (["rain", "--scheduler", "euler"], "--scheduler"),
    (["rain", "--eta", "1.5"], "--eta"),
    (["rain", "--sparse-ratio", "0.2"], "needs --litefocus on, linear or authors"),
    (["rain", "--reach", "4", "--litefocus", "off"], "needs --litefocus on, linear or authors"),
    (["rain", "--max-cross-tokens", "9"], "needs --litefocus on, linear or authors"),
    (["rain", "wind", "--spectrogram", "both.png"], "give a folder"),
])  # fmt: skip
def test_usage_errors_are_found_before_anything_runs(fake, arguments, message):
    result = generate(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", "").split())
    assert not fake.opened


@pytest.mark.parametrize(("arguments", "message"), [
    (["-d", "-1"], "--duration = -1 is too short; expected at least one latent frame, 0.04 s"),
    (["-d", "0"], "--duration = 0 is too short; expected at least one latent frame, 0.04 s"),
    (["-d", "0.039"], "--duration = 0.039 is too short; expected at least one latent frame, 0.04 s"),
    (["-d", "nan"], "--duration = nan; expected a finite number"),
    (["--guidance", "inf"], "--guidance = inf; expected a finite number"),
    (["--eta", "0.5", "--scheduler", "dpm++"], "--eta = 0.5 needs --scheduler 'ddim'; 'dpm++' adds no noise"),
    (["--steps", "1001"], "--steps = 1001; expected 1 to 1000"),
    (["--spacing", "leading", "--scheduler", "dpm++", "--steps", "1000"], "--steps is too large"),
    (["--spacing", "leading", "--scheduler", "dpm++", "--steps", "1000"], "use fewer steps"),
    (["\udc80"], r"PROMPT '\udc80' holds half of a surrogate pair; expected Unicode text"),
    (["--negative", "\udc80"], r"--negative '\udc80' holds half of a surrogate pair; expected Unicode text"),
    (["--litefocus", "on", "--reach", "0"], "--reach = 0.0; expected a positive"),
])  # fmt: skip
def test_what_the_model_cannot_do_is_found_before_its_weights_are_read(fake, arguments, message):
    result = generate("rain", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert not fake.loaded
    assert written() == []


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "--duration is not given, and the UNet's sample_size does not say a default"),
    (["-d", "1", "--windows", "swap"], "--window-length is not given, and the UNet's sample_size does not say"),
    (["-d", "1", "--scale-scores"], "--scale-scores is on, but the UNet's sample_size names no training length"),
    (["-d", "1", "--litefocus", "on"], "--litefocus names level 1; this UNet has attention at (3,)"),
])  # fmt: skip
def test_what_this_model_lacks_is_found_before_its_weights_are_read(fake, monkeypatch, arguments, message):
    facts = open_tiny().facts
    unet = dataclasses.replace(
        facts.unet, sample_size=None, down_block_types=("DownBlock2D",) * 4, up_block_types=("UpBlock2D",) * 4
    )
    geometry = dataclasses.replace(facts.geometry, training_frames=None)
    lacking = SimpleNamespace(facts=dataclasses.replace(facts, unet=unet, geometry=geometry))
    monkeypatch.setattr(litefocus_jax.checkpoint.store, "open_checkpoint", lambda *_, **__: lacking)
    result = generate("rain", *arguments)
    assert result.exit_code == 1
    assert f"error: {message}" in result.stderr
    assert not fake.loaded


@pytest.mark.parametrize(("arguments", "message"), [
    (["-o", "file/rain.wav"], "file is a file, not a folder"),
    (["-o", "rain.aac"], "expected .wav, .flac, .mp3, .ogg or .opus"),
    (["-o", "rain.flac", "--subtype", "FLOAT"], "is not a sample format of FLAC"),
    (["-o", "old.wav"], "old.wav exists; choose another name, or overwrite it (--overwrite)"),
    (["-o", "rain.wav", "--spectrogram", "rain.jpg"], "expected .png"),
    (["-o", "rain.wav", "--spectrogram", "old.png"], "old.png exists"),
])  # fmt: skip
def test_unwritable_outputs_are_found_before_the_model_is_loaded(fake, arguments, message):
    for name in ("file", "old.wav", "old.png"):
        Path(name).touch()
    result = generate("rain", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in result.stderr
    assert not fake.opened
    assert written() == ["file", "old.png", "old.wav"]


def test_existing_files_are_replaced_when_asked(fake):
    Path("rain.wav").touch()
    assert generate("rain", "-o", "rain.wav", "--overwrite").exit_code == 0
    assert soundfile.info("rain.wav").frames == 1600


def test_errors_of_the_library_are_shown_without_a_traceback(fake):
    result = run("generate", "-m", "broken", "rain")
    assert result.exit_code == 1
    assert result.stderr == "Loading broken\nerror: 2 tensors are missing:\n  unet.conv_in.weight [8, 8, 3, 3]\n"


def test_verbose_shows_the_traceback_too(fake):
    result = run("--verbose", "generate", "-m", "broken", "rain")
    assert "Traceback" in result.stderr
    assert "error: 2 tensors" in result.stderr


def test_interruption_ends_with_one_line_and_keeps_the_finished_sounds(fake):
    result = generate("rain", "interrupt", "wind")
    assert (result.exit_code, result.stderr) == (130, "Loading model\nInterrupted.\n")
    assert written() == ["rain-seed0.wav"]


@pytest.mark.parametrize(("code", "left_at_once"), [(130, [130]), (1, []), (0, [])])
def test_only_an_interrupted_command_leaves_without_waiting_for_the_device(monkeypatch, code, left_at_once):
    left = []
    monkeypatch.setattr(logger, "propagate", logger.propagate)  # changed by `main`, for the rest of a process
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(litefocus_jax.cli, "app", lambda: sys.exit(code))
    with pytest.raises(SystemExit):
        litefocus_jax.cli.main()
    assert left == left_at_once


def test_what_ended_an_earlier_command_says_nothing_of_the_next_one(fake):
    with deferred_interruption():
        os.kill(os.getpid(), signal.SIGTERM)
    assert generate("interrupt").exit_code == 130


def test_exhausted_memory_is_explained(fake):
    result = generate("explode: RESOURCE_EXHAUSTED: 80 GB")
    assert result.exit_code == 1
    assert "out of memory; ask for shorter sound" in result.stderr


def test_defects_keep_their_traceback(fake):
    result = generate("explode")
    assert isinstance(result.exception, RuntimeError)


def test_quiet_prints_the_files_alone(fake):
    result = generate("rain", "--quiet")
    assert (result.stdout, result.stderr) == ("rain-seed0.wav\n", "")
    assert fake.arguments[0]["progress"] is False
    assert fake.decoded == [(0.64, False)]


def test_the_real_pipeline_makes_sound_and_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = "-d 0.4 --steps 2 -o rain.flac --spectrogram rain.png"
    result = run("generate", "-m", tiny_checkpoint(), "rain", *options.split())
    assert result.exit_code == 0, result.output
    assert soundfile.info("rain.flac").frames == 6400
    assert written() == ["rain.flac", "rain.png"]


def test_long_sound_goes_to_its_file_in_tiles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiling = TilingConfig(whole_up_to_in_s=1.0, tile_in_s=1.92, margin_in_s=0.2, sample_in_s=1.6, passes=0)
    monkeypatch.setattr(litefocus_jax.pipeline, "TilingConfig", lambda: tiling)
    sizes = []
    write = soundfile.SoundFile.write

    def write_and_count(file, block):
        sizes.append(len(block))
        write(file, block)

    monkeypatch.setattr(soundfile.SoundFile, "write", write_and_count)
    result = run("generate", "-m", tiny_checkpoint(), "rain", "-d", "3.4", "--steps", "1", "-o", "rain.wav")
    assert result.exit_code == 0, result.output
    assert soundfile.info("rain.wav").frames == sum(sizes) == 54400
    assert len(sizes) > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-d", "1e15", "--ignore-memory"], "--duration = 1e+15 is too long; expected at most 86400"),
        (["-d", "80000", "--waveforms", "1000"], "GB; ask for shorter sound"),
        (["--guidance", "1e30"], "--guidance = 1e+30; expected 0 or more"),
        (["--steps", "1" + "0" * 20], "100000"),
        (["--windows", "swap", "--window-length", "1e308"], "--window-length = 1e+308; expected a positive number"),
        (["-o", "~nosuchuser/rain.wav"], "begins with the name of a user who is not known"),
    ],
)
def test_numbers_beyond_reason_are_refused_at_once(fake, arguments, message):
    started = time.process_time()
    result = generate("rain", *arguments)
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.output.split())
    assert not fake.requests
    assert time.process_time() - started < 3.0


def test_a_sound_that_another_process_wrote_meanwhile_is_left(fake, tmp_path, monkeypatch):
    decode = fake.decode_blocks

    def decode_while_another_writes(*arguments, **options):
        (tmp_path / "rain.wav").write_text("theirs")
        return decode(*arguments, **options)

    monkeypatch.setattr(fake, "decode_blocks", decode_while_another_writes)
    result = generate("rain", "-o", "rain.wav")
    assert result.exit_code == 1
    assert "another process wrote it in the meantime" in " ".join(result.output.split())
    assert (tmp_path / "rain.wav").read_text() == "theirs"
