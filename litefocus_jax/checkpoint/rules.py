"""Strict renaming of a checkpoint's tensors: a bijection between source keys and parameters, or one full error.

A table is a tuple of `Rule`. Its two patterns are dotted paths with placeholders:

- ``{name}`` stands for one or more characters, dots included, as few as fit;
- ``{name:regex}`` for what the regular expression matches (no braces inside); written on one side, it holds for both.

Patterns cover the whole key, and both sides carry the same placeholders, so that a table also runs backwards.
A source key must match exactly one rule or stand on the list of ignored patterns; two matches are an error, not a
matter of order.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from litefocus_jax.checkpoint.lazy import Tensors

_PLACEHOLDER = re.compile(r"\{(\w+)(?::([^{}]+))?\}")
_LISTED = 12  # lines shown of each kind of problem


class CheckpointError(ValueError):
    """A checkpoint cannot be read, does not fit the model, or cannot be written."""


@dataclasses.dataclass(frozen=True)
class Transform:
    """A change of axes from PyTorch's layout to ours, with its inverse."""

    forward: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray], np.ndarray]


def _permutation(*axes: int) -> Transform:
    inverse = tuple(int(axis) for axis in np.argsort(axes))
    return Transform(lambda array: array.transpose(axes), lambda array: array.transpose(inverse))


def _flip_first(array: np.ndarray) -> np.ndarray:
    return array[::-1]


_LINEAR = _permutation(1, 0)
_CONV2D = _permutation(2, 3, 1, 0)


def _linear_or_conv2d(array: np.ndarray) -> Transform:
    return _LINEAR if array.ndim == 2 else _CONV2D


TRANSFORMS: Mapping[str, Transform] = {
    "same": Transform(lambda array: array, lambda array: array),
    # [out, in] -> [in, out]
    "linear": _LINEAR,
    # [out, in, width] -> [width, in, out]
    "conv1d": _permutation(2, 1, 0),
    # [out, in, height, width] -> [height, width, in, out]
    "conv2d": _CONV2D,
    # By rank, for layers that a configuration makes the one or the other.
    "linear_or_conv2d": Transform(
        lambda array: _linear_or_conv2d(array).forward(array), lambda array: _linear_or_conv2d(array).inverse(array)
    ),
    # [in, out, width] -> [width, in, out], reversed along the width: PyTorch scatters the kernel, whereas
    # nnx.ConvTranspose (transpose_kernel=False) correlates with it over the dilated input.
    "conv_transpose1d": Transform(
        lambda array: _flip_first(array.transpose(2, 0, 1)), lambda array: _flip_first(array).transpose(1, 2, 0)
    ),
}
"""Every transform a rule can name. All of them return views."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """One family of parameters.

    Attributes:
        source: pattern of the PyTorch keys.
        target: pattern of our parameter paths.
        transform: a name in `TRANSFORMS`.
        optional: the family is absent from some configurations; other rules must match at least one key.

    Raises:
        ValueError: when the transform is unknown, or the two sides have different placeholders.
    """

    source: str
    target: str
    transform: str = "same"
    optional: bool = False

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORMS:
            raise ValueError(f"{self} names an unknown transform; expected one of {', '.join(TRANSFORMS)}")
        source, target = ({name for name, _ in _PLACEHOLDER.findall(side)} for side in (self.source, self.target))
        if source != target:
            raise ValueError(f"{self} has placeholders {sorted(source)} on one side and {sorted(target)} on the other")

    @property
    def inverse(self) -> "Rule":
        """The rule with its sides exchanged; its transform is to be applied backwards."""
        return dataclasses.replace(self, source=self.target, target=self.source)

    def rename(self, key: str) -> str | None:
        """The target of a source key, or None where the rule does not apply."""
        match = _compile(self.source, self.target).fullmatch(key)
        return match and _PLACEHOLDER.sub(lambda placeholder: match[placeholder[1]], self.target)


@functools.lru_cache(maxsize=4096)
def _compile(pattern: str, other_side: str = "") -> re.Pattern[str]:
    """The regular expression of a pattern; placeholders may get their expression from the rule's other side."""
    expressions = {name: regex for name, regex in _PLACEHOLDER.findall(other_side + pattern) if regex}
    parts, seen, position = [], set(), 0
    for placeholder in _PLACEHOLDER.finditer(pattern):
        name = placeholder[1]
        parts.append(re.escape(pattern[position : placeholder.start()]))
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{expressions.get(name, '.+?')})")
        seen.add(name)
        position = placeholder.end()
    return re.compile("".join(parts) + re.escape(pattern[position:]))


def listed(lines: Sequence[str], indent: int = 2) -> str:
    """Indented lines for an error message; a long list is cut and says how many more there are."""
    rest = [f"... and {len(lines) - _LISTED} more"] * (len(lines) > _LISTED)
    return "\n".join(" " * indent + line for line in [*lines[:_LISTED], *rest])


class _Problems:
    """Collects problems by kind, and raises them all as one error."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._kinds: dict[str, list[str]] = {}

    def add(self, kind: str, line: str) -> None:
        self._kinds.setdefault(kind, []).append(line)

    def raise_any(self) -> None:
        if not self._kinds:
            return
        lines = [f"{self._source}: the weights do not fit the model"]
        for kind, found in self._kinds.items():
            lines += [f"  {kind} ({len(found)}):", listed(found, indent=4)]
        raise CheckpointError("\n".join(lines))


def _describe(name: str, shape: Sequence[int]) -> str:
    return f"{name} {list(shape)}"


def _match(
    tensors: Tensors, rules: Sequence[Rule], ignored: Iterable[str], problems: _Problems
) -> dict[str, tuple[str, Rule]]:
    """Pair every target with its source key and rule."""
    ignored_patterns = [_compile(pattern) for pattern in ignored]
    pairs: dict[str, tuple[str, Rule]] = {}
    fired: set[Rule] = set()
    for key, tensor in tensors.items():
        matches = [(rule, target) for rule in rules if (target := rule.rename(key)) is not None]
        fired.update(rule for rule, _ in matches)
        is_ignored = any(pattern.fullmatch(key) for pattern in ignored_patterns)
        if len(matches) + is_ignored > 1:
            claims = [rule.source for rule, _ in matches] + ["the ignore list"] * is_ignored
            problems.add("tensors claimed twice", f"{_describe(key, tensor.shape)} by {' and '.join(claims)}")
        elif not matches:
            if not is_ignored:
                problems.add("unknown tensors", _describe(key, tensor.shape))
        else:
            rule, target = matches[0]
            if target in pairs:
                first = pairs[target][0]
                shapes = f"{_describe(first, tensors[first].shape)} and {_describe(key, tensor.shape)}"
                problems.add("parameters filled twice", f"{target} from {shapes}")
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
    rules: Sequence[Rule],
    targets: Mapping[str, jax.ShapeDtypeStruct],
    ignored: Iterable[str] = (),
    source: str = "checkpoint",
) -> dict[str, tuple[str, Rule]]:
    """Pair every parameter with its source tensor, from names, shapes and types alone; no value is read.

    Args:
        tensors: source tensors by key.
        rules: the table of the sub-model.
        targets: every parameter of the model, by dotted path.
        ignored: patterns of source keys that are deliberately unused.
        source: where the tensors come from, for error messages.

    Returns:
        Source key and rule of every target.

    Raises:
        CheckpointError: one message with every missing, unknown, doubled and misshapen tensor and every rule that
            matched nothing.
    """
    problems = _Problems(source)
    pairs = _match(tensors, rules, ignored, problems)
    for target, (key, rule) in pairs.items():
        tensor = tensors[key]
        if target not in targets:
            problems.add("tensors without a parameter", f"{_describe(key, tensor.shape)}, renamed to {target}")
            continue
        expected = tuple(targets[target].shape)
        shape = _transformed_shape(tensor.shape, TRANSFORMS[rule.transform].forward)
        if shape is None:
            problems.add("misshapen tensors", f"{_describe(key, tensor.shape)} is no {rule.transform!r} weight")
        elif shape != expected:
            found = f"{_describe(key, tensor.shape)} becomes {target} {list(shape)}"
            problems.add("misshapen tensors", f"{found}; expected {list(expected)}")
        if not jnp.issubdtype(tensor.dtype, jnp.floating):
            found = f"{_describe(key, tensor.shape)} is {tensor.dtype}"
            problems.add("tensors of a wrong type", f"{found}; expected a floating-point type")
    for target, expected in targets.items():
        if target not in pairs:
            problems.add("missing parameters", _describe(target, expected.shape))
    problems.raise_any()
    return pairs


def convert(
    tensors: Tensors,
    rules: Sequence[Rule],
    targets: Mapping[str, jax.ShapeDtypeStruct],
    ignored: Iterable[str] = (),
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
    pairs = check(tensors, rules, targets, ignored, source)
    problems = _Problems(source)
    arrays = {}
    for target in targets:
        key, rule = pairs[target]
        array = np.asarray(tensors[key])
        if not _all_finite(array):
            count = array.size - np.count_nonzero(np.isfinite(array))
            problems.add("NaN or infinite values", f"{_describe(key, array.shape)}: {count} of {array.size}")
        arrays[target] = TRANSFORMS[rule.transform].forward(array)
    problems.raise_any()
    return arrays


def _all_finite(array: np.ndarray) -> bool:
    """Whether no value is NaN or infinite; a sum tells, in one quick pass, unless it overflows on its own."""
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum(dtype=np.float32)):
            return True
    return bool(np.isfinite(array).all())


def invert(arrays: Tensors, rules: Sequence[Rule], source: str = "model") -> dict[str, np.ndarray]:
    """Run a table backwards: from our parameters to the tensors of a PyTorch checkpoint.

    Raises:
        CheckpointError: listing every parameter that no rule, or more than one, names.
    """
    problems = _Problems(source)
    pairs = _match(arrays, [dataclasses.replace(rule.inverse, optional=True) for rule in rules], (), problems)
    problems.raise_any()
    return {name: TRANSFORMS[rule.transform].inverse(np.asarray(arrays[path])) for name, (path, rule) in pairs.items()}
