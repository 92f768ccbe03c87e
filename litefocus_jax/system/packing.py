"""A network as a flat tuple of its arrays, for programs that are called again and again."""

import functools
from typing import Any, Generic, TypeVar

import jax

Tree = TypeVar("Tree")


class _Structure:
    """The shape of a tree, known by identity: comparing that of a network of Flax takes milliseconds."""

    def __init__(self, of: Any) -> None:
        self.of = of

    def __repr__(self) -> str:
        return f"_Structure({self.of!r})"


@functools.cache
def _known_again(structure: Any) -> _Structure:
    """The same object for equal structures, so that they share programs."""
    return _Structure(structure)


@jax.tree_util.register_pytree_node_class
class Packed(Generic[Tree]):
    """A tree whose arrays are found once, and not at every call of a compiled function.

    At each call JAX takes its arguments apart. For a module of Flax that is Python at every one of the modules in it,
    which for the UNet of the bundled model took some 20 ms (docs/measurements/fast_on_a_cpu.md).

    Args:
        tree: of arrays, such as a network.
    """

    def __init__(self, tree: Tree) -> None:
        leaves, structure = jax.tree.flatten(tree)
        self._leaves, self._structure = tuple(leaves), _known_again(structure)

    @property
    def whole(self) -> Tree:
        """The tree."""
        return jax.tree.unflatten(self._structure.of, self._leaves)

    def tree_flatten(self) -> tuple[tuple[Any, ...], _Structure]:
        """Its arrays, and what is static, as JAX wants them."""
        return self._leaves, self._structure

    @classmethod
    def tree_unflatten(cls, structure: _Structure, leaves: Any) -> "Packed[Any]":
        """The reverse of `tree_flatten`."""
        packed = object.__new__(cls)
        packed._structure, packed._leaves = structure, tuple(leaves)
        return packed
