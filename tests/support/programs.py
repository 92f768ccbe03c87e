"""What a function is made of when JAX traces it."""

from collections.abc import Callable
from typing import Any

import jax

LOOPS = {"scan", "while"}
"""Names of the primitives that loops become, whether their length is known or not."""


def primitives_of(function: Callable[..., Any], *arguments: Any) -> set[str]:
    """Names of all primitives of a traced function, those inside of loops and of inner functions too.

    Args:
        function: of arrays.
        arguments: to trace it with; only shapes and types matter.
    """
    names, programs = set(), [jax.make_jaxpr(function)(*arguments).jaxpr]
    while programs:
        for equation in programs.pop().eqns:
            names.add(equation.primitive.name)
            parameters = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
            programs.extend(getattr(value, "jaxpr", value) for value in parameters if _is_program(value))
    return names


def _is_program(value: Any) -> bool:
    return hasattr(getattr(value, "jaxpr", value), "eqns")
