"""LiteFocus inside the UNet, and what does not need PyTorch to be checked."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from litefocus_jax.checkpoint.random_model import published_config, random_model
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.models.unet.transformer import TokenAttention, TransformerBlock, attend_densely
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout, FocusSets
from litefocus_jax.ops.token_merging import Matching, TokenMerging

CONFIG = dataclasses.replace(
    UNetConfig.tiny(),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    block_out_channels=(8, 16),
    cross_attention_dim=((None, 16),) * 2,
)


@functools.cache
def build(sample_size: int = 16) -> UNet:
    return random_model(UNet, dataclasses.replace(CONFIG, sample_size=sample_size))


@functools.partial(jax.jit, static_argnames=("attention", "dtype"))
def predict(unet: UNet, key_rng: jax.Array | None, attention: AttentionLayout, dtype=jnp.float32) -> jax.Array:
    unet = jax.tree.map(lambda leaf: leaf.astype(dtype), unet)
    sample, generated, text = (
        jax.random.normal(jax.random.key(number), shape).astype(dtype)
        for number, shape in enumerate([(2, 9, 8, 4), (2, 3, 16), (2, 5, 24)])
    )
    context = unet.project_context(generated, text)
    return unet(sample, unet.embed_time(jnp.array([10.0, 900.0])), context, attention=attention, key_rng=key_rng)


def test_union_of_everything_equals_dense():
    layout = AttentionLayout(FocusSets(sparse_ratio=1.0, overlap="union"))
    actual = predict(build(), jax.random.key(0), layout)
    np.testing.assert_allclose(actual, predict(build(), None, DENSE), atol=2e-5)


def test_union_of_everything_equals_dense_within_a_reach_too():
    layout = AttentionLayout(FocusSets(sparse_ratio=1.0, overlap="union", levels="all"), reach=2)
    actual = predict(build(), jax.random.key(0), layout)
    np.testing.assert_allclose(actual, predict(build(), None, DENSE), atol=2e-5)


def test_a_reach_changes_the_prediction():
    sets = FocusSets(cross_frequency=False)
    everywhere, near = (predict(build(), None, AttentionLayout(sets, reach)) for reach in (None, 2))
    assert not np.allclose(everywhere, near, atol=1e-4)


def test_scaled_scores_change_nothing_at_the_training_length_of_dense_attention():
    scaled, plain = AttentionLayout(scale_scores=True), predict(build(), None, DENSE)
    np.testing.assert_allclose(predict(build(9), None, scaled), plain, atol=1e-6)
    assert not np.allclose(predict(build(16), None, scaled), plain, atol=1e-4)


def test_the_key_decides_what_is_drawn():
    one, same, other = (predict(build(), jax.random.key(seed), AttentionLayout(FocusSets())) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other, atol=1e-4)


def test_drawing_at_every_call_differs_from_drawing_once_a_step():
    per_call, per_step, once = (
        predict(build(), jax.random.key(0), AttentionLayout(FocusSets(resample=resample)))
        for resample in ("call", "step", "once")
    )
    np.testing.assert_array_equal(per_step, once)
    assert not np.allclose(per_call, per_step, atol=1e-4)


def test_one_draw_per_step_is_computed_once():
    def count_sorts(resample):
        config = AttentionLayout(FocusSets(resample=resample))
        program = predict.lower(build(), jax.random.key(0), config).compile().as_text()
        assert program is not None
        return program.count(" sort(")

    assert count_sorts("step") < count_sorts("call") / 2


def test_drawing_without_a_key_is_refused():
    with pytest.raises(ValueError, match="cross_frequency is on, but key_rng is not given"):
        predict(build(), None, AttentionLayout(FocusSets()))


def test_same_frequency_alone_needs_no_key():
    assert jnp.isfinite(predict(build(), None, AttentionLayout(FocusSets(cross_frequency=False)))).all()


def test_bfloat16_weights_give_a_bfloat16_prediction_near_the_exact_one():
    exact, actual = predict(build(), None, DENSE), predict(build(), None, DENSE, jnp.bfloat16)
    assert actual.dtype == jnp.bfloat16
    assert np.std(np.asarray(actual, np.float32) - exact) < 0.05 * np.std(exact)


def test_a_prompt_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 3, 7\); expected 16 features"):
        build().project_context(jnp.zeros((2, 3, 7)), jnp.zeros((2, 5, 24)))


def test_self_attentions_of_the_published_model_are_those_of_the_paper():
    config = UNetConfig.from_dict(published_config("audioldm2", "unet"))
    assert config.self_attentions_per_level == (0, 20, 20, 24)
    assert FocusSets().levels == (1,)


def test_merged_tokens_attend_once_in_the_first_attention_alone():
    block = TransformerBlock(16, 2, None, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (1, 6, 16))
    matching = Matching(jnp.array([[0, 1, 1, 0, 2, 3]]), jnp.array([[2, 2, 1, 1]]))
    seen = []

    def match(x, *, num_frequencies):
        seen.append(x)
        return matching

    actual = block(x, None, TokenAttention(attend_densely, match), num_frequencies=2)
    own = block.norm1(x)
    means = jnp.stack([own[:, [0, 3]].mean(axis=1), own[:, [1, 2]].mean(axis=1), own[:, 4], own[:, 5]], axis=1)
    mixed = block.attn1.attend_to_itself(means, attend_densely, num_frequencies=2)
    expected = x + mixed[:, [0, 1, 1, 0, 2, 3]]
    expected += block.attn2.attend_to_itself(block.norm2(expected), attend_densely, num_frequencies=2)
    expected += block.ff(block.norm3(expected))
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    np.testing.assert_array_equal(seen[0], x)


def test_tokens_are_merged_at_the_named_levels_and_drawn_by_the_key():
    dense = predict(build(), None, DENSE)
    nothing = AttentionLayout(merging=TokenMerging(region=(1, 1)))  # every token is a destination
    np.testing.assert_allclose(predict(build(), jax.random.key(0), nothing), dense, atol=1e-6)
    merged = AttentionLayout(merging=TokenMerging())
    one, other = (predict(build(), jax.random.key(seed), merged) for seed in (0, 1))
    assert not np.allclose(one, dense, atol=1e-4)
    assert not np.allclose(one, other, atol=1e-4)
    with pytest.raises(ValueError, match=r"TokenMerging\.levels names level 0"):
        predict(build(), None, AttentionLayout(merging=TokenMerging(levels=(0,))))


def test_merging_is_of_dense_attention_alone():
    with pytest.raises(ValueError, match="merging is given beside sets"):
        AttentionLayout(FocusSets(), merging=TokenMerging())
