"""Strict renaming of a checkpoint's tensors: a bijection between source keys and parameters, or one full error.

The rules are those of a network's `litefocus_jax.models.keys.KeyTable`. A source key must match exactly one rule or
stand on the list of ignored patterns; two matches are an error, not a matter of order.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from litefocus_jax.checkpoint.errors import Problems, describe, tensor_name
from litefocus_jax.checkpoint.tensors import LazyArray, Tensors, name_in_file
from litefocus_jax.models.keys import TRANSFORMS, KeyTable, Rule, compile_pattern
from litefocus_jax.system.messages import shown


def _match(
    tensors: Tensors, rules: Sequence[Rule], ignored: Iterable[str], problems: Problems
) -> dict[str, tuple[str, Rule]]:
    """Pair every target with its source key and rule."""
    ignored_patterns = [compile_pattern(pattern) for pattern in ignored]
    pairs: dict[str, tuple[str, Rule]] = {}
    fired: set[Rule] = set()
    for key, tensor in tensors.items():
        matches = [(rule, target) for rule in rules if (target := rule.rename(key)) is not None]
        fired.update(rule for rule, _ in matches)
        is_ignored = any(pattern.fullmatch(key) for pattern in ignored_patterns)
        if len(matches) + is_ignored > 1:
            claims = [rule.source for rule, _ in matches] + ["the ignore list"] * is_ignored
            problems.add("tensors claimed twice", f"{describe(key, tensor.shape)} by {' and '.join(claims)}")
        elif not matches:
            if not is_ignored:
                problems.add("unknown tensors", describe(key, tensor.shape))
        else:
            rule, target = matches[0]
            if target in pairs:
                first = pairs[target][0]
                shapes = f"{describe(first, tensors[first].shape)} and {describe(key, tensor.shape)}"
                problems.add("parameters filled twice", f"{tensor_name(target)} from {shapes}")
            else:
                pairs[target] = (key, rule)
    for rule in rules:
        if rule not in fired and not rule.optional:
            problems.add("rules that matched nothing", f"{rule.source} -> {rule.target}")
    return pairs


def _transformed_shape(shape: tuple[int, ...], transform: Callable[[np.ndarray], np.ndarray]) -> tuple[int, ...] | None:
    """The shape after a transform, or None where the transform does not apply to such a shape."""
    stand_in = np.broadcast_to(np.zeros(()), shape)  # one number in memory, whatever the shape
    try:
        return transform(stand_in).shape
    except ValueError:
        return None


def check(
    tensors: Tensors,
    keys: KeyTable,
    targets: Mapping[str, jax.ShapeDtypeStruct],
    source: str = "checkpoint",
    stored_name: Callable[[str], str | None] | None = None,
) -> dict[str, tuple[str, Rule]]:
    """Pair every parameter with its source tensor, from names, shapes and types alone; no value is read.

    Args:
        tensors: source tensors by key.
        keys: the table of the network; its spellings have been undone.
        targets: every parameter of the model, by dotted path.
        source: where the tensors come from, for error messages.
        stored_name: what the file calls the tensor of a parameter, for error messages about those that are missing.

    Returns:
        Source key and rule of every target.

    Raises:
        CheckpointError: one message with every missing, unknown, doubled and misshapen tensor and every rule that
            matched nothing.
    """
    problems = Problems(source)
    pairs = _match(tensors, keys.rules, keys.ignored, problems)
    for target, (key, rule) in pairs.items():
        tensor = tensors[key]
        stored = describe(name_in_file(key, tensor), tensor.shape)
        if target not in targets:
            problems.add("tensors without a parameter", f"{stored}, renamed to {tensor_name(target)}")
            continue
        expected = tuple(targets[target].shape)
        shape = _transformed_shape(tensor.shape, TRANSFORMS[rule.transform].forward)
        if shape is None:
            problems.add("misshapen tensors", f"{stored} is no {rule.transform!r} weight")
        elif shape != expected:
            found = f"{stored} becomes {tensor_name(target)} {shown(list(shape))}"
            problems.add("misshapen tensors", f"{found}; expected {list(expected)}")
        if not jnp.issubdtype(tensor.dtype, jnp.floating):
            problems.add("tensors of a wrong type", f"{stored} is {tensor.dtype}; expected a floating-point type")
    for target, expected in targets.items():
        if target not in pairs:
            name = stored_name and stored_name(target)
            place = f", in the file {tensor_name(name)}" if name else ""
            problems.add("missing parameters", describe(target, expected.shape) + place)
    problems.raise_any()
    return pairs


def rename(tensors: Tensors, keys: KeyTable, source: str = "checkpoint") -> dict[str, LazyArray]:
    """The tensors under the names that a table gives them, unread; every one is used once or ignored.

    Takes arguments of `check`.

    Raises:
        CheckpointError: one message with every unknown, doubled and misshapen tensor, and every rule that matched
            nothing.
    """
    problems = Problems(source)
    pairs = _match(tensors, keys.rules, keys.ignored, problems)
    renamed = {}
    for target, (key, rule) in pairs.items():
        tensor, forward = tensors[key], TRANSFORMS[rule.transform].forward
        shape = _transformed_shape(tensor.shape, forward)
        if shape is None:
            problems.add("misshapen tensors", f"{describe(key, tensor.shape)} is no {rule.transform!r} weight")
        else:
            read = functools.partial(_read, tensor, forward)
            renamed[target] = LazyArray(shape, tensor.dtype, read, name_in_file(key, tensor))
    problems.raise_any()
    return renamed


def _read(tensor: np.ndarray | LazyArray, forward: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    return forward(np.asarray(tensor))


def convert(
    tensors: Tensors,
    keys: KeyTable,
    targets: Mapping[str, jax.ShapeDtypeStruct],
    source: str = "checkpoint",
) -> dict[str, np.ndarray]:
    """Rename and transpose a checkpoint's tensors into a model's parameters, after `check`.

    Takes the arguments of `check`. Each `LazyArray` is read once; the values keep their floating-point type.

    Returns:
        One array per target, in the order of ``targets``.

    Raises:
        CheckpointError: from `check`; or, if names and shapes are in order, one message with every tensor that holds
            NaN or infinity.
    """
    pairs = check(tensors, keys, targets, source)
    problems = Problems(source)
    arrays = {}
    for target in targets:
        key, rule = pairs[target]
        array = np.asarray(tensors[key])
        if not _all_finite(array):
            count = array.size - np.count_nonzero(np.isfinite(array))
            stored = describe(name_in_file(key, tensors[key]), array.shape)
            problems.add("NaN or infinite values", f"{stored}: {count} of {array.size}")
        arrays[target] = TRANSFORMS[rule.transform].forward(array)
    problems.raise_any()
    return arrays


def _all_finite(array: np.ndarray) -> bool:
    """Whether no value is NaN or infinite; a sum tells, in one quick pass, unless it overflows on its own."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum(dtype=np.float32)):
            return True
    return bool(np.isfinite(array).all())


def invert(arrays: Tensors, keys: KeyTable, source: str = "model") -> dict[str, np.ndarray]:
    """Run a table backwards: from our parameters to the tensors of a PyTorch checkpoint.

    Raises:
        CheckpointError: listing every parameter that no rule, or more than one, names.
    """
    problems = Problems(source)
    pairs = _match(arrays, [dataclasses.replace(rule.inverse, optional=True) for rule in keys.rules], (), problems)
    problems.raise_any()
    return {name: TRANSFORMS[rule.transform].inverse(np.asarray(arrays[path])) for name, (path, rule) in pairs.items()}
