"""Models with random weights, and the published configurations they take their shapes from."""

from pathlib import Path

import numpy as np
import pytest

from litefocus_jax.checkpoint.random_model import published_config, random_weights, save_random_model, sub_model_configs
from litefocus_jax.checkpoint.weights import abstract, parameter_count
from litefocus_jax.models.components import NETWORKS
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.network import UNet
from tests.support.models import tiny_checkpoint

# As PyTorch counts them, without CLAP's audio tower and T5's decoder.
PUBLISHED_PARAMETERS = {
    "unet": 346_943_496,
    "vae": 55_376_873,
    "vocoder": 55_265_025,
    "text_encoder": 125_302_016,
    "text_encoder_2": 341_231_104,
    "language_model": 124_439_808,
    "projection_model": 1_184_256,
}


def test_weights_depend_on_the_seed_and_the_name_alone() -> None:
    module = abstract(UNet, UNetConfig.tiny())
    first, again, other = random_weights(module, 0), random_weights(module, 0), random_weights(module, 1)
    name = "down_blocks.1.resnets.0.conv1.kernel"
    np.testing.assert_array_equal(first[name], again[name])
    assert not np.array_equal(first[name], other[name])


def test_the_whole_published_model_has_the_published_number_of_parameters() -> None:
    configs = sub_model_configs("audioldm2")
    counts = {name: parameter_count(abstract(network.model_class, configs[name])) for name, network in NETWORKS.items()}
    assert counts == PUBLISHED_PARAMETERS


def test_unknown_sizes_and_configurations_are_named_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="size = 'huge'; expected one of tiny, audioldm2, audioldm2-large"):
        save_random_model(tmp_path / "model", size="huge")
    with pytest.raises(ValueError, match="no published configuration 'audioldm3'"):
        published_config("audioldm3", "unet")


def test_an_existing_destination_is_refused() -> None:
    with pytest.raises(FileExistsError, match="exists; choose another destination"):
        save_random_model(tiny_checkpoint())
