"""The authors' files for speech: every key has its place, and a model is written back under them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.original import OriginalCheckpoint, ignored_of, open_original
from litefocus_jax.checkpoint.original_kinds import OF_SPEECH
from litefocus_jax.checkpoint.original_shapes import CLAP, PHONEMES
from litefocus_jax.checkpoint.original_writing import save_original
from litefocus_jax.checkpoint.random_model import sub_model_configs
from litefocus_jax.checkpoint.weights import leaves
from litefocus_jax.models.keys import compile_pattern
from tests.support.originals import FULL, SPEECH, full_size, small

POSITIONS = PHONEMES + "learnable_positional_embedding"
QUERY = PHONEMES + "text_encoder.encoder.attn_layers.0.conv_q.weight"


def opened(tensors: Any, **options: Any) -> OriginalCheckpoint:
    return open_original(tensors, Path("speech.pth"), (Path("tokenizer"), Path("tokenizer_2")), **options)


def ignored(keys: Any) -> set[str]:
    patterns = ignored_of(OF_SPEECH)
    return {key for key in keys if any(compile_pattern(pattern).fullmatch(key) for pattern in patterns)}


@pytest.mark.parametrize("variant", [None, "audioldm2-speech-gigaspeech", "audioldm2-speech-ljspeech"])
def test_a_file_of_full_size_is_told_to_be_the_published_model(variant: str | None) -> None:
    original = opened(full_size(SPEECH), variant=variant)
    assert (variant or "audioldm2-speech-gigaspeech or audioldm2-speech-ljspeech") in original.kind
    assert original.checkpoint.model_type.speaks
    published = sub_model_configs("audioldm2-gigaspeech")
    changes = {
        "unet": {"attention_head_dim": (4, 8, 12, 20), "time_embedding_dim": 512},
        "text_encoder": {"layer_norm_eps": 1e-5},
    }
    for part, config in original.checkpoint.configs.items():
        assert config == dataclasses.replace(published[part], **changes.get(part, {})), part


def test_every_key_of_a_file_of_full_size_is_used_once_or_on_the_list() -> None:
    read: list[str] = []
    tensors = {
        key: dataclasses.replace(tensor, read=lambda key=key, tensor=tensor: read.append(key) or np.asarray(tensor))
        for key, tensor in full_size(SPEECH).items()
    }
    networks = opened(tensors).checkpoint.networks
    read.clear()
    for stored in networks.values():
        assert stored.arrays().keys() == leaves(stored.module).keys()
    left_out = ignored(tensors) | {CLAP + "text_branch.embeddings.position_ids"}
    assert {*read} | left_out == {*tensors}
    assert not {*read} & left_out
    assert {key for key in tensors if key.startswith(PHONEMES)} <= {*read}


def test_tensors_lie_where_vits_has_them() -> None:
    tensors = small(SPEECH)
    networks = opened(tensors).checkpoint.networks
    arrays, encoder = networks["text_encoder_2"].arrays(), PHONEMES + "text_encoder."
    for ours, theirs, axes in (
        ("token_embedding.embedding", "emb.weight", (0, 1)),
        ("blocks.5.attention.output.kernel", "encoder.attn_layers.5.conv_o.weight", (2, 1, 0)),
        ("blocks.0.attention.relative_values", "encoder.attn_layers.0.emb_rel_v", (0, 1, 2)),
        ("blocks.1.attention_norm.scale", "encoder.norm_layers_1.1.gamma", (0,)),
        ("blocks.2.feed_forward_norm.bias", "encoder.norm_layers_2.2.beta", (0,)),
        ("blocks.3.feed_forward.conv_2.kernel", "encoder.ffn_layers.3.conv_2.weight", (2, 1, 0)),
        ("project.kernel", "proj.weight", (2, 1, 0)),
    ):
        expected = tensors[encoder + theirs].transpose(axes)
        np.testing.assert_array_equal(arrays[ours], expected.reshape(arrays[ours].shape), err_msg=ours)
    positions = networks["projection_model"].arrays()["position_embedding"]
    np.testing.assert_array_equal(positions, tensors[POSITIONS])


def test_a_model_is_written_under_the_authors_keys_and_read_again(tmp_path: Path) -> None:
    tensors = small(SPEECH)
    components = opened(tensors).checkpoint.load()
    save_original(components, tmp_path / "speech.safetensors")
    written = safetensors_files.read_file(tmp_path / "speech.safetensors")
    for key, tensor in written.items():
        rows = slice(2) if key.endswith("_of_sequence_tokens.weight") else slice(None)
        found, expected = np.asarray(tensor), tensors[key]
        found, expected = (found, expected) if found.ndim == 0 else (found[rows], expected[rows])
        np.testing.assert_allclose(found, expected, rtol=1e-6 if key == "betas" else 0.0, err_msg=key)
    assert {*tensors} - {*written} <= ignored(tensors) | {CLAP + "text_branch.embeddings.position_ids"}
    assert opened(written).checkpoint.configs == {name: each.config for name, each in components.modules.items()}


@pytest.mark.parametrize(("name", "variant", "message"), [
    (SPEECH, FULL, "is not audioldm2-full: it is an AudioLDM2 for speech"),
    (FULL, SPEECH, "audioldm2-speech-gigaspeech is an AudioLDM2 for speech, with an encoder of phonemes"),
])  # fmt: skip
def test_another_variant_than_the_one_that_is_said_is_refused(name: str, variant: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        opened(full_size(name), variant=variant)


@pytest.mark.parametrize(("change", "message"), [
    (lambda tensors: tensors.pop(POSITIONS), "lacks .*learnable_positional_embedding"),
    (lambda tensors: tensors.pop(PHONEMES + "text_encoder.proj.bias"), "project.bias"),
    (lambda tensors: tensors.update({"cond_stage_models.1.model.shared.weight": np.zeros((3, 3), np.float32)}),
     r"unknown tensors \(1\):\n +cond_stage_models.1.model.shared.weight"),
    (lambda tensors: tensors.update({POSITIONS: np.zeros((1, 47, 310), np.float32)}), "position_embedding"),
    (lambda tensors: tensors.update({QUERY: np.zeros((48, 48, 3), np.float32)}),
     "is no 'from_width_1' weight"),
])  # fmt: skip
def test_what_is_missing_unknown_or_misshapen_is_one_clear_error(change: Any, message: str) -> None:
    tensors: dict[str, Any] = small(SPEECH)
    change(tensors)
    with pytest.raises(CheckpointError, match=message):
        opened(tensors)
