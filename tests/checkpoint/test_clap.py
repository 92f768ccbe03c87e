"""CLAP with both towers, from the folders that hold it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from litefocus_jax.checkpoint.clap import load_clap
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.models.clap.deaf_audio import DEAF_AUDIO_CONFIG
from litefocus_jax.system.json_config import ConfigError
from tests.support.judges import clap_folder
from tests.support.models import tiny_checkpoint
from tests.support.sounds import tone
from tests.support.stored_models import change_json


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(clap_folder(), tmp_path / "model"))


def test_sounds_and_captions_lie_in_one_space():
    clap = load_clap(clap_folder())
    sound = clap.embed_sound(tone(1.5, rate=clap.sampling_rate))
    captions = clap.embed_captions(["a tone", "rain on a tin roof"])
    assert captions.shape == (2, *sound.shape)
    np.testing.assert_allclose(np.linalg.norm([sound, *captions], axis=1), 1.0, rtol=1e-5)


def test_a_folder_of_clap_alone_is_read_too(folder: Path, tmp_path: Path):
    alone = tmp_path / "alone"
    shutil.copytree(folder / "text_encoder", alone)
    for part in ("tokenizer", "feature_extractor"):
        shutil.copytree(folder / part, alone, dirs_exist_ok=True)
    waveform = tone(0.5, rate=8000)
    np.testing.assert_array_equal(load_clap(alone).embed_sound(waveform), load_clap(folder).embed_sound(waveform))


def test_a_stand_in_for_the_tower_is_refused(folder: Path):
    change_json(folder / "text_encoder" / "config.json", **dict(DEAF_AUDIO_CONFIG))
    with pytest.raises(CheckpointError, match="hears nothing"):
        load_clap(folder)


def test_folders_without_a_tower_say_where_there_is_one(folder: Path):
    with pytest.raises(CheckpointError, match=r"native format.*cvssp/audioldm2"):
        load_clap(tiny_checkpoint())
    shutil.rmtree(folder / "text_encoder")
    with pytest.raises(CheckpointError, match=r"holds no CLAP.*laion/clap-htsat-unfused"):
        load_clap(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"truncation": "fusion"}, "truncation = 'fusion'; expected 'rand_trunc'"),
        ({"feature_size": 8}, "feature_size = 8; expected num_mel_bins = 16"),
        ({"max_length_s": 10}, "1001 frames in 10 s; expected at most 256"),
        ({"padding": "mirror"}, "padding = 'mirror'"),
    ],
    ids=str,
)
def test_features_that_the_network_was_not_made_for_are_refused(folder: Path, changes, message):
    change_json(folder / "feature_extractor" / "preprocessor_config.json", **changes)
    with pytest.raises(ConfigError, match=message):
        load_clap(folder)
