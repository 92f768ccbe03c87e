"""One training step against PyTorch: the loss, every gradient, and AdamW's update, on diffusers' UNet."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from litefocus_jax.checkpoint.matching import convert
from litefocus_jax.checkpoint.random_model import published_config
from litefocus_jax.checkpoint.weights import leaves
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.conditioning import TextConditioning
from litefocus_jax.models.unet.network import NETWORK as UNET_NETWORK
from litefocus_jax.training.config import TrainingConfig
from litefocus_jax.training.losses import denoising_loss
from litefocus_jax.training.state import TrainingState, apply_gradient, first_state, with_weights
from tests.parity.test_unet import SMALL, build, random_inputs
from tests.support.parity import nhwc, to_jax
from tests.support.tolerance import deviation
from tests.support.training import quick_compilation

CONFIG = TrainingConfig(
    steps=10,
    batch_size=2,
    learning_rate=1e-2,
    warmup_steps=0,
    weight_decay=0.1,
    # At the usual 1e-8, the first update has the size of the learning rate wherever the gradient is not zero, and the
    # sign of its rounding where it should be.
    adam_epsilon=1e-4,
    clip_norm=0.5,
)


class Step(NamedTuple):
    """The loss, the gradient before clipping, and the weights after one update; by name."""

    loss: float
    gradient: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]


def random_latents() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    latents, noise = torch.randn(2, 2, SMALL.in_channels, 5, 8, generator=generator)
    return latents, noise


def schedule(prediction_type: str) -> dict[str, Any]:
    return published_config("audioldm2", "scheduler") | {"prediction_type": prediction_type}


def loss_of_pytorch(prediction_type: str) -> torch.Tensor:
    """The loss of a plain PyTorch training loop, from which it can be differentiated."""
    reference, _ = build(SMALL)
    scheduler: Any = DDIMScheduler.from_config(schedule(prediction_type))
    inputs = random_inputs(SMALL, 5, 8)
    latents, noise = random_latents()
    inputs["sample"] = scheduler.add_noise(latents, noise, inputs["timestep"])
    is_velocity = prediction_type == "v_prediction"
    target = scheduler.get_velocity(latents, noise, inputs["timestep"]) if is_velocity else noise
    return torch.nn.functional.mse_loss(reference(**inputs).sample, target)


@functools.cache
def step_of_pytorch() -> Step:
    """One step; the reference's weights are put back afterwards."""
    reference, _ = build(SMALL)
    before = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    reference.requires_grad_(True)
    optimiser = torch.optim.AdamW(
        reference.parameters(), CONFIG.learning_rate, eps=CONFIG.adam_epsilon, weight_decay=CONFIG.weight_decay
    )
    loss = loss_of_pytorch("epsilon")
    loss.backward()
    gradient = {name: tensor.grad.clone() for name, tensor in reference.named_parameters() if tensor.grad is not None}
    assert gradient.keys() == dict(reference.named_parameters()).keys()
    norm = torch.nn.utils.clip_grad_norm_(reference.parameters(), CONFIG.clip_norm)
    assert norm > 2 * CONFIG.clip_norm
    optimiser.step()
    after = {name: tensor.detach().clone() for name, tensor in reference.state_dict().items()}
    reference.requires_grad_(False)
    reference.load_state_dict(before)
    reference.zero_grad()
    return Step(float(loss.detach()), in_our_names(gradient), in_our_names(after))


def in_our_names(tensors: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    """Through the production table, which is linear: it maps gradients as it maps weights."""
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    return convert(arrays, UNET_NETWORK.keys, leaves(build(SMALL)[1]), source="PyTorch")


def our_loss(weights: dict[str, dict[str, jax.Array]], prediction_type: str) -> jax.Array:
    inputs = random_inputs(SMALL, 5, 8)
    latents, noise = random_latents()
    conditioning = TextConditioning(
        to_jax(inputs["encoder_hidden_states"]),
        to_jax(inputs["encoder_hidden_states_1"]),
        to_jax(inputs["encoder_attention_mask_1"]),
    )
    return denoising_loss(
        with_weights(build(SMALL)[1], weights["unet"]),
        conditioning,
        SchedulerConfig.from_dict(schedule(prediction_type)),
        nhwc(latents),
        nhwc(noise),
        to_jax(inputs["timestep"]),
    )


@functools.cache
def our_step() -> Step:
    @jax.jit
    def take(state: TrainingState) -> tuple[jax.Array, Any, TrainingState]:
        loss, gradient = jax.value_and_grad(our_loss)(state.weights, "epsilon")
        return loss, gradient, apply_gradient(state, gradient, CONFIG)[0]

    with quick_compilation():
        loss, gradient, state = take(first_state({"unet": leaves(build(SMALL)[1])}, CONFIG))
    return Step(float(loss), dict(gradient["unet"]), dict(state.weights["unet"]))


def test_the_loss_is_that_of_pytorch():
    assert our_step().loss == pytest.approx(step_of_pytorch().loss, rel=1e-5)


def test_the_loss_of_a_network_that_predicts_the_velocity_is_that_of_pytorch():
    with quick_compilation():
        loss = jax.jit(our_loss, static_argnums=1)({"unet": leaves(build(SMALL)[1])}, "v_prediction")
    assert float(loss) == pytest.approx(float(loss_of_pytorch("v_prediction")), rel=1e-5)


def test_every_gradient_is_that_of_pytorch():
    ours, expected = our_step().gradient, step_of_pytorch().gradient
    assert ours.keys() == expected.keys()
    deviations = {name: deviation(gradient, expected[name]) for name, gradient in ours.items()}
    assert {name: found for name, found in deviations.items() if found >= 1e-4} == {}


def test_an_update_by_adamw_is_that_of_pytorch():
    ours, expected = our_step().weights, step_of_pytorch().weights
    for name, weights in ours.items():
        assert deviation(weights, expected[name]) < 1e-4, name
        # The weights hardly change in one update, so that they alone would hide a wrong one.
        assert np.max(np.abs(weights - expected[name])) < 1e-3 * CONFIG.learning_rate, name
