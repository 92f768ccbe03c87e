"""Files of the authors of AudioLDM, MusicLDM, audioldm_48k and audioldm_16k_crossattn_t5."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.original import IGNORED, OriginalCheckpoint, open_original
from litefocus_jax.checkpoint.original_kinds import OF_AUDIOLDM, OF_CLAP_ALONE, OF_T5_ALONE
from litefocus_jax.checkpoint.original_shapes import UNET
from litefocus_jax.checkpoint.original_writing import save_original
from litefocus_jax.checkpoint.random_model import sub_model_configs
from litefocus_jax.checkpoint.weights import abstract, leaves, to_numpy, with_weights
from litefocus_jax.models.generation_defaults import GenerationDefaults
from litefocus_jax.models.keys import compile_pattern
from litefocus_jax.models.model_type import AUDIOLDM, AUDIOLDM_T5, MUSICLDM
from litefocus_jax.models.unet.config import ClassConditionedAudioLDM2UNetConfig, ClassConditionedUNetConfig
from litefocus_jax.models.unet.network import UNet
from tests.support.originals import FIRST, FULL, OF_48K, OF_T5, ONLY, full_size, key_list, small

KINDS = {FIRST: OF_AUDIOLDM, OF_48K: OF_CLAP_ALONE, OF_T5: OF_T5_ALONE}
SIZES = {FIRST: "audioldm", OF_48K: OF_48K, OF_T5: OF_T5}
CLAP_FOLDER, T5_FOLDER = Path("tokenizer"), Path("tokenizer_2")

each_kind = pytest.mark.parametrize("name", KINDS)


def opened(tensors: Any, **options: Any) -> OriginalCheckpoint:
    return open_original(tensors, Path("model.ckpt"), (CLAP_FOLDER, T5_FOLDER), **options)


def error_of(tensors: Any, **options: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        opened(tensors, **options)
    return str(caught.value)


def components_of(tensors: Any, **options: Any) -> Any:
    return opened(tensors, **options).checkpoint.load()


@each_kind
def test_a_file_of_full_size_has_the_published_configurations_and_heads_of_32_channels(name: str) -> None:
    original = opened(full_size(name), variant=name)
    assert original.kind.startswith(name)
    for part, expected in sub_model_configs(SIZES[name]).items():
        if part == "unet":
            changes: dict[str, Any] = {"attention_head_dim": (4, 8, 12, 20), "time_embedding_dim": 512}
            changes |= {"sample_size": 256} if name == FIRST else {}
            expected = dataclasses.replace(expected, **changes)
        if part == "text_encoder" and name != OF_T5:
            expected = dataclasses.replace(expected, layer_norm_eps=1e-5)
        assert original.checkpoint.configs[part] == expected, part
    geometry = original.checkpoint.facts.geometry
    assert geometry.training_length_in_s == 10.24
    if name == OF_48K:
        assert (geometry.sampling_rate, geometry.samples_per_latent_frame) == (48000, 3840)
        assert (geometry.frequencies, geometry.channels) == (32, 16)


@each_kind
def test_every_key_of_a_file_of_full_size_is_used_once_or_on_the_list(name: str) -> None:
    read: list[str] = []
    tensors = {
        key: dataclasses.replace(tensor, read=lambda key=key, tensor=tensor: read.append(key) or np.asarray(tensor))
        for key, tensor in full_size(name).items()
    }
    networks = opened(tensors, weights="model").checkpoint.networks
    read.clear()
    for stored in networks.values():
        assert stored.arrays().keys() == leaves(stored.module).keys()
    kind = KINDS[name]
    patterns = [compile_pattern(kind.place(pattern)) for pattern in IGNORED]
    ignored = {key for key in tensors if any(pattern.fullmatch(key) for pattern in patterns)}
    # What the networks' own tables leave out: T5's embedding under its second name, and CLAP's 0, 1, 2, ...
    ignored |= {
        key
        for key in tensors
        if not key.startswith("clap.") and key.endswith(("encoder.embed_tokens.weight", "embeddings.position_ids"))
    }
    assert {*read} | ignored == {*tensors}
    assert not {*read} & ignored
    assert len(read) == len({*read})


@pytest.mark.parametrize(("name", "model_type", "tokenizer", "unet", "defaults"), [
    (FIRST, AUDIOLDM, CLAP_FOLDER, ClassConditionedUNetConfig, GenerationDefaults(guidance_scale=2.5)),
    ("musicldm", MUSICLDM, CLAP_FOLDER, ClassConditionedUNetConfig, GenerationDefaults(guidance_scale=2.0)),
    (OF_48K, AUDIOLDM, CLAP_FOLDER, ClassConditionedAudioLDM2UNetConfig, GenerationDefaults()),
    (OF_T5, AUDIOLDM_T5, T5_FOLDER, None, GenerationDefaults()),
])  # fmt: skip
def test_the_model_is_of_its_type_with_its_own_tokenizer_and_the_authors_guidance(
    name: str, model_type: Any, tokenizer: Path, unet: Any, defaults: GenerationDefaults
) -> None:
    checkpoint = opened(full_size(FIRST if name == "musicldm" else name), variant=name).checkpoint
    assert checkpoint.model_type is model_type
    assert checkpoint.tokenizers == {"tokenizer": tokenizer}
    assert checkpoint.defaults == dataclasses.replace(defaults, prompt_padding="alone")
    if unet is not None:
        assert type(checkpoint.configs["unet"]) is unet


def test_one_tokenizer_suffices_where_one_is_read_and_two_are_wanted_where_two_are() -> None:
    for name in (FIRST, OF_T5):
        tokenizers = open_original(full_size(name), Path("model.ckpt"), (Path("own"),)).checkpoint.tokenizers
        assert tokenizers == {"tokenizer": Path("own")}
    with pytest.raises(ValueError, match=r"1 tokenizer is given .*; expected CLAP's and T5's, since an AudioLDM2"):
        open_original(full_size(FULL), Path("model.pth"), (Path("own"),))


def test_the_width_tells_the_sizes_of_audioldm_apart_and_the_large_one_has_heads_of_64_channels() -> None:
    def widened(factor: float) -> dict[str, Any]:
        tensors = full_size(FIRST)
        for key, tensor in tensors.items():
            if key.startswith((UNET, "model_ema.diffusion")):
                shape = tuple(int(size * factor) if size not in (1, 3, 8) else size for size in tensor.shape)
                if key.endswith(("film_emb.weight", "film_embweight")):
                    shape = (shape[0], 512)
                tensors[key] = dataclasses.replace(
                    tensor, shape=shape, read=lambda shape=shape: np.broadcast_to(np.float32(0), shape)
                )
        return tensors

    for factor, name, heads in ((1.5, "audioldm-m-full", (6, 12, 18, 30)), (2.0, "audioldm-l-full", (4, 8, 12, 20))):
        original = opened(widened(factor))
        assert name in original.kind
        assert original.checkpoint.configs["unet"].num_heads_per_level == heads
    message = error_of(widened(2.0), variant=FIRST)
    assert "256 channels wide at first; expected 1 and 1, and 128. It has the shape of audioldm-l-full" in message


def test_the_moving_average_with_which_its_authors_sample_is_taken_of_the_first_version_and_said() -> None:
    tensors = small(FIRST)
    name = "input_blocks.11.0.in_layers.2.weight"
    kernel = "down_blocks.3.resnets.1.conv1.kernel"
    average = tensors["model_ema.diffusion_model" + name.replace(".", "")]
    for weights, expected in ((None, average), ("ema", average), ("model", tensors[UNET + name])):
        original = opened(tensors, weights=weights)
        found = original.checkpoint.networks["unet"].arrays()[kernel]
        np.testing.assert_array_equal(found, expected.transpose(2, 3, 1, 0))
        assert ("moving average is taken" in " ".join(original.notices)) == (weights is None)
    without = {key: value for key, value in tensors.items() if not key.startswith("model_ema.")}
    found = opened(without).checkpoint.networks["unet"].arrays()[kernel]
    np.testing.assert_array_equal(found, tensors[UNET + name].transpose(2, 3, 1, 0))
    found = opened(small(OF_48K)).checkpoint.networks["unet"].arrays()[kernel]
    np.testing.assert_array_equal(found, small(OF_48K)[UNET + name].transpose(2, 3, 1, 0))


def test_an_average_that_lacks_a_weight_is_refused_where_it_is_taken() -> None:
    tensors = small(FIRST)
    del tensors["model_ema.diffusion_modelout2bias"]
    opened(tensors, weights="model")
    assert "lacks a part of the moving average" in error_of(tensors)


def test_the_vector_of_the_prompt_goes_where_diffusers_has_it_and_transformers_stay_in_their_order() -> None:
    tensors = small(OF_48K)
    arrays = opened(tensors).checkpoint.networks["unet"].arrays()
    places = {
        "class_embedding.kernel": "film_emb.weight",
        "down_blocks.1.attentions.transformers.3.transformer_blocks.0.attn2.to_k.kernel":
            "input_blocks.5.2.transformer_blocks.0.attn2.to_k.weight",
        "mid_block.attentions.transformers.1.transformer_blocks.0.attn1.to_q.kernel":
            "middle_block.2.transformer_blocks.0.attn1.to_q.weight",
    }  # fmt: skip
    for ours, theirs in places.items():
        np.testing.assert_array_equal(arrays[ours], tensors[UNET + theirs].T, err_msg=ours)


def test_copies_of_clap_that_differ_are_told_of_a_model_that_has_two() -> None:
    tensors = small(OF_48K)
    assert opened(tensors).notices == ()
    tensors["clap.model.text_projection.2.bias"] = tensors["clap.model.text_projection.2.bias"] + np.float32(0.5)
    (notice,) = opened(tensors).notices
    assert f"two copies of CLAP, {ONLY}* and clap.model.*, differ in 1 of" in notice


@pytest.mark.parametrize(("name", "variant", "message"), [
    (FIRST, FULL, "is not audioldm2-full: it is an AudioLDM of the first version (there are keys cond_stage_model.*)"),
    (FIRST, OF_48K, "and audioldm_48k is an AudioLDM of AudioLDM2's code, conditioned on CLAP alone; expected au"),
    (OF_T5, OF_48K, "conditioned on T5 alone (there are keys cond_stage_models.0.model.encoder.*)"),
    (FULL, "musicldm", "it is an AudioLDM2 (there are keys cond_stage_models.0.cond_stage_models.*)"),
])  # fmt: skip
def test_another_kind_than_the_one_that_is_said_is_refused(name: str, variant: str, message: str) -> None:
    assert message in error_of(small(name), variant=variant)


@pytest.mark.parametrize(("name", "change", "message"), [
    (FIRST, {"cond_stage_model.model.text_projection.2.bias": None}, "projection.linear2.bias"),
    (FIRST, {UNET + "film_emb.weight": None}, "lacks model.diffusion_model.film_emb.weight"),
    (FIRST, {"first_stage_model.vocoder.ups.1.bias": None}, "are (16,) wide; expected (16, 16, 8, 4, 4) or (12, 10, 8"),
    (OF_48K, {UNET + "stray": np.zeros(3)}, "model.diffusion_model.stray [3]"),
    (OF_48K, {UNET + "input_blocks.1.0.emb_layers.1.weight": np.zeros((32, 128), np.float32)}, "side by side"),
    (OF_T5, {"betas": None}, "lacks betas"),
    (OF_T5, {UNET + "middle_block.2.transformer_blocks.0.attn2.to_v.weight": np.zeros((160, 9), np.float32)},
     "attn2.to_v.kernel [9, 160]; expected [256, 160]"),
])  # fmt: skip
def test_what_is_missing_unknown_or_misshapen_is_one_clear_error(
    name: str, change: dict[str, Any], message: str
) -> None:
    tensors = small(name)
    for key, value in change.items():
        tensors.pop(key, None)
        if value is not None:
            tensors[key] = value
    assert message in error_of(tensors)


@each_kind
def test_a_model_is_written_under_the_authors_keys_and_read_again(name: str, tmp_path: Path) -> None:
    tensors = small(name)
    components = components_of(tensors, weights="model")
    save_original(components, tmp_path / "model.safetensors")
    written = safetensors_files.read_file(tmp_path / "model.safetensors")
    averages = {key for key in written if key.startswith("model_ema.")}
    assert bool(averages) == (name == FIRST)  # whose code samples with them
    for key in written.keys() - averages:
        found, expected = np.asarray(written[key]), tensors[key]
        np.testing.assert_allclose(found, expected, rtol=1e-6 if key == "betas" else 0.0, err_msg=key)
    for key in averages:
        assert np.asarray(written[key]).shape == tensors[key].shape
    patterns = [compile_pattern(KINDS[name].place(pattern)) for pattern in IGNORED]
    unused = {key for key in tensors if any(pattern.fullmatch(key) for pattern in patterns)}
    assert {key for key in {*tensors} - {*written} - unused if not key.endswith("embeddings.position_ids")} == set()
    again = components_of(written)
    assert again.model_type is components.model_type
    for part, module in components.modules.items():
        assert again.modules[part].config == module.config
        before, after = to_numpy(module), to_numpy(again.modules[part])
        assert before.keys() == after.keys()
        for path, array in before.items():
            np.testing.assert_array_equal(after[path], array, err_msg=path)


def test_a_model_whose_heads_are_not_the_authors_is_not_written(tmp_path: Path) -> None:
    components = components_of(small(FIRST))
    unet = dataclasses.replace(components.unet.config, attention_head_dim=2)
    other = dataclasses.replace(components, unet=with_weights(abstract(UNet, unet), leaves(components.unet)))
    with pytest.raises(CheckpointError, match=r"attention_head_dim = \(2, 2, 2, 2\); theirs has \(1, 2, 3, 5\)"):
        save_original(other, tmp_path / "model.safetensors")


def test_the_list_of_the_first_version_has_what_their_strict_loading_wants() -> None:
    keys = key_list(FIRST)
    assert len(keys) == 2211
    assert {key.split(".")[0] for key in keys} >= {"model", "model_ema", "first_stage_model", "cond_stage_model"}
