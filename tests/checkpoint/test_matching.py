"""The mapping engine, on toy tables."""

import jax
import ml_dtypes
import numpy as np
import pytest
from flax import nnx

from litefocus_jax.checkpoint import weights as modules
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.matching import check, convert, invert
from litefocus_jax.checkpoint.spellings import undo_spellings
from litefocus_jax.checkpoint.tensors import LazyArray
from litefocus_jax.models import parameters
from litefocus_jax.models.keys import TRANSFORMS, KeyTable, Prefix, Rule, Tied, WeightNorm
from litefocus_jax.models.vae import NETWORK as VAE_NETWORK

TABLE = KeyTable(
    (
        Rule(r"layers.{n:\d+}.weight", "blocks.{n}.kernel", "linear"),
        Rule("{layer}.bias", "{layer}.bias", optional=True),
        Rule("norm.weight", "norm.scale"),
    )
)


def with_rules(*rules: Rule, ignored: tuple[str, ...] = ()) -> KeyTable:
    """The table with more rules, or with keys that are ignored."""
    return KeyTable((*TABLE.rules, *rules), ignored)


def shaped(**shapes: tuple[int, ...]) -> dict[str, jax.ShapeDtypeStruct]:
    """Targets by path; two underscores stand for a dot."""
    return {name.replace("__", "."): jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}


TARGETS = shaped(blocks__0__kernel=(2, 3), blocks__1__kernel=(2, 3), norm__scale=(3,))


def source() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {"layers.0.weight": (3, 2), "layers.1.weight": (3, 2), "norm.weight": (3,)}
    return {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def problems(tensors, table=TABLE) -> str:
    with pytest.raises(CheckpointError) as error:
        convert(tensors, table, TARGETS, source="toy folder")
    assert str(error.value).startswith("toy folder: ")
    return str(error.value)


def test_tensors_are_renamed_and_transposed():
    tensors = source()
    arrays = convert(tensors, TABLE, TARGETS)
    assert list(arrays) == list(TARGETS)
    np.testing.assert_array_equal(arrays["blocks.1.kernel"], tensors["layers.1.weight"].T)


def test_a_table_runs_backwards():
    tensors = source()
    restored = invert(convert(tensors, TABLE, TARGETS), TABLE)
    assert restored.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(restored[name], tensor)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("same", (2, 3), (2, 3)),
        ("linear", (2, 3), (3, 2)),
        ("conv1d", (2, 3, 5), (5, 3, 2)),
        ("conv2d", (2, 3, 5, 7), (5, 7, 3, 2)),
        ("linear_or_conv2d", (2, 3), (3, 2)),
        ("linear_or_conv2d", (2, 3, 5, 7), (5, 7, 3, 2)),
        ("conv_transpose1d", (2, 3, 5), (5, 2, 3)),
    ],
)
def test_every_transform_has_its_inverse(name, before, after):
    array = np.arange(np.prod(before)).reshape(before)
    transformed = TRANSFORMS[name].forward(array)
    assert transformed.shape == after
    np.testing.assert_array_equal(TRANSFORMS[name].inverse(transformed), array)


def test_all_problems_are_listed_at_once():
    tensors = source() | {"layers.1.weight": np.zeros((3, 4), np.float32), "stray.weight": np.zeros(7, np.float32)}
    del tensors["norm.weight"]
    message = problems(tensors)
    assert "missing parameters (1):\n    norm.scale [3]" in message
    assert "unknown tensors (1):\n    stray.weight [7]" in message
    assert "layers.1.weight [3, 4] becomes blocks.1.kernel [4, 3]; expected [2, 3]" in message
    assert "rules that matched nothing (1):\n    norm.weight -> norm.scale" in message


def test_a_long_list_says_how_many_more_there_are():
    message = problems(source() | {f"stray.{n}": np.zeros(1, np.float32) for n in range(30)})
    assert "unknown tensors (30)" in message
    assert "... and 18 more" in message


def test_a_tensor_claimed_by_two_rules_is_an_error():
    message = problems(source(), with_rules(Rule("{any}.weight", "{any}.other")))
    assert "tensors claimed twice (3)" in message
    assert "norm.weight [3] by norm.weight and {any}.weight" in message


def test_a_tensor_both_ignored_and_mapped_is_an_error():
    assert "norm.weight [3] by norm.weight and the ignore list" in problems(
        source(), with_rules(ignored=("norm.{rest}",))
    )


def test_two_tensors_for_one_parameter_are_an_error():
    tensors = source() | {"norm.gamma": np.zeros(4, np.float32)}
    message = problems(tensors, with_rules(Rule("norm.gamma", "norm.scale")))
    assert "norm.scale from norm.weight [3] and norm.gamma [4]" in message


def test_a_tensor_renamed_to_no_parameter_is_an_error():
    message = problems(source() | {"norm.bias": np.zeros(3, np.float32)})
    assert "tensors without a parameter (1):\n    norm.bias [3], renamed to norm.bias" in message


def unreadable(shape: tuple[int, ...]) -> LazyArray:
    def fail() -> np.ndarray:
        raise AssertionError("read")

    return LazyArray(shape, np.dtype(np.float32), fail)


def test_ignored_tensors_are_neither_used_nor_read():
    arrays = convert(source() | {"buffer.0": unreadable((9,))}, with_rules(ignored=("buffer.{rest}",)), TARGETS)
    assert arrays.keys() == TARGETS.keys()


def test_names_are_judged_before_any_value_is_read():
    tensors = {name: unreadable(tensor.shape) for name, tensor in source().items()}
    assert check(tensors, TABLE, TARGETS)["norm.scale"][0] == "norm.weight"
    with pytest.raises(CheckpointError, match="stray"):
        convert(tensors | {"stray": unreadable((1,))}, TABLE, TARGETS)


def test_values_that_are_not_finite_are_named():
    tensors = source()
    tensors["layers.0.weight"][1, 1] = np.nan
    tensors["norm.weight"][:2] = np.inf
    message = problems(tensors)
    assert "layers.0.weight [3, 2]: 1 of 6" in message
    assert "norm.weight [3]: 2 of 3" in message


def test_whole_numbers_are_no_weights():
    assert "norm.weight [3] is int64" in problems(source() | {"norm.weight": np.arange(3)})


def test_a_transform_for_another_rank_is_misshapen():
    message = problems(source() | {"layers.0.weight": np.zeros((3, 2, 1), np.float32)})
    assert "layers.0.weight [3, 2, 1] is no 'linear' weight" in message


def test_half_precision_survives_conversion():
    for dtype in (np.float16, ml_dtypes.bfloat16):
        arrays = convert({name: tensor.astype(dtype) for name, tensor in source().items()}, TABLE, TARGETS)
        assert {array.dtype for array in arrays.values()} == {np.dtype(dtype)}


def test_placeholders_cover_whole_keys_and_carry_their_expression_to_the_other_side():
    rule = Rule(r"a.{n:\d+}.{name}.weight", "b.{n}.{name}.kernel")
    assert rule.rename("a.3.x.y.weight") == "b.3.x.y.kernel"
    assert rule.rename("a.x.y.weight") is None
    assert rule.rename("z.a.3.y.weight") is None
    assert rule.rename("a.3.y.weight.old") is None
    assert rule.inverse.rename("b.x.y.kernel") is None
    assert Rule("{x}.{x}", "{x}").rename("ab.ab") == "ab"
    assert Rule("{x}.{x}", "{x}").rename("ab.ac") is None


def test_a_dot_in_a_pattern_is_a_dot():
    assert Rule("a.b", "c").rename("axb") is None


@pytest.mark.parametrize(
    "arguments", [("{a}.weight", "kernel"), ("weight", "{a}.kernel"), ("weight", "kernel", "no such transform")]
)
def test_a_malformed_rule_is_refused_when_the_table_is_written(arguments):
    with pytest.raises(ValueError, match=r"placeholders|transform"):
        Rule(*arguments)


class Toy(nnx.Module):
    def __init__(self, config, *, rngs):
        self.blocks = nnx.List([parameters.linear(2, 3, use_bias=False, rngs=rngs) for _ in range(2)])
        self.norm = nnx.LayerNorm(3, use_bias=False, rngs=rngs)


def test_an_abstract_module_is_filled_and_read_back():
    module = modules.abstract(Toy, None)
    arrays = convert(source(), TABLE, modules.leaves(module))
    filled = modules.fill(module, dict(arrays), "bfloat16")
    assert modules.parameter_count(module) == modules.parameter_count(filled) == 15
    for name, array in modules.to_numpy(filled).items():
        np.testing.assert_array_equal(array, arrays[name].astype(ml_dtypes.bfloat16))


def test_filling_takes_each_array_out_of_the_dictionary():
    module = modules.abstract(Toy, None)
    arrays = convert(source(), TABLE, modules.leaves(module))
    modules.fill(module, arrays, np.float32)
    assert arrays == {}


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (np.float64(1e300), "float32", "does not fit float32: largest value 1e.300; no supported type holds it"),
        (np.float32(-3.4e38), "bfloat16", "does not fit bfloat16: largest value 3.4e.38; use float32"),
    ],
)
def test_a_value_that_becomes_infinite_in_a_narrower_type_is_an_error_before_anything_is_written(value, dtype, message):
    module = modules.abstract(Toy, None)
    arrays = convert(source(), TABLE, modules.leaves(module)) | {"norm.scale": np.full(3, value)}
    with pytest.raises(CheckpointError, match=rf"norm\.scale {message}"):
        modules.fill(module, arrays, dtype)


def test_the_largest_values_that_a_narrower_type_rounds_down_are_kept():
    largest = np.float32(ml_dtypes.finfo(ml_dtypes.bfloat16).max)
    module = modules.abstract(Toy, None)
    arrays = convert(source(), TABLE, modules.leaves(module)) | {
        "norm.scale": np.full(3, np.nextafter(largest, np.inf))
    }
    assert np.isfinite(modules.to_numpy(modules.fill(module, arrays, "bfloat16"))["norm.scale"]).all()


def test_a_value_too_large_for_float16_is_an_error():
    module = modules.abstract(Toy, None)
    arrays = convert(source() | {"norm.weight": np.full(3, 1e5, np.float32)}, TABLE, modules.leaves(module))
    with pytest.raises(CheckpointError, match=r"norm\.scale does not fit float16"):
        modules.fill(module, arrays, np.float16)


@pytest.mark.parametrize("dtype", ["int8", "float64", "nonsense", None])
def test_weights_come_in_three_types(dtype):
    with pytest.raises(ValueError, match="float32, bfloat16, float16"):
        modules.floating_dtype(dtype)


def test_a_prefix_is_stripped_where_it_is():
    one, spellings = np.ones(1), (Prefix("transformer."),)
    assert undo_spellings({"transformer.wte": one, "lm_head": one}, spellings).keys() == {"wte", "lm_head"}
    with pytest.raises(CheckpointError, match=r"transformer\.wte is another name of wte"):
        undo_spellings({"transformer.wte": one, "wte": one}, spellings)


def test_tied_copies_must_agree():
    spellings = (Tied("shared", "copy"),)
    for names in (("shared", "copy"), ("copy",), ("shared",)):
        assert undo_spellings(dict.fromkeys(names, np.ones(2)), spellings).keys() == {"shared"}
    with pytest.raises(CheckpointError, match="their values differ"):
        undo_spellings({"shared": np.ones(2), "copy": np.zeros(2)}, spellings)


def test_deprecated_attention_names_are_renamed():
    old = {"decoder.attentions.0.query.weight": np.ones(1), "decoder.attentions.0.proj_attn.bias": np.ones(1)}
    expected = {"decoder.attentions.0.to_q.weight", "decoder.attentions.0.to_out.0.bias"}
    assert undo_spellings(old, VAE_NETWORK.keys.spellings).keys() == expected
    with pytest.raises(CheckpointError, match="holds both"):
        undo_spellings(old | {"decoder.attentions.0.to_q.weight": np.ones(1)}, VAE_NETWORK.keys.spellings)


@pytest.mark.parametrize(
    ("magnitude", "direction"),
    [("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")],
)
def test_weight_norm_is_fused(magnitude, direction):
    generator = np.random.default_rng(0)
    g, v = generator.standard_normal((4, 1, 1)), generator.standard_normal((4, 3, 5))
    fused = undo_spellings({f"conv.{magnitude}": g, f"conv.{direction}": v, "conv.bias": g}, (WeightNorm(),))
    assert fused.keys() == {"conv.bias", "conv.weight"}
    norms = np.linalg.norm(np.asarray(fused["conv.weight"]).reshape(4, -1), axis=1)
    np.testing.assert_allclose(norms, np.abs(g).ravel(), rtol=1e-5)


def test_half_a_weight_norm_pair_is_an_error():
    with pytest.raises(CheckpointError, match=r"conv\.weight_g is missing"):
        undo_spellings({"conv.weight_v": np.ones((4, 3, 5))}, (WeightNorm(),))
    with pytest.raises(CheckpointError, match="both fused and"):
        undo_spellings(
            {"c.weight_v": np.ones((4, 3)), "c.weight_g": np.ones((4, 1)), "c.weight": np.ones((4, 3))}, (WeightNorm(),)
        )
    with pytest.raises(CheckpointError, match=r"is \[3, 1\]; expected \[4, 1\]"):
        undo_spellings({"c.weight_v": np.ones((4, 3)), "c.weight_g": np.ones((3, 1))}, (WeightNorm(),))


def test_values_that_overflow_only_in_their_sum_are_finite() -> None:
    huge = np.full((4, 2), 3e38, np.float32)
    target = {"linear.kernel": jax.ShapeDtypeStruct(huge.shape, huge.dtype)}
    converted = convert({"linear.weight": huge}, KeyTable((Rule("linear.weight", "linear.kernel"),)), target)
    np.testing.assert_array_equal(converted["linear.kernel"], huge)
