"""``litefocus-jax info`` and ``litefocus-jax init``."""

import shutil
from typing import Any, get_args

from litefocus_jax.checkpoint.random_model import SIZES, sub_model_configs
from litefocus_jax.cli.info import _attention
from litefocus_jax.cli.init import init
from litefocus_jax.models.components import LatentGeometry
from litefocus_jax.models.unet import heads
from tests.support.command_line import run
from tests.support.models import many_headed_checkpoint, tiny_checkpoint


def test_info_shows_a_checkpoint_without_reading_its_weights(monkeypatch):
    monkeypatch.setattr("litefocus_jax.checkpoint.matching.convert", None)
    result = run("info", tiny_checkpoint())
    assert result.exit_code == 0, result.output
    for part in (
        "native checkpoint",
        "text_encoder_2",
        "float32",
        "DDIMScheduler (ddim)",
        "16000 Hz",
        "trained on 0.64 s",
        " 0.64 s  dense attention",
        " 5.12 s  same frequency\n",
        " 10.24 s  same frequency within 0.64 s and 10% of all tokens",
    ):
        assert part in result.stdout


def test_info_says_how_loud_sounds_are_at_least_where_a_model_does():
    assert "softer than -38 dBFS is made louder" in run("info", "foley").stdout
    assert "Level" not in run("info", tiny_checkpoint()).stdout


def test_info_shows_the_heads_and_what_is_known_of_them(monkeypatch):
    shown = run("info", many_headed_checkpoint()).stdout
    rows = [line.split() for line in shown.splitlines()]
    assert ["UNet", "level", "Frequencies", "Heads", "Self-attentions", "LiteFocus", "Authors'"] in rows
    assert any(row[:4] == ["1", "4", "8", "1"] for row in rows)
    assert "attention_head_dim" not in shown
    monkeypatch.setattr(heads, "_PUBLISHED_CHANNELS", (32, 64))
    doubtful = run("info", many_headed_checkpoint()).stdout
    assert doubtful.count("Heads: attention_head_dim = 8: so many heads at every level are diffusers' default") == 1


def test_info_counts_the_attentions_that_litefocus_and_its_authors_code_change():
    configs: Any = sub_model_configs("audioldm2-large")
    table = _attention(configs["unet"], LatentGeometry.from_configs(**configs))
    assert [list(column.cells)[1] for column in table.columns] == ["1", "8", "8", "60", "60", "20"]


def test_info_of_something_else_is_an_error(tmp_path):
    result = run("info", tmp_path / "missing")
    assert result.exit_code == 1
    assert "missing" in result.stderr


def test_init_offers_every_size_of_the_library():
    [choices] = [get_args(get_args(hint)[0]) for name, hint in init.__annotations__.items() if name == "size"]
    assert choices == SIZES


def test_init_writes_a_checkpoint_that_info_reads(tmp_path):
    assert run("init", tmp_path / "model").exit_code == 0
    assert run("info", tmp_path / "model").exit_code == 0
    again = run("init", tmp_path / "model")
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr


def test_info_verifies_a_model_by_its_digests_where_it_is_asked_to(tmp_path):
    folder = shutil.copytree(tiny_checkpoint(), tmp_path / "model")
    whole = run("info", folder, "--verify")
    assert whole.exit_code == 0, whole.output
    assert "files are as they were written, and every weight is finite" in whole.stdout
    path = folder / "unet" / "model.safetensors"
    damaged = bytearray(path.read_bytes())
    damaged[-5] ^= 1
    path.write_bytes(damaged)
    assert run("info", folder).exit_code == 0
    result = run("info", folder, "--verify")
    assert result.exit_code == 1
    assert "unet/model.safetensors is damaged" in result.stderr
