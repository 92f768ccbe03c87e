"""The text models in their published shapes, without weights, and what their configurations refuse."""

import jax
import jax.numpy as jnp
import pytest

from litefocus_jax.checkpoint.random_model import PUBLISHED_CONFIGS
from litefocus_jax.checkpoint.weights import abstract, parameter_count
from litefocus_jax.models.clap.text import ClapTextConfig, ClapTextModel
from litefocus_jax.models.conditioning import encode_text
from litefocus_jax.models.gpt2 import GPT2, GPT2Config
from litefocus_jax.models.projection import ProjectionConfig, ProjectionModel
from litefocus_jax.models.t5 import T5Config, T5Encoder
from litefocus_jax.models.tokenization import PromptTokens
from litefocus_jax.system.json_config import ConfigError

CONFIGS = PUBLISHED_CONFIGS / "audioldm2"
PUBLISHED = (
    (ClapTextModel, ClapTextConfig, "text_encoder", 125_302_016),
    (T5Encoder, T5Config, "text_encoder_2", 341_231_104),
    (ProjectionModel, ProjectionConfig, "projection_model", 1_184_256),
    (GPT2, GPT2Config, "language_model", 124_439_808),
)


@pytest.mark.parametrize(("model", "config_class", "sub_model", "count"), PUBLISHED)
def test_published_parameter_counts(model, config_class, sub_model, count):
    config = config_class.from_file(CONFIGS / sub_model / "config.json")
    assert parameter_count(abstract(model, config)) == count


def test_published_models_give_conditioning_of_the_published_shapes():
    models = [
        abstract(model, config_class.from_file(CONFIGS / name / "config.json"))
        for model, config_class, name, _ in PUBLISHED
    ]
    clap, t5, projection, language_model = models
    clap_ids, t5_ids = jax.ShapeDtypeStruct((2, 512), jnp.int32), jax.ShapeDtypeStruct((2, 32), jnp.int32)
    tokens = PromptTokens(clap_ids, clap_ids, t5_ids, t5_ids, jnp.int32(20))  # pyright: ignore[reportArgumentType]
    found = jax.eval_shape(encode_text, clap, t5, projection, language_model, tokens)
    assert found.generated_prompt_embeds.shape == (2, 8, 768)
    assert found.prompt_embeds.shape == (2, 32, 1024)
    assert found.attention_mask.shape == (2, 32)


@pytest.mark.parametrize("config_class", [T5Config, ClapTextConfig, GPT2Config])
def test_the_configuration_of_another_model_is_refused(config_class):
    with pytest.raises(ConfigError, match="vits"):
        config_class.from_dict({"model_type": "vits", "hidden_size": 192})


@pytest.mark.parametrize(
    ("config_class", "changes", "message"),
    [
        (ClapTextConfig, {"hidden_size": 10, "num_attention_heads": 4}, "hidden_size = 10"),
        (GPT2Config, {"n_embd": 10, "n_head": 4}, "n_embd = 10"),
        (GPT2Config, {"max_new_tokens": 0}, "max_new_tokens = 0"),
        (T5Config, {"feed_forward_proj": "gated-silu"}, "gated-silu"),
        (T5Config, {"is_decoder": True}, "is_decoder"),
        (T5Config, {"relative_attention_num_buckets": 3}, "at least 4"),
        (T5Config, {"relative_attention_max_distance": 8}, "relative_attention_max_distance = 8"),
    ],
)
def test_contradictory_or_unsupported_fields_are_refused(config_class, changes, message):
    with pytest.raises(ConfigError, match=message):
        config_class.from_dict(changes)


@pytest.mark.parametrize(
    ("config_class", "field"),
    [
        (ClapTextConfig, "hidden_act"),
        (ClapTextConfig, "projection_hidden_act"),
        (GPT2Config, "activation_function"),
    ],
)
def test_unknown_activations_are_refused_with_the_known_ones(config_class, field):
    with pytest.raises(
        ConfigError, match=rf"{field} = 'snake' is not supported; expected one of gelu, gelu_new, .*relu"
    ):
        config_class(**{field: "snake"})
