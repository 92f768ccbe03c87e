"""The text models, one by one, against transformers and diffusers."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers
from diffusers.pipelines.audioldm2.modeling_audioldm2 import AudioLDM2ProjectionModel
from transformers.models.t5.modeling_t5 import T5Attention

from litefocus_jax.checkpoint.matching import convert, invert
from litefocus_jax.checkpoint.random_model import PUBLISHED_CONFIGS
from litefocus_jax.checkpoint.spellings import undo_spellings
from litefocus_jax.checkpoint.weights import abstract, leaves, parameter_count
from litefocus_jax.models.clap.text import NETWORK as CLAP_NETWORK
from litefocus_jax.models.clap.text import ClapTextConfig, ClapTextModel
from litefocus_jax.models.gpt2 import GPT2, GPT2Config
from litefocus_jax.models.gpt2 import NETWORK as GPT2_NETWORK
from litefocus_jax.models.projection import NETWORK as PROJECTION_NETWORK
from litefocus_jax.models.projection import ProjectionConfig, ProjectionModel
from litefocus_jax.models.t5 import NETWORK as T5_NETWORK
from litefocus_jax.models.t5 import T5Config, T5Encoder, relative_position_buckets
from litefocus_jax.system.json_config import read_json
from tests.support.parity import assert_parity, port, randomise, to_jax
from tests.support.reference import TINY_CLAP_AUDIO

PUBLISHED = PUBLISHED_CONFIGS / "audioldm2"
LENGTHS = (7, 3, 11)


def clap_reference(config: ClapTextConfig) -> transformers.ClapModel:
    return randomise(transformers.ClapModel(transformers.ClapConfig(**config.to_dict(), audio_config=TINY_CLAP_AUDIO)))


def t5_reference(config: T5Config) -> transformers.T5EncoderModel:
    return randomise(transformers.T5EncoderModel(transformers.T5Config(**config.to_dict())))


def gpt2_reference(config: GPT2Config) -> transformers.GPT2LMHeadModel:
    values: dict[str, Any] = config.to_dict() | {"bos_token_id": 0, "eos_token_id": 0}
    return randomise(transformers.GPT2LMHeadModel(transformers.GPT2Config(**values)))


def projection_reference(config: ProjectionConfig) -> AudioLDM2ProjectionModel:
    return randomise(AudioLDM2ProjectionModel(**dataclasses.asdict(config)))


def port_t5(config: T5Config, theirs: transformers.T5EncoderModel) -> T5Encoder:
    return port(T5_NETWORK, config, theirs)


def tokens(vocab_size: int, pad_token_id: int, lengths=LENGTHS) -> tuple[torch.Tensor, torch.Tensor]:
    """Random ids padded on the right, and their mask."""
    longest = max(lengths)
    mask = (torch.arange(longest) < torch.tensor(lengths)[:, None]).long()
    ids = torch.randint(2, vocab_size, mask.shape, generator=torch.Generator().manual_seed(longest))
    return torch.where(mask.bool(), ids, pad_token_id), mask


def clap_features(model, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return model.get_text_features(ids, attention_mask=mask).pooler_output


def continue_by_hidden_states(
    model: transformers.GPT2LMHeadModel, inputs: torch.Tensor, mask: torch.Tensor, count: int
) -> torch.Tensor:
    """diffusers' ``generate_language_model``, each step from scratch."""
    for _ in range(count):
        states = model(inputs_embeds=inputs, attention_mask=mask, output_hidden_states=True).hidden_states[-1]
        inputs = torch.cat([inputs, states[:, -1:]], dim=1)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    return inputs[:, -count:]


@pytest.mark.parametrize("hidden_act", ["gelu", "relu", "gelu_new", "silu"])
def test_clap_features_of_prompts_of_mixed_lengths(hidden_act):
    config = dataclasses.replace(ClapTextConfig.tiny(), hidden_act=hidden_act)
    theirs = clap_reference(config)
    ids, mask = tokens(config.vocab_size, config.pad_token_id)
    features = port(CLAP_NETWORK, config, theirs)(to_jax(ids), to_jax(mask))
    assert_parity(features, clap_features(theirs, ids, mask))


@pytest.mark.parametrize("feed_forward", ["gated-gelu", "relu"])
def test_t5_states_of_prompts_of_mixed_lengths(feed_forward):
    config = dataclasses.replace(T5Config.tiny(), feed_forward_proj=feed_forward)
    theirs = t5_reference(config)
    ids, mask = tokens(config.vocab_size, config.pad_token_id, (5, 29, 1))
    states = port_t5(config, theirs)(to_jax(ids), to_jax(mask))
    assert_parity(states, theirs(ids, attention_mask=mask).last_hidden_state)


@pytest.mark.parametrize(("num_buckets", "max_distance"), [(32, 128), (8, 12), (16, 64), (12, 96), (4, 8)])
def test_t5_buckets_of_every_distance(num_buckets, max_distance):
    distances = np.arange(-1000, 1001)
    expected = T5Attention._relative_position_bucket(torch.tensor(distances), True, num_buckets, max_distance)
    np.testing.assert_array_equal(relative_position_buckets(distances, num_buckets, max_distance), expected.numpy())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scale_attn_weights": False},
        {"scale_attn_by_inverse_layer_idx": True},
        {"n_inner": 24, "activation_function": "relu", "layer_norm_epsilon": 1e-3},
        {"max_new_tokens": 1},
        {"max_new_tokens": 9},
    ],
    ids=str,
)
def test_gpt2_continues_a_masked_prompt_by_its_hidden_states(changes):
    config = dataclasses.replace(GPT2Config.tiny(), **changes)
    theirs = gpt2_reference(config)
    prompt = torch.randn(3, 10, config.n_embd, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 10, dtype=torch.long)
    mask[0, 4:9], mask[1, 8:9] = 0, 0
    ours = port(GPT2_NETWORK, config, theirs.transformer)
    generated = ours.generate(to_jax(prompt), to_jax(mask), jnp.arange(10), 10, config.max_new_tokens)
    assert_parity(generated, continue_by_hidden_states(theirs, prompt, mask, config.max_new_tokens))


@pytest.mark.parametrize("positions", [{}, {"use_learned_position_embedding": True, "max_seq_length": 7}], ids=str)
def test_projection_joins_both_encoders(positions):
    config = ProjectionConfig(text_encoder_dim=8, text_encoder_1_dim=24, langauge_model_dim=16, **positions)
    theirs = projection_reference(config)
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 1, 8, generator=generator), torch.randn(2, 7, 24, generator=generator)
    first_mask, second_mask = torch.ones(2, 1).long(), torch.tensor([[1] * 7, [1] * 3 + [0] * 4])
    expected = theirs(first, second, first_mask, second_mask)
    ours = port(PROJECTION_NETWORK, config, theirs)
    joined, mask = ours(to_jax(first), to_jax(first_mask), to_jax(second), to_jax(second_mask))
    assert_parity(joined, expected.hidden_states)
    np.testing.assert_array_equal(mask, expected.attention_mask.bool().numpy())


@pytest.mark.parametrize("missing", ["shared.weight", "encoder.embed_tokens.weight", None])
def test_t5_embedding_is_found_under_either_name_or_both(missing):
    theirs = t5_reference(T5Config.tiny())
    tensors = {name: tensor.numpy() for name, tensor in theirs.state_dict().items() if name != missing}
    tensors = undo_spellings(tensors, T5_NETWORK.keys.spellings)
    converted = convert(tensors, T5_NETWORK.keys, leaves(abstract(T5Encoder, T5Config.tiny())))
    np.testing.assert_array_equal(converted["token_embedding.embedding"], theirs.shared.weight.numpy())


def test_gpt2_is_read_from_a_language_model_with_old_buffers():
    theirs = gpt2_reference(GPT2Config.tiny())
    tensors = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    tensors |= {f"transformer.h.{n}.attn.{name}": np.zeros(1) for n in range(2) for name in ("bias", "masked_bias")}
    tensors = undo_spellings(tensors, GPT2_NETWORK.keys.spellings)
    assert "lm_head.weight" in tensors
    converted = convert(tensors, GPT2_NETWORK.keys, leaves(abstract(GPT2, GPT2Config.tiny())))
    np.testing.assert_array_equal(converted["position_embedding.embedding"], theirs.transformer.wpe.weight.numpy())


def test_tables_run_backwards_to_what_they_read():
    theirs = gpt2_reference(GPT2Config.tiny()).transformer
    tensors = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    returned = invert(convert(tensors, GPT2_NETWORK.keys, leaves(abstract(GPT2, GPT2Config.tiny()))), GPT2_NETWORK.keys)
    assert returned.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(returned[name], tensor)


@pytest.mark.parametrize(
    ("table", "config", "model"),
    [
        (CLAP_NETWORK.keys, ClapTextConfig.tiny(), ClapTextModel),
        (T5_NETWORK.keys, T5Config.tiny(), T5Encoder),
        (T5_NETWORK.keys, dataclasses.replace(T5Config.tiny(), feed_forward_proj="relu"), T5Encoder),
        (GPT2_NETWORK.keys, GPT2Config.tiny(), GPT2),
        (PROJECTION_NETWORK.keys, ProjectionConfig.tiny(), ProjectionModel),
    ],
)
def test_every_parameter_has_one_name_in_pytorch(table, config, model):
    zeros = {path: np.zeros(leaf.shape) for path, leaf in leaves(abstract(model, config)).items()}
    assert len(invert(zeros, table)) == len(zeros)


def meta_clap(config: dict) -> torch.nn.Module:
    whole = transformers.ClapModel(transformers.ClapConfig(**config))
    return torch.nn.ModuleList([whole.text_model, whole.text_projection])


@pytest.mark.parametrize(
    ("sub_model", "config_class", "model", "build"),
    [
        ("text_encoder", ClapTextConfig, ClapTextModel, meta_clap),
        (
            "text_encoder_2",
            T5Config,
            T5Encoder,
            lambda config: transformers.T5EncoderModel(transformers.T5Config(**config)),
        ),
        ("language_model", GPT2Config, GPT2, lambda config: transformers.GPT2Model(transformers.GPT2Config(**config))),
        ("projection_model", ProjectionConfig, ProjectionModel, AudioLDM2ProjectionModel.from_config),
    ],
)
def test_published_configurations_have_as_many_parameters_as_in_pytorch(sub_model, config_class, model, build):
    values = read_json(PUBLISHED / sub_model / "config.json")
    with torch.device("meta"):
        expected = sum(parameter.numel() for parameter in build(values).parameters())
    assert parameter_count(abstract(model, config_class.from_dict(values))) == expected
