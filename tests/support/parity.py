"""The one place that decides how a PyTorch module and ours are given the same weights and compared."""

from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import torch

from litefocus_jax.checkpoint.matching import convert
from litefocus_jax.checkpoint.spellings import undo_spellings
from litefocus_jax.checkpoint.weights import abstract, fill, leaves
from litefocus_jax.models.keys import Network
from tests.support.tolerance import deviation

Reference = TypeVar("Reference", bound=torch.nn.Module)


def randomise(module: Reference, seed: int = 0) -> Reference:
    """Give a PyTorch module random weights that keep activations near unit size, and put it in evaluation mode.

    Default initialisations hide mistakes: zero biases, unit norms and tiny embeddings all look alike. Here biases,
    norms and embeddings are random too.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(shape: torch.Size, scale: float) -> torch.Tensor:
        return scale * torch.randn(shape, generator=generator)

    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if parameter.ndim >= 2:
                fan_in = parameter[0].numel()
                parameter.copy_(normal(parameter.shape, fan_in**-0.5))
            elif "norm" in name.lower() and name.endswith("weight"):
                parameter.copy_(1.0 + normal(parameter.shape, 0.2))
            else:
                parameter.copy_(normal(parameter.shape, 0.2))
    return module.eval().requires_grad_(False)


def port(network: Network, config: Any, module: torch.nn.Module) -> Any:
    """Our module with the weights of a PyTorch one, through the production conversion table."""
    ours = abstract(network.model_class, config)
    tensors = {name: tensor.detach().numpy() for name, tensor in module.state_dict().items()}
    tensors = undo_spellings(tensors, network.keys.spellings)
    return fill(ours, convert(tensors, network.keys, leaves(ours), source=type(module).__name__), jnp.float32)


def to_jax(tensor: torch.Tensor) -> jax.Array:
    """A PyTorch tensor as a JAX array of the same layout."""
    return jnp.asarray(tensor.detach().numpy())


def nhwc(tensor: torch.Tensor) -> jax.Array:
    """``[batch, channel, time, frequency]`` as our ``[batch, time, frequency, channel]``."""
    return to_jax(tensor.permute(0, 2, 3, 1).contiguous())


def assert_parity(actual: jax.Array, expected: torch.Tensor | jax.Array, tolerance: float = 1e-4) -> None:
    """Fail unless the largest difference is under ``tolerance`` standard deviations of the expected values."""
    if isinstance(expected, torch.Tensor):
        expected = to_jax(expected)
    found = deviation(actual, expected)
    assert found < tolerance, f"largest error is {found:.3g} of the standard deviation, allowed {tolerance:.3g}"
