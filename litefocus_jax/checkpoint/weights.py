"""Turn nnx modules into flat dictionaries of arrays by dotted path, and back."""

import math
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.models.parameters import ShapesOnly

FLOATING_DTYPES = ("float32", "bfloat16", "float16")

Module = TypeVar("Module", bound=nnx.Module)


def abstract(
    model_class: type[Module], config: Hashable, dtype: Any = jnp.float32, *, most_weights: int | None = None
) -> Module:
    """Build a module without its weights: every leaf is a `jax.ShapeDtypeStruct`, nothing is computed.

    Args:
        model_class: a module built as ``model_class(config, rngs=...)``.
        config: its frozen configuration.
        dtype: floating-point type of all weights.
        most_weights: arrays that the module may have; any number unless given.

    Raises:
        TooManyWeightsError: when it has more.
    """
    module = model_class(config, rngs=ShapesOnly(most_weights))  # pyright: ignore[reportCallIssue]
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype), module)


def leaves(module: nnx.Module) -> dict[str, Any]:
    """Every array of a module by its dotted path, such as ``down_blocks.0.resnets.1.conv1.kernel``.

    The values are `jax.Array`, or `jax.ShapeDtypeStruct` for a module from `abstract`.
    """
    flat = nnx.to_flat_state(nnx.state(module))
    return {".".join(map(str, path)): variable.get_value() for path, variable in flat}


def fill(module: Module, arrays: dict[str, np.ndarray], dtype: Any) -> Module:
    """Give an abstract module its weights.

    The arrays are cast and put on the default device one at a time and **removed from the dictionary** as they go,
    so that never much more than the weights themselves is held.

    Args:
        module: from `abstract`.
        arrays: one array per path of `leaves(module)`; emptied.
        dtype: floating-point type of all weights.

    Raises:
        CheckpointError: when a value overflows the asked-for type, as large ones do in float16.
        KeyError: when an array is missing.
    """
    dtype = jnp.dtype(dtype)
    graph, state = nnx.split(module)
    flat = nnx.to_flat_state(state)
    filled = []
    for path, variable in flat:
        name = ".".join(map(str, path))
        filled.append((path, variable.replace(jax.device_put(_cast(arrays.pop(name), dtype, name)))))
    return nnx.merge(graph, nnx.from_flat_state(filled))


def with_weights(module: Module, arrays: Mapping[str, Any]) -> Module:
    """A module like the given one, with other arrays: one for each of its dotted paths.

    Raises:
        KeyError: when an array is missing.
    """
    graph, state = nnx.split(module)
    flat = [(path, leaf.replace(arrays[".".join(map(str, path))])) for path, leaf in nnx.to_flat_state(state)]
    return nnx.merge(graph, nnx.from_flat_state(flat))


def to_numpy(module: nnx.Module, dtype: Any = None) -> dict[str, np.ndarray]:
    """Copy a module's weights to the host, by dotted path.

    Args:
        module: a module with weights.
        dtype: floating-point type to cast to; as they are unless given.

    Raises:
        CheckpointError: when a value overflows the asked-for type.
    """
    arrays = {name: np.asarray(leaf) for name, leaf in leaves(module).items()}
    return arrays if dtype is None else cast(arrays, dtype)


def cast(arrays: Mapping[str, np.ndarray], dtype: Any) -> dict[str, np.ndarray]:
    """Arrays in a floating-point type; those that have it are not copied.

    Raises:
        CheckpointError: when a value overflows the type.
    """
    return {name: _cast(array, jnp.dtype(dtype), name) for name, array in arrays.items()}


def floating_dtype(dtype: Any) -> np.dtype:
    """A type that weights can have, from its name or any spelling that numpy understands.

    Raises:
        ValueError: when it is not float32, bfloat16 or float16.
    """
    try:
        found = jnp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.name not in FLOATING_DTYPES:
        raise ValueError(f"dtype = {dtype!r} is not supported; expected {', '.join(FLOATING_DTYPES)}")
    return found


def _cast(array: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    if array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    # The largest value tells in one quick pass whether a slower look is needed.
    largest = max(array.max(initial=0), -array.min(initial=0))
    if not largest <= jnp.finfo(dtype).max and not np.isfinite(cast).all():
        wider = {"float16": "use bfloat16", "bfloat16": "use float32"}.get(dtype.name, "no supported type holds it")
        raise CheckpointError(f"{name} does not fit {dtype.name}: largest value {float(largest):g}; {wider}")
    return cast


def parameter_count(module: nnx.Module) -> int:
    """Number of scalar weights of a module, abstract or not."""
    return sum(math.prod(leaf.shape) for leaf in leaves(module).values())
