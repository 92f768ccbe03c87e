"""What denoising takes, and where it lies on the devices that share the work."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Key

from litefocus_jax.diffusion.inpainting import Known
from litefocus_jax.diffusion.schedulers import SchedulerState
from litefocus_jax.generation.plan import DenoisingPlan
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.network import Context, UNet
from litefocus_jax.models.unet.self_attention import shares_of_frames
from litefocus_jax.parallel.mesh import DATA_AXIS, EVERYWHERE, GUIDANCE_AXIS, TIME_AXIS, along_data, spread
from litefocus_jax.parallel.time_axis import FrameShares
from litefocus_jax.system.packing import Packed


class RandomKeys(NamedTuple):
    """The sources of randomness of one generation.

    Attributes:
        latents: one key per sound, for its first noise.
        steps: one key per sound, for the noise DDIM adds at each step.
        litefocus: for LiteFocus's gathered tokens, which all sounds share.
    """

    latents: Key[Array, " sounds"]
    steps: Key[Array, " sounds"]
    litefocus: Key[Array, ""]


class Arguments(NamedTuple):
    """What denoising takes beside its plan and its schedule; weights are among it, and no program holds any.

    Attributes:
        unet: computes in the dtype of its weights; the latents and the guidance stay in float32. For programs that are
            called again and again it is packed, when it lies where it is to.
        context: from `project_context`.
        state: latents ``[sounds, time, frequency, channels]`` and the scheduler's memory.
        keys: from `random_keys`.
        known: what is held of a sound that is given, or None.
    """

    unet: UNet
    context: Context
    state: SchedulerState
    keys: RandomKeys
    known: Known | None = None


def spread_arguments(arguments: Arguments, plan: DenoisingPlan) -> Arguments:
    """Lay the arguments of `denoise` where its devices want them; without a mesh, do nothing.

    Each device gets its share of the sounds and of their frames; the last sound, and each sound's last frame, is
    repeated until all shares are equal. Under guidance the context's arrays become ``[2, sounds, ...]``, the negative
    prompts first. The arrays may be `jax.ShapeDtypeStruct`.
    """
    if plan.mesh is None:
        return arguments
    if plan.guided and not plan.changes_prompt:
        arguments = arguments._replace(context=_in_pairs(arguments.context))
    shares = shares_of(arguments.unet.config, plan)
    if shares is not None:
        state, known = _with_room((arguments.state, arguments.known), shares.room)
        arguments = arguments._replace(state=state, known=known)
    return spread(plan.mesh, arguments, specs(plan))


def packed_arguments(arguments: Arguments) -> Arguments:
    """The arguments as a program takes them with least delay."""
    return arguments._replace(unet=Packed(arguments.unet))


def spread_state(state: SchedulerState, plan: DenoisingPlan, config: UNetConfig) -> SchedulerState:
    """Lay out the state as `spread_arguments` does."""
    if plan.mesh is None:
        return state
    shares = shares_of(config, plan)
    return spread(plan.mesh, state if shares is None else _with_room(state, shares.room), per_frame(plan.mesh))


def shares_of(config: UNetConfig, plan: DenoisingPlan) -> FrameShares | None:
    """How a mesh's devices share the frames of a sound at the levels of a UNet; None where each has them all."""
    if plan.mesh is None or plan.mesh.shape[TIME_AXIS] == 1:
        return None
    return shares_of_frames(config, plan.frames, plan.mesh.shape[TIME_AXIS])


def _with_room(tree: Any, frames: int) -> Any:
    """Arrays ``[sounds, time, frequency, channels]`` whose last frame is repeated until there are so many."""

    def fill(array: Array) -> Array:
        return jnp.take(array, np.minimum(np.arange(frames), array.shape[1] - 1), axis=1)

    def fill_any(leaf: Any) -> Any:
        if leaf.ndim != 4:
            return leaf
        return jax.eval_shape(fill, leaf) if isinstance(leaf, jax.ShapeDtypeStruct) else fill(leaf)

    return jax.tree.map(fill_any, tree)


def per_frame(mesh: Mesh) -> PartitionSpec:
    """How arrays ``[sounds, time, ...]`` lie on a mesh."""
    return PartitionSpec(DATA_AXIS, TIME_AXIS) if mesh.shape[TIME_AXIS] > 1 else along_data()


def specs(plan: DenoisingPlan) -> Any:
    """Where `Arguments` lie on a plan's mesh: a tree of layouts like theirs."""
    assert plan.mesh is not None, "without one they lie on one device"
    state = per_frame(plan.mesh)
    keys = RandomKeys(latents=along_data(), steps=along_data(), litefocus=EVERYWHERE)  # pyright: ignore[reportArgumentType]
    context = EVERYWHERE if plan.changes_prompt else along_data(int(plan.guided))
    if plan.splits_guidance:
        context = PartitionSpec(GUIDANCE_AXIS, DATA_AXIS)
    known = Known(state, state, state, EVERYWHERE, EVERYWHERE) if plan.holds else None  # pyright: ignore[reportArgumentType]
    return Arguments(EVERYWHERE, context, state, keys, known)  # pyright: ignore[reportArgumentType]


def _in_pairs(context: Context) -> Context:
    """[2 * sounds, ...] as [2, sounds, ...]."""

    def pair(array: Array) -> Array:
        return array.reshape(2, -1, *array.shape[1:])

    def pair_any(leaf: Any) -> Any:
        return jax.eval_shape(pair, leaf) if isinstance(leaf, jax.ShapeDtypeStruct) else pair(leaf)

    return jax.tree.map(pair_any, context)
