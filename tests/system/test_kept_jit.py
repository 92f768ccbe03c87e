"""What JAX traced of a function, kept for later processes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest
from flax import nnx
from jax.sharding import Mesh

from litefocus_jax.system import kept_jit
from litefocus_jax.system.kept_jit import KeptJit
from litefocus_jax.system.platform import LowMemoryJit, platform_named, targeting
from tests.support.compilations import programs_kept_in


class Sums(NamedTuple):
    rows: jax.Array
    total: jax.Array | None


traced = []


def sums(network: nnx.Linear, x: jax.Array, *, scale: float = 1.0) -> Sums:
    traced.append(x.shape)
    y = scale * network(x)
    return Sums(y.sum(1), y.sum())


def kept() -> KeptJit:
    """The function as a new process finds it."""
    return KeptJit(sums, jit=LowMemoryJit, static_argnames="scale", results=(Sums,))


@pytest.fixture(autouse=True)
def folder(tmp_path):
    """An empty folder of compiled programs, and nothing traced yet."""
    traced.clear()
    with programs_kept_in(tmp_path) as folder:
        yield folder


def network(features: int = 3) -> nnx.Linear:
    return nnx.Linear(2, features, rngs=nnx.Rngs(0))


X = jnp.arange(8.0).reshape(4, 2)


def same(found: Sums, expected: Sums) -> bool:
    return all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a == b).all()), found, expected)))


def test_what_was_traced_once_is_not_traced_by_the_next_process(folder):
    expected = kept()(network(), X)
    assert same(expected, jax.jit(sums)(network(), X))
    assert [path.name for path in folder.glob("sums-*-cache")] != []
    traced.clear()
    later = kept()
    assert later.eval_shape(network(), X).rows.shape == (4,)
    assert later.lower(network(), X).compile().memory_analysis() is not None
    assert same(later(network(), X), expected)
    assert traced == []


@pytest.mark.parametrize(
    "other",
    [
        lambda function: function(network(), X, scale=2.0),
        lambda function: function(network(), X[:2]),
        lambda function: function(network(), X.astype(jnp.bfloat16)),
        lambda function: function(network(5), X),
        lambda function: function(nnx.Linear(2, 3, use_bias=False, rngs=nnx.Rngs(0)), X),
    ],
    ids=["static", "shape", "type", "width", "structure"],
)
def test_another_call_is_another_program(other):
    kept()(network(), X)
    traced.clear()
    assert same(other(kept()), other(KeptJit(sums, static_argnames="scale")))
    assert traced != []


def test_a_setting_of_jax_and_other_code_make_other_programs(monkeypatch):
    kept()(network(), X)
    traced.clear()
    with jax.default_matmul_precision("bfloat16"):
        kept()(network(), X)
    assert len(traced) == 1
    monkeypatch.setattr(kept_jit, "_origin", lambda: ("a later version",))
    kept()(network(), X)
    assert len(traced) == 2


def test_results_go_in_again_without_another_program():
    function = KeptJit(lambda x: 2 * x)
    function.__wrapped__.__qualname__ = "twice"
    found = function(function(X))
    assert (found == 4 * X).all()
    assert len(function._programs) == 1


@pytest.mark.parametrize("damage", [b"", b"another digest" * 9])
def test_what_is_damaged_is_traced_again(folder, damage):
    expected = kept()(network(), X)
    for path in folder.glob("sums-*-cache"):
        path.write_bytes(damage)
    traced.clear()
    assert same(kept()(network(), X), expected)
    assert len(traced) == 1
    assert same(kept()(network(), X), expected)
    assert len(traced) == 1


def test_calls_within_other_functions_and_on_other_platforms_are_left_to_jax(folder):
    assert same(jax.jit(lambda x: kept()(network(), x))(X), jax.jit(sums)(network(), X))
    with targeting(platform_named("gpu", 9)):
        kept()(network(), X)
    assert [*folder.glob("sums-*")] == []


def test_several_devices_are_left_to_jax(folder):
    mesh = Mesh(jax.devices()[:1], ("data",))
    function = KeptJit(lambda x, *, mesh: 2 * x, static_argnames="mesh")
    assert (function(X, mesh=mesh) == 2 * X).all()
    assert [*folder.glob("*lambda*")] == []


def test_what_has_no_name_is_traced_at_every_start(folder):
    def nameless(*arguments, **options):
        return jax.lax.dot_general(*arguments, **options)

    found = kept()(nnx.Linear(2, 3, dot_general=nameless, rngs=nnx.Rngs(0)), X)
    assert same(found, kept()(network(), X))
    assert len([*folder.glob("sums-*")]) == 1


def test_errors_are_those_of_the_function():
    with pytest.raises(TypeError, match="dot_general"):
        kept()(network(), jnp.zeros((4, 7)))
