"""``litefocus-jax finetune``, on a small model."""

import json
import re
import shlex
import signal
from pathlib import Path

import huggingface_hub
import pytest

import litefocus_jax.training.loop
from litefocus_jax.checkpoint.lora import LoraConfig
from litefocus_jax.checkpoint.store import load_components, open_checkpoint
from litefocus_jax.cli.options.training import TrainablePart
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.system.extras import import_extra
from litefocus_jax.training.batches import AudioBatches
from litefocus_jax.training.config import LOSS_MODELS
from tests.support.command_line import run, written
from tests.support.hub import Hub
from tests.support.models import many_headed_checkpoint, small_checkpoint
from tests.support.sounds import sound_folder, tone, write_metadata, write_sound
from tests.support.stored_models import assert_same_model

OPTIONS = "--steps 3 --batch-size 2 -d 0.16 --learning-rate 0.01 --save-every 1"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return sound_folder(tmp_path_factory.mktemp("data"))


def finetune(data, out, *arguments):
    return run("finetune", data, "-m", small_checkpoint(), "-o", out, *arguments)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    result = finetune(data, out, *OPTIONS.split())
    assert result.exit_code == 0, result.output
    return out, result


def test_a_run_leaves_a_model_and_says_where_and_how_to_use_it(finished):
    out, result = finished
    assert result.stdout == f"{out}/model\n"
    assert "Training unet: " in result.stderr
    assert "3 sounds (" in result.stderr
    assert f"Try: litefocus-jax generate 'a short low tone' -m {out}/model -d 0.16\n" in result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["checkpoints", "log.jsonl", "model"]
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log] == [1, 2, 3]


def test_a_run_that_was_stopped_is_resumed_to_the_same_model(finished, data, tmp_path, monkeypatch):
    out, share = tmp_path / "run", AudioBatches.share

    def interrupt(self, index, clips):
        if index == 1:
            signal.raise_signal(signal.SIGTERM)  # as schedulers do; Ctrl-C is tested with the loop itself
        return share(self, index, clips)

    with monkeypatch.context() as patch:
        patch.setattr(AudioBatches, "share", interrupt)
        stopped = finetune(data, out, *OPTIONS.split())
    assert stopped.exit_code == 143
    assert "of 3 updates, which are saved in" in stopped.stderr
    assert "the same command with --resume" in stopped.stderr
    assert not (out / "model").exists()
    assert finetune(data, out, *OPTIONS.split(), "--resume").exit_code == 0
    assert_same_model(load_components(out / "model"), load_components(finished[0] / "model"))


def test_other_sounds_or_lengths_are_not_resumed_with(finished, data, tmp_path):
    changed = sound_folder(tmp_path / "changed")
    write_metadata(changed, short="another caption", middle="a high tone", stereo="a low tone")
    for arguments in ((changed, OPTIONS), (data, OPTIONS.replace("0.16", "0.2"))):
        result = finetune(arguments[0], finished[0], *arguments[1].split(), "--resume")
        assert result.exit_code == 1
        assert "data was '3 sounds (" in result.stderr


def test_sounds_replaced_by_others_of_the_same_length_are_not_resumed_with(finished, tmp_path):
    changed = sound_folder(tmp_path / "changed")
    write_sound(changed / "middle.wav", tone(1.0, hertz=881.0))
    result = finetune(changed, finished[0], *OPTIONS.split(), "--resume")
    assert result.exit_code == 1
    assert "data was '3 sounds (" in result.stderr


def test_a_run_is_watched_and_extended(data, tmp_path):
    out = tmp_path / "run"
    options = "--steps 2 --batch-size 2 -d 0.16 --learning-rate 0.01 --hold-out 0.3 --validate-every 1"
    options += " --samples-every 2 --log-to tensorboard --lora 2 --short pad"
    first = finetune(data, out, *options.split(), "--sample-prompts", "a tone", "--sample-prompts", "A tone!")
    assert first.exit_code == 0, first.output
    assert "Training an adapter of rank 2 for the unet: " in first.stderr
    assert "validation on 1 sounds; 2 updates" in first.stderr
    assert written(out / "samples") == [
        f"step-0000000{step}/a-tone{number}.wav" for step in (0, 2) for number in ("-2", "")
    ]
    assert written(out / "lora") == ["adapter_config.json", "adapter_model.safetensors"]
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert ["validation_loss" in entry for entry in log] == [True, True, True]
    assert open_checkpoint(out / "model").facts.geometry.training_length_in_s == pytest.approx(0.16)
    more = finetune(data, out, *options.replace("--steps 2", "--steps 3").split(), "--resume")
    assert more.exit_code == 0, more.output
    assert len((out / "log.jsonl").read_text().splitlines()) == 4


def test_a_run_is_neither_overwritten_nor_made_up(finished, data, tmp_path):
    again = finetune(data, finished[0], *OPTIONS.split())
    assert again.exit_code == 1
    assert "resume the training in it, or choose another folder" in again.stderr
    absent = finetune(data, tmp_path / "absent", "--resume")
    assert absent.exit_code == 1
    assert "no training to resume" in absent.stderr


@pytest.fixture
def trained(monkeypatch):
    """The configurations that trainings would have run with."""
    configs = []
    monkeypatch.setattr(litefocus_jax.training.loop, "train", lambda *arguments, **_: configs.append(arguments[2]))
    return configs


def test_a_training_begins_with_the_heads_that_are_asked_for(monkeypatch, data, tmp_path):
    models = []
    monkeypatch.setattr(litefocus_jax.training.loop, "train", lambda *arguments, **_: models.append(arguments[0]))
    options = ("-m", many_headed_checkpoint(), "--heads", "trained", "--steps", 1, "--batch-size", 1, "-d", 0.4)
    result = run("finetune", data, "-o", tmp_path / "run", *options)
    assert result.exit_code == 0, result.output
    assert models[0].unet.config.attention_head_dim == (1, 2)


def test_options_reach_the_training(trained, data, tmp_path):
    options = "--steps 40 --batch-size 6 --gradient-accumulation 3 --learning-rate 0.5 --warmup-steps 7 -d 0.4"
    options += " --caption-dropout 0.3 --ema-decay 0.9 --clip-norm 2 --weight-decay 0.2 --dtype bfloat16 --remat"
    result = finetune(
        data, tmp_path / "run", *options.split(), "--save-every", 9, "--seed", 5, "--litefocus", "on",
        "--sparse-ratio", 0.2, "--peak", 0.5, "--train", "unet", "--train", "language_model",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    [config] = trained
    expected = {
        "steps": 40,
        "batch_size": 6,
        "gradient_accumulation": 3,
        "learning_rate": 0.5,
        "warmup_steps": 7,
        "trainable": ("unet", "language_model"),
        "caption_dropout": 0.3,
        "ema_decay": 0.9,
        "clip_norm": 2.0,
        "weight_decay": 0.2,
        "dtype": "bfloat16",
        "rematerialise": True,
        "save_every": 9,
        "seed": 5,
        "litefocus": LiteFocusConfig(sparse_ratio=0.2),
        "lora": None,
    }
    assert {name: getattr(config, name) for name in expected} == expected
    assert config.data.endswith("in clips of 0.4 s with a peak of 0.5")
    assert "-d 0.4 --litefocus on --sparse-ratio 0.2" in result.stderr


@pytest.mark.parametrize(("options", "expected", "advice"), [
    ("", None, ""),
    ("--litefocus off", None, ""),
    ("--litefocus on", LiteFocusConfig(), " --litefocus on"),
    ("--litefocus linear", LiteFocusConfig.linear(0.64), " --litefocus linear"),
    ("--litefocus auto", None, " --litefocus auto"),
    ("-d 5 --litefocus auto", LiteFocusConfig(cross_frequency=False), " -d 5 --litefocus auto"),
])  # fmt: skip
def test_litefocus_choices_mean_what_they_mean_to_generate(trained, data, tmp_path, options, expected, advice):
    result = finetune(data, tmp_path / "run", *options.split())
    assert result.exit_code == 0, result.output
    assert trained[0].litefocus == expected
    assert result.stderr.endswith(f"/run/model{advice}\n")


def test_every_part_that_the_loss_runs_through_can_be_trained():
    assert tuple(TrainablePart) == LOSS_MODELS


def test_an_adapter_is_configured_by_its_options(trained, data, tmp_path):
    result = finetune(
        data, tmp_path / "run", "--lora", "3", "--lora-alpha", "6", "--lora-target", "linear", "-d", "0.4"
    )
    assert result.exit_code == 0, result.output
    assert trained[0].lora == LoraConfig(3, 6.0, "linear")


def test_sounds_that_are_repeated_are_counted(trained, data, tmp_path):
    result = finetune(data, tmp_path / "run", "-d", "1.2")
    assert "1 of 3 sounds are shorter than half of a clip and repeated until it is full (short.wav)" in result.stderr


def test_what_is_skipped_is_named_and_counted_unless_quiet(trained, tmp_path):
    write_sound(tmp_path / "good.wav", tone(0.5))
    write_metadata(tmp_path, good="a tone", missing="a dog", empty="")
    result = finetune(tmp_path, tmp_path / "run", "-d", "0.4")
    assert "2 of 3 rows are skipped:" in result.stderr
    assert f"{tmp_path}/metadata.jsonl, line 2: missing.wav does not exist" in result.stderr
    quiet = finetune(tmp_path, tmp_path / "run", "-d", "0.4", "--quiet")
    assert (quiet.stdout, quiet.stderr) == (f"{tmp_path}/run/model\n", "")


@pytest.mark.parametrize(("arguments", "code", "message"), [
    (["--sparse-ratio", "0.2"], 2, "needs --litefocus on, linear or authors"),
    (["--steps", "0"], 2, "--steps"),
    (["--learning-rate", "nan"], 1, "--learning-rate = nan"),
    (["--warmup-steps", "7", "--steps", "5"], 1, "--warmup-steps = 7 is more than --steps = 5"),
    (["--gradient-accumulation", "3"], 1, "not a multiple of --gradient-accumulation = 3"),
    (["--train", "vae"], 2, "is not one of 'unet', 'text_encoder'"),
    (["--peak", "2"], 2, "--peak"),
    (["-d", "0.01"], 1, "--duration = 0.01; expected at least one latent frame, 0.04 s"),
    (["--audio-column", "audio"], 1, "To read other columns: --audio-column 'file_name'"),
    (["--hold-out", "0.1", "--validation", "x"], 2, "is instead of --validation"),
    (["--hold-out", "1.5"], 1, "--hold-out = 1.5; expected a share"),
    (["--lora-alpha", "2"], 2, "needs --lora RANK"),
    (["--lora", "4", "--train", "text_encoder"], 1, "expected ('unet',) with lora"),
    (["--sample-prompts", " "], 2, "is empty"),
])  # fmt: skip
def test_bad_options_are_named(trained, data, tmp_path, arguments, code, message):
    result = finetune(data, tmp_path / "run", *arguments)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.replace("│", "").split())
    assert not trained


def test_a_missing_extra_is_named_before_anything_is_read(trained, tmp_path, monkeypatch):
    def refuse(name):
        return import_extra("no_such_package")

    monkeypatch.setattr("litefocus_jax.system.extras.import_extra", refuse)
    result = finetune(tmp_path / "missing", tmp_path / "run")
    assert result.exit_code == 1
    assert "pip install 'optax>=" in result.stderr
    assert "in a clone of the repository: pip install -e '.[train]'" in result.stderr


def test_memory_that_runs_out_is_met_with_advice(trained, data, tmp_path, monkeypatch):
    def exhaust(*arguments, **keywords):
        raise RuntimeError("RESOURCE_EXHAUSTED: 80 GB")

    monkeypatch.setattr(litefocus_jax.training.loop, "train", exhaust)
    result = finetune(data, tmp_path / "run", "-d", "0.4")
    assert result.exit_code == 1
    assert "try --remat" in result.stderr


def test_the_page_on_training_makes_its_sounds_and_its_commands_are_taken(trained, tmp_path, monkeypatch):
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    [make, _] = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    exec(make, {})
    commands = re.findall(r"^litefocus-jax (finetune jingles .+)$", page, re.MULTILINE)
    for command in commands:
        result = run(*shlex.split(command))
        assert result.exit_code == 0, result.output
        assert " rows are skipped" not in result.stderr
    assert len(trained) == len(commands) == 4


def test_what_cannot_be_published_is_said_before_the_training(data, tmp_path):
    out = tmp_path / "run"
    for options, message in (
        ("--push jane", "'jane' is no name on the hub; expected USER/NAME"),
        ("--push jane/tents", "does not say under which licence it stands"),
        ("--push jane/tents --license mit", "the hub does not know who publishes"),
    ):
        result = finetune(data, out, *OPTIONS.split(), *options.split())
        assert result.exit_code == 1
        assert message in " ".join(result.stderr.split())
    assert not out.exists()
    assert finetune(data, out, "--license", "mit").exit_code == 2


def test_an_adapter_is_published_with_its_card(data, tmp_path, monkeypatch):
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda **_: hub)
    options = "--steps 1 --batch-size 2 -d 0.16 --lora 2 --push jane/tents --license mit"
    result = finetune(data, tmp_path / "run", *options.split())
    assert result.exit_code == 0, result.output
    assert "Published: https://huggingface.co/jane/tents" in result.stderr
    assert hub.files.keys() == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    assert "| Rank of the adapter | 2 |" in hub.files["README.md"].decode()
