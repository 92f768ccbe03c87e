"""Configurations of all sub-models: what the published files say, round trips, and refusals."""

import dataclasses
import json

import pytest

from litefocus_jax.checkpoint.random_model import PUBLISHED_CONFIGS
from litefocus_jax.checkpoint.weights import abstract
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.clap.text import ClapTextConfig
from litefocus_jax.models.components import NETWORKS
from litefocus_jax.models.gpt2 import GPT2Config
from litefocus_jax.models.parameters import TooManyWeightsError
from litefocus_jax.models.projection import ProjectionConfig
from litefocus_jax.models.t5 import T5Config, T5Encoder
from litefocus_jax.models.unet.config import UNetConfig, read_unet_config
from litefocus_jax.models.vae import VAEConfig
from litefocus_jax.models.vits import VitsConfig
from litefocus_jax.models.vocoder import VocoderConfig
from litefocus_jax.system.json_config import ConfigError, read_json

PUBLISHED = PUBLISHED_CONFIGS
CLASSES = {
    "language_model": GPT2Config,
    "projection_model": ProjectionConfig,
    "scheduler": SchedulerConfig,
    "text_encoder": ClapTextConfig,
    "text_encoder_2": T5Config,
    "unet": UNetConfig,
    "vae": VAEConfig,
    "vocoder": VocoderConfig,
}
OF_SPEECH = "audioldm2-gigaspeech/text_encoder_2"
EVERY_CLASS = pytest.mark.parametrize("cls", [*CLASSES.values(), VitsConfig])
PUBLISHED_FILES = [
    path.relative_to(PUBLISHED) for path in sorted(PUBLISHED.glob("*/*/*config.json")) if path.parent.name in CLASSES
]


def class_of(file):
    if file.parent.as_posix() == OF_SPEECH:
        return VitsConfig
    return type(read_unet_config(PUBLISHED / file)) if file.parent.name == "unet" else CLASSES[file.parent.name]


@pytest.mark.parametrize("file", PUBLISHED_FILES, ids=str)
def test_published_file_survives_a_round_trip(file):
    cls = class_of(file)
    config = cls.from_file(PUBLISHED / file)
    assert cls.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert hash(config) == hash(cls.from_file(PUBLISHED / file))


@EVERY_CLASS
def test_tiny_survives_a_round_trip(cls):
    config = cls.tiny()
    assert cls.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@EVERY_CLASS
def test_configurations_are_frozen(cls):
    config = cls.tiny()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, None)


def test_published_files_say_what_the_models_are_known_to_be():
    unet, vae, vocoder, scheduler = (
        CLASSES[name].from_file(next((PUBLISHED / "audioldm2" / name).glob("*config.json")))
        for name in ("unet", "vae", "vocoder", "scheduler")
    )
    assert unet.num_heads_per_level == (8, 8, 8, 8)
    assert [len(dims) for dims in unet.cross_attention_dim_per_level] == [3, 3, 3, 3]
    assert (vae.scale_factor, vocoder.model_in_dim // vae.scale_factor, vocoder.hop_length) == (4, 16, 160)
    assert (scheduler.sampler, scheduler.timestep_spacing, scheduler.clip_sample) == ("ddim", "leading", False)


def refused(cls, changes, *messages):
    """Reading the tiny configuration with some changes fails, and the error says all of this."""
    with pytest.raises(ConfigError) as caught:
        cls.from_dict({**cls.tiny().to_dict(), **changes}, source="folder/config.json")
    for message in ("folder/config.json", *messages):
        assert message in str(caught.value)


@pytest.mark.parametrize(("cls", "changes"), [
    (UNetConfig, {"resnet_time_scale_shift": "scale_shift"}),
    (UNetConfig, {"class_embed_type": "timestep"}),
    (UNetConfig, {"act_fn": "gelu"}),
    (VAEConfig, {"shift_factor": 0.1}),
    (VAEConfig, {"latents_mean": [0.0, 0.0]}),
    (T5Config, {"feed_forward_proj": "gated-silu"}),
    (GPT2Config, {"add_cross_attention": True}),
    (GPT2Config, {"model_type": "llama"}),
    (T5Config, {"model_type": "vits"}),
    (ClapTextConfig, {"model_type": "roberta"}),
    (SchedulerConfig, {"thresholding": True}),
    (SchedulerConfig, {"rescale_betas_zero_snr": True}),
    (SchedulerConfig, {"trained_betas": [0.1, 0.2]}),
    (SchedulerConfig, {"use_karras_sigmas": True}),
    (SchedulerConfig, {"solver_order": 3}),
    (SchedulerConfig, {"algorithm_type": "sde-dpmsolver++"}),
    (SchedulerConfig, {"lambda_min_clipped": -5.1}),
    (SchedulerConfig, {"prediction_type": "sample"}),
    (SchedulerConfig, {"beta_schedule": "sigmoid"}),
    (SchedulerConfig, {"timestep_spacing": "karras"}),
    (SchedulerConfig, {"solver_type": "bh2"}),
    (SchedulerConfig, {"final_sigmas_type": "sigma_max"}),
])  # fmt: skip
def test_field_that_is_set_and_not_supported_is_refused(cls, changes):
    [(name, value)] = changes.items()
    refused(cls, changes, f"{name} = {value!r}", "expected")


@pytest.mark.parametrize("cls", [cls for cls in CLASSES.values() if cls.STRICT])
def test_unknown_fields_are_refused_unless_switched_off(cls):
    refused(cls, {"new_feature": "on", "newer_feature": 2}, "new_feature = 'on'", "newer_feature = 2")
    assert cls.from_dict({**cls.tiny().to_dict(), "new_feature": None, "newer_feature": False}) == cls.tiny()


def test_all_problems_are_listed_at_once():
    changes = {"act_fn": "gelu", "class_embed_type": "timestep", "new_feature": 1}
    refused(UNetConfig, changes, "act_fn", "class_embed_type", "new_feature")


@pytest.mark.parametrize(("cls", "changes", "message"), [
    (UNetConfig, {"attention_head_dim": 3}, "which 3 attention heads do not divide"),
    (UNetConfig, {"norm_num_groups": 5}, "not a multiple of 5 groups"),
    (UNetConfig, {"attention_head_dim": [2, 2]}, "has 2 entries; expected one for each of 4 levels"),
    (UNetConfig, {"down_block_types": ["AttnDownBlock2D"] * 4}, "names 'AttnDownBlock2D'"),
    (UNetConfig, {"conv_in_kernel": 4}, "conv_in_kernel = 4 is even"),
    (VAEConfig, {"down_block_types": ["DownEncoderBlock2D"]}, "expected 3 times 'DownEncoderBlock2D'"),
    (VocoderConfig, {"upsample_rates": [5, 4]}, "different lengths"),
    (VocoderConfig, {"upsample_kernel_sizes": [2, 16, 8, 4, 4]}, "less than its rate 5"),
    (ProjectionConfig, {"use_learned_position_embedding": True}, "max_seq_length is missing"),
    (SchedulerConfig, {"num_train_timesteps": 0}, "num_train_timesteps = 0; expected a whole number from 1 to"),
    (SchedulerConfig, {"beta_start": 0.5}, "expected 0 < beta_start <= beta_end < 1"),
    (SchedulerConfig, {"steps_offset": -1}, "steps_offset = -1"),
    (SchedulerConfig, {"clip_sample_range": 0.0}, "clip_sample_range = 0.0"),
    (SchedulerConfig, {"clip_sample": None}, "clip_sample is null"),
])  # fmt: skip
def test_fields_that_contradict_each_other_are_refused(cls, changes, message):
    refused(cls, changes, message)


WRONG = (
    None,
    True,
    0,
    -1,
    10**6,
    2**31,
    10**400,
    0.5,
    1e308,
    float("nan"),
    "x",
    "\x1b[31m",
    [],
    [None],
    [[]],
    {},
    [0] * 3,
)


@EVERY_CLASS
def test_any_value_in_any_field_is_read_or_refused_with_its_file_and_is_quick(cls):
    """A configuration that is read can be built, or asks for more weights than there are."""
    values = json.loads(json.dumps(cls.tiny().to_dict()))
    model = next((network.model_class for network in NETWORKS.values() if network.config_class is cls), None)
    for name in values:
        for wrong in WRONG:
            try:
                config = cls.from_dict({**values, name: wrong}, "folder/config.json")
                if model is not None:
                    abstract(model, config, most_weights=300)
            except TooManyWeightsError:
                continue
            except ConfigError as error:
                message = str(error)
                is_plain = message.startswith("folder/config.json") and len(message) < 2000 and "\x1b" not in message
                assert is_plain, message


@pytest.mark.parametrize(("cls", "name", "wrong"), [
    (UNetConfig, "flip_sin_to_cos", []),
    (UNetConfig, "flip_sin_to_cos", 1),
    (UNetConfig, "attention_head_dim", 0),
    (UNetConfig, "layers_per_block", True),
    (VAEConfig, "scaling_factor", -1),
    (VAEConfig, "scaling_factor", 1e308),
    (VocoderConfig, "sampling_rate", -16000),
    (T5Config, "vocab_size", "32128"),
    (T5Config, "is_decoder", 0),
    (GPT2Config, "max_new_tokens", None),
    (SchedulerConfig, "num_train_timesteps", 1000.0),
    (SchedulerConfig, "clip_sample", 0),
])  # fmt: skip
def test_values_of_another_type_or_out_of_range_are_named(cls, name, wrong):
    refused(cls, {name: wrong}, name, "expected")


def test_a_million_layers_are_not_built():
    config = dataclasses.replace(T5Config.tiny(), num_layers=10**6)
    with pytest.raises(TooManyWeightsError):
        abstract(T5Encoder, config, most_weights=100)


def test_a_name_that_stands_twice_in_one_object_is_refused(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"d_model": 8, "d_model": 16}')
    with pytest.raises(ConfigError, match="'d_model' stands twice"):
        read_json(path)


@pytest.mark.parametrize("text", ['{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"a": ' + "9" * 6000 + "}"], ids=len)
def test_json_of_any_depth_and_numbers_of_any_length_are_one_error(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json"):
        read_json(path)


@pytest.mark.parametrize("name", [None, "PNDMScheduler", ["DDIMScheduler"]])
def test_schedulers_of_other_classes_are_refused(name):
    refused(SchedulerConfig, {"_class_name": name}, f"{name!r}", "'DDIMScheduler' or 'DPMSolverMultistepScheduler'")


def test_silent_scheduler_file_stays_silent_when_written():
    config = SchedulerConfig.from_dict({"_class_name": "DPMSolverMultistepScheduler"})
    assert (config.sampler, config.timestep_spacing, config.clip_sample) == ("dpm++", None, None)
    assert not {"timestep_spacing", "clip_sample"} & config.to_dict().keys()


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "\udcff"])
def test_malformed_json_is_refused_with_its_path(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ConfigError, match=r"config\.json"):
        read_json(path)


def test_missing_file_is_refused_with_its_path(tmp_path):
    with pytest.raises(ConfigError, match=r"vae.config\.json does not exist"):
        VAEConfig.from_file(tmp_path / "vae" / "config.json")


def test_values_given_once_or_per_level_mean_the_same():
    once = UNetConfig.tiny()
    per_level = dataclasses.replace(once, layers_per_block=(1, 1, 1, 1), attention_head_dim=(2, 2, 2, 2))
    assert once.layers_per_level == per_level.layers_per_level
    assert once.num_heads_per_level == per_level.num_heads_per_level
