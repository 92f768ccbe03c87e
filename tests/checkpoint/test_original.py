"""Checkpoints as AudioLDM2's authors publish them: what they are told to be, and where every tensor goes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.original import IGNORED, OriginalCheckpoint, open_original
from litefocus_jax.checkpoint.original_shapes import CLAP, JOINT, T5, UNET
from litefocus_jax.checkpoint.original_writing import save_original
from litefocus_jax.checkpoint.random_model import published_config
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.checkpoint.weights import abstract, leaves, parameter_count, with_weights
from litefocus_jax.models.components import NETWORKS
from litefocus_jax.models.keys import compile_pattern
from litefocus_jax.models.unet.network import UNet
from tests.support.models import tiny_checkpoint
from tests.support.originals import BETAS, COPIES, FULL, LARGE, full_size, key_list, small

PUBLISHED = {FULL: "audioldm2", LARGE: "audioldm2-large"}
TOKENIZERS = (Path("tokenizer"), Path("tokenizer_2"))

both_sizes = pytest.mark.parametrize("name", PUBLISHED)


def opened(tensors: Any, **options: Any) -> OriginalCheckpoint:
    return open_original(tensors, Path("model.pth"), TOKENIZERS, **options)


def error_of(tensors: Any, **options: Any) -> str:
    with pytest.raises(CheckpointError) as caught:
        opened(tensors, **options)
    return str(caught.value)


@both_sizes
def test_a_file_of_full_size_is_told_to_be_the_published_model(name):
    original = opened(full_size(name), variant=name)
    assert name in original.kind
    assert original.notices == ()
    for part, config in original.checkpoint.configs.items():
        expected = NETWORKS[part].config_class.from_dict(published_config(PUBLISHED[name], part))
        if part == "unet":
            expected = dataclasses.replace(expected, attention_head_dim=(4, 8, 12, 20), time_embedding_dim=512)
        if part == "text_encoder":
            expected = dataclasses.replace(expected, layer_norm_eps=1e-5)
        assert config == expected, part
    assert original.checkpoint.scheduler.to_dict().items() >= {
        "beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
        "steps_offset": 1, "set_alpha_to_one": False, "timestep_spacing": "leading", "prediction_type": "epsilon",
    }.items()  # fmt: skip


@both_sizes
def test_every_key_of_a_file_of_full_size_is_used_once_or_on_the_list(name):
    read: list[str] = []
    tensors = {
        key: dataclasses.replace(tensor, read=lambda key=key, tensor=tensor: read.append(key) or np.asarray(tensor))
        for key, tensor in full_size(name).items()
    }
    networks = opened(tensors).checkpoint.networks
    read.clear()
    filled = 0
    for stored in networks.values():
        assert stored.arrays().keys() == leaves(stored.module).keys()
        filled += parameter_count(stored.module)
    ignored = {key for key in tensors if any(compile_pattern(pattern).fullmatch(key) for pattern in IGNORED)}
    # What the networks' own tables leave out: T5's embedding under its second name, and CLAP's 0, 1, 2, ...
    ignored |= {T5 + "encoder.embed_tokens.weight", CLAP + "text_branch.embeddings.position_ids"}
    assert {*read} | ignored == {*tensors}
    assert not {*read} & ignored
    edges = [key for key in read if key.endswith("_of_sequence_tokens.weight")]
    assert len(read) - len({*read}) == len(edges) // 2 == 2  # each of both tables is read for two encoders
    sizes = {key: np.prod(shape, dtype=int) for key, (shape, _) in key_list(name).items()}
    unused_rows = 2 * 30 * 768
    statistics = 2 * 64  # of the vocoder, that the authors' has not
    assert filled == sum(sizes[key] for key in {*read}) - unused_rows + statistics


def test_another_variant_than_the_one_that_is_said_is_refused():
    message = error_of(full_size(LARGE), variant=FULL)
    assert "is not audioldm2-full: its UNet has 4 transformers after each resnet, of 2 blocks each" in message
    assert "expected 3 and 1. It has the shape of audioldm2-full-large-1150k" in message
    assert "music" in opened(full_size(FULL), variant="audioldm2-music-665k").kind
    with pytest.raises(ValueError, match="variant = 'full'; expected one of audioldm2-full"):
        opened(small(), variant="full")


def test_tensors_lie_where_the_authors_network_has_them():
    tensors = small()
    arrays = {name: stored.arrays() for name, stored in opened(tensors).checkpoint.networks.items()}
    unet = {
        "down_blocks.1.attentions.transformers.4.transformer_blocks.0.attn2.to_k.kernel": (
            "input_blocks.5.2.transformer_blocks.0.attn2.to_k.weight", (1, 0)),
        "down_blocks.2.downsample.conv.kernel": ("input_blocks.9.0.op.weight", (2, 3, 1, 0)),
        "mid_block.resnets.1.conv1.kernel": ("middle_block.4.in_layers.2.weight", (2, 3, 1, 0)),
        "up_blocks.0.resnets.2.time_emb_proj.kernel": ("output_blocks.2.0.emb_layers.1.weight", (1, 0)),
        "up_blocks.0.upsample.conv.kernel": ("output_blocks.2.4.conv.weight", (2, 3, 1, 0)),
        "up_blocks.3.resnets.0.conv_shortcut.kernel": ("output_blocks.9.0.skip_connection.weight", (2, 3, 1, 0)),
    }  # fmt: skip
    for ours, (theirs, axes) in unet.items():
        np.testing.assert_array_equal(arrays["unet"][ours], tensors[UNET + theirs].transpose(axes), err_msg=ours)
    vae = arrays["vae"]
    up, attention = (
        "first_stage_model.decoder.up.0.block.2.conv2.weight",
        "first_stage_model.encoder.mid.attn_1.q.weight",
    )
    np.testing.assert_array_equal(vae["decoder.up_blocks.2.resnets.2.conv2.kernel"], tensors[up].transpose(2, 3, 1, 0))
    ours = vae["encoder.mid_block.attentions.0.to_q.kernel"]
    np.testing.assert_array_equal(ours, tensors[attention][:, :, 0, 0].T)
    edges = tensors[JOINT + "end_of_sequence_tokens.weight"]
    np.testing.assert_array_equal(arrays["projection_model"]["eos_embed"], edges[0])
    np.testing.assert_array_equal(arrays["projection_model"]["eos_embed_1"], edges[1])
    assert not arrays["vocoder"]["mean"].any()
    assert (arrays["vocoder"]["scale"] == 1).all()


def test_the_average_of_the_unet_is_taken_where_it_is_asked_for():
    tensors = small()
    name = "input_blocks.11.0.in_layers.2.weight"
    average = tensors["model_ema.diffusion_model" + name.replace(".", "")]
    kernel = "down_blocks.3.resnets.1.conv1.kernel"
    for weights, expected in (("model", tensors[UNET + name]), ("ema", average)):
        found = opened(tensors, weights=weights).checkpoint.networks["unet"].arrays()[kernel]
        np.testing.assert_array_equal(found, expected.transpose(2, 3, 1, 0))
    with pytest.raises(ValueError, match="weights = 'mean'; expected 'model' or 'ema'"):
        opened(tensors, weights="mean")


def test_an_average_that_lacks_a_weight_or_is_not_there_is_refused_only_where_it_is_asked_for():
    tensors = small()
    del tensors["model_ema.diffusion_modelout2bias"]
    opened(tensors)
    message = error_of(tensors, weights="ema")
    assert "lacks a part of the moving average" in message
    assert "model_ema.diffusion_modelout2bias" in message
    tensors["model_ema.diffusion_modelout2bias"] = np.zeros(3, np.float32)
    assert "model_ema.diffusion_modelout2bias [3] becomes conv_out.bias" in error_of(tensors, weights="ema")
    without = {key: value for key, value in tensors.items() if not key.startswith("model_ema.")}
    opened(without)
    assert "holds no moving average of the UNet" in error_of(without, weights="ema")


@pytest.mark.parametrize(("place", "words"), [(0, "two copies of CLAP"), (1, "two copies of T5")])
def test_copies_that_differ_are_told_and_the_one_that_conditions_is_taken(place, words):
    tensors = small()
    _, other = COPIES[place]
    name = next(
        key for key in tensors if key.startswith(other) and key.endswith("q.weight" if place else "query.weight")
    )
    tensors[name] = tensors[name] + np.float32(0.25)
    original = opened(tensors)
    (notice,) = original.notices
    assert words in notice
    assert "differ in 1 of" in notice
    assert "by at most 0.25" in notice
    before = opened(small()).checkpoint.networks
    for part in ("text_encoder", "text_encoder_2"):
        for path, array in original.checkpoint.networks[part].arrays().items():
            np.testing.assert_array_equal(array, before[part].arrays()[path])


@pytest.mark.parametrize(("change", "words"), [
    (lambda tensor: tensor[:3], "differ in 1 of 345 tensors, 1 of them in shape or by NaN or infinity: "),
    (lambda tensor: tensor * np.nan, "differ in 1 of 345 tensors, 1 of them in shape or by NaN or infinity: "),
    (None, "differ in 1 tensor that one of them lacks: "),
])  # fmt: skip
def test_copies_of_other_shapes_without_numbers_or_not_whole_are_told(change, words):
    tensors, name = small(), "clap.model.text_projection.0.weight"
    tensor = tensors.pop(name)
    if change is not None:
        tensors[name] = change(tensor)
    (notice,) = opened(tensors).notices
    assert words in notice


def test_the_second_name_of_a_tensor_of_t5_and_numbers_of_places_may_be_left_out_of_either_copy():
    tensors = small()
    del tensors["clap.model.text_branch.embeddings.position_ids"]
    del tensors[T5 + "encoder.embed_tokens.weight"]
    del tensors[JOINT + "cond_stage_models.1.model.shared.weight"]
    assert opened(tensors).notices == ()
    tensors = small()
    tensors[T5 + "encoder.embed_tokens.weight"] = tensors[T5 + "shared.weight"] + 1
    assert "model.pth/text_encoder_2: shared.weight [400, 256] and" in error_of(tensors)


@pytest.mark.parametrize(("value", "found"), [([0.5, 0.4], "[0.5, 0.4"), (np.nan, "nan"), (0.0, "0.0"), (-1.0, "-1.0")])
def test_a_scale_of_latents_that_is_none_is_refused(value, found):
    message = error_of(small() | {"scale_factor": np.array(value, np.float32)})
    assert f"model.pth: scale_factor is {found}" in message
    assert "expected one positive number" in message


def test_a_scale_of_latents_may_have_an_axis():
    vae = opened(small() | {"scale_factor": np.array([0.5], np.float32)}).checkpoint.configs["vae"]
    assert vae.scaling_factor == 0.5


@pytest.mark.parametrize("betas", [0.5, [], [0.1], [BETAS], -BETAS, BETAS * np.nan])
def test_betas_of_no_schedule_are_refused(betas):
    message = error_of(small() | {"betas": np.array(betas, np.float32)})
    assert f"model.pth: betas is {list(np.shape(betas))}, from" in message
    assert "expected a positive number for each of at least two timesteps" in message


def test_sizes_that_no_network_has_are_an_error_of_the_file():
    message = error_of(small() | {"betas": np.array([2.0, 3.0], np.float32)})
    assert "model.pth holds what no model has: beta_start = 2.0 and beta_end = 3.0" in message


def test_a_schedule_of_other_betas_is_read_off_them():
    betas = np.linspace(1e-4, 0.02, 500).astype(np.float32)
    scheduler = opened(small() | {"betas": betas}).checkpoint.scheduler
    assert (scheduler.beta_schedule, scheduler.beta_start, scheduler.beta_end) == ("linear", 0.0001, 0.02)
    assert scheduler.num_train_timesteps == 500
    assert "betas rise neither" in error_of(small() | {"betas": BETAS[::-1].copy() ** 3})


def without(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda tensors: tensors.pop(key)


@pytest.mark.parametrize(("change", "message"), [
    (without(UNET + "input_blocks.4.0.in_layers.2.bias"),
     "down_blocks.1.resnets.0.conv1.bias [64], in the file model.diffusion_model.input_blocks.4.0.in_layers.2.bias"),
    (without("first_stage_model.encoder.mid.attn_1.q.weight"),
     "to_q.kernel [128, 128], in the file first_stage_model.encoder.mid.attn_1.q.weight"),
    (without(UNET + "out.2.weight"), "lacks model.diffusion_model.out.2.weight"),
    (without("scale_factor"), "lacks scale_factor"),
    (without("betas"), "lacks betas"),
    (without(JOINT + "start_of_sequence_tokens.weight"), "lacks cond_stage_models.0.start_of_sequence_tokens.weight"),
    (without("first_stage_model.vocoder.ups.1.bias"), "are (16,) wide; expected (16, 16, 8, 4, 4)"),
    (lambda tensors: tensors.update(stray=np.zeros(3)), "unknown tensors (1):\n    stray [3]"),
    (lambda tensors: tensors.update({UNET + "film.weight": np.zeros(3)}), "model.diffusion_model.film.weight [3]"),
    (lambda tensors: tensors.update({UNET + "conv_in.bias": np.zeros(3)}), "model.diffusion_model.conv_in.bias [3]"),
    (lambda tensors: tensors.update({UNET + "out.2.bias": np.zeros(3, np.float32)}),
     "model.diffusion_model.out.2.bias [3] becomes conv_out.bias [3]; expected [8]"),
    (lambda tensors: tensors.update({"first_stage_model.encoder.mid.attn_1.q.weight": np.zeros((4, 4, 3, 3))}),
     "is no 'from_1x1' weight"),
    (lambda tensors: [tensors.pop(key) for key in tuple(tensors) if key.startswith(T5)], "not a whole AudioLDM2"),
    (lambda tensors: [tensors.pop(key) for key in tuple(tensors) if key.startswith(UNET)], "no key begins with model"),
])  # fmt: skip
def test_what_is_missing_unknown_or_misshapen_is_one_clear_error(change, message):
    tensors: dict[str, Any] = small()
    change(tensors)
    assert message in error_of(tensors)


def test_weights_that_are_not_finite_are_named():
    tensors = small()
    name = "first_stage_model.vocoder.conv_pre.bias"
    tensors[name] = np.full_like(tensors[name], np.nan)
    with pytest.raises(CheckpointError, match=r"first_stage_model\.vocoder\.conv_pre\.bias \[256\]: 256"):
        opened(tensors).checkpoint.networks["vocoder"].arrays()


def components_of(tensors: Any) -> Any:
    return opened(tensors).checkpoint.load()


def test_a_model_is_written_under_the_authors_keys_and_read_again(tmp_path):
    tensors = small()
    components = components_of(tensors)
    save_original(components, tmp_path / "model.safetensors")
    written = safetensors_files.read_file(tmp_path / "model.safetensors")
    for key, tensor in written.items():
        found, expected = np.asarray(tensor), tensors[key]
        if key.endswith("_of_sequence_tokens.weight"):
            found, expected = found[:2], expected[:2]  # the others are of encoders that there are not
        np.testing.assert_allclose(found, expected, rtol=1e-6 if key == "betas" else 0.0, err_msg=key)
    unused = {key for key in tensors if any(compile_pattern(pattern).fullmatch(key) for pattern in IGNORED)}
    assert {*tensors} - {*written} <= unused | {CLAP + "text_branch.embeddings.position_ids"}
    again = components_of(written)
    assert again.scheduler == components.scheduler
    for name, module in components.modules.items():
        assert again.modules[name].config == module.config


def test_a_model_that_the_authors_code_would_compute_otherwise_is_not_written(tmp_path):
    components = components_of(small())
    unet = dataclasses.replace(components.unet.config, attention_head_dim=2)
    eight = dataclasses.replace(components, unet=with_weights(abstract(UNet, unet), leaves(components.unet)))
    with pytest.raises(CheckpointError, match=r"attention_head_dim = \(2, 2, 2, 2\); theirs has \(1, 2, 3, 5\)"):
        save_original(eight, tmp_path / "model.safetensors")
    cosine = dataclasses.replace(components.scheduler, beta_schedule="squaredcos_cap_v2")
    with pytest.raises(CheckpointError, match="'squaredcos_cap_v2'; theirs has 'scaled_linear' or 'linear'"):
        save_original(dataclasses.replace(components, scheduler=cosine), tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"has no network of these sizes: .*not a multiple of 32 groups"):
        save_original(load_components(tiny_checkpoint()), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"does not end in \.safetensors"):
        save_original(components, tmp_path / "model.pth")


def test_a_file_given_as_a_folder_is_answered_with_the_command_that_makes_one(tmp_path):
    (tmp_path / "audioldm2-full.pth").touch()
    with pytest.raises(CheckpointError, match=r"is a file; .* \(python -m convert .*audioldm2-full\.pth DST makes one"):
        load_components(tmp_path / "audioldm2-full.pth")
