"""Activation functions by the names that transformers' configurations use."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp

from litefocus_jax.system.json_config import ConfigError

Activation = Callable[[jax.Array], jax.Array]


def gelu_exact(x: jax.Array) -> jax.Array:
    """Gaussian error linear unit with the error function (Hendrycks and Gimpel, arXiv 1606.08415)."""
    return jax.nn.gelu(x, approximate=False)


def gelu_tanh(x: jax.Array) -> jax.Array:
    """Gaussian error linear unit in its tanh approximation, which GPT-2 and T5 v1.1 were trained with."""
    return jax.nn.gelu(x, approximate=True)


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "gelu": gelu_exact,
        "gelu_new": gelu_tanh,
        "gelu_pytorch_tanh": gelu_tanh,
        "relu": jax.nn.relu,
        "silu": jax.nn.silu,
        "swish": jax.nn.silu,
        "tanh": jnp.tanh,
    }
)


def activation_named(name: str, field: str) -> Activation:
    """The activation that a configuration names.

    Args:
        name: a name as transformers spells it.
        field: the field of the configuration that held it, for the error message.

    Raises:
        ConfigError: when the name is not supported, with those that are.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(f"{field} = {name!r} is not supported; expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
