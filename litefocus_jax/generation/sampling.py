"""The jitted functions of a generation: encode the prompts, denoise the latents.

Each is a pure function of models, arrays and keys. Models go in as arguments and never as closures, so their weights
are not baked into the programs; what sets a shape is static, and what a user turns (seed, guidance scale, prompts) is
traced, so that turning it compiles nothing new.
"""

import collections
import contextvars
import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Compiled
from jaxtyping import Array, Bool, Float, Int, Key

from litefocus_jax.diffusion.inpainting import Known, hold
from litefocus_jax.diffusion.schedulers import Schedule, SchedulerState, initial_state, step
from litefocus_jax.diffusion.windows import merge_windows
from litefocus_jax.generation.plan import DenoisingPlan
from litefocus_jax.generation.spreading import (
    Arguments,
    RandomKeys,
    packed_arguments,
    per_frame,
    shares_of,
    specs,
    spread_arguments,
    spread_state,
)
from litefocus_jax.models.class_conditioning import ClassConditioning
from litefocus_jax.models.conditioning import TextConditioning, zero_generated
from litefocus_jax.models.encoders import Conditioning, Encoders, Tokens
from litefocus_jax.models.shared_time import on_shares
from litefocus_jax.models.t5_conditioning import T5Conditioning
from litefocus_jax.models.unet.network import Context, UNet
from litefocus_jax.models.unet.transformer import PromptKeys
from litefocus_jax.parallel.mesh import EVERYWHERE, GUIDANCE_AXIS
from litefocus_jax.parallel.processes import gathered, spans_processes
from litefocus_jax.parallel.time_axis import FrameShares
from litefocus_jax.system.kept_jit import KeptJit
from litefocus_jax.system.packing import Packed
from litefocus_jax.system.platform import LowMemoryJit, current_platform, targeting
from litefocus_jax.system.waiting import wait_for

logger = logging.getLogger(__name__)


def random_keys(seed: int, waveforms: Sequence[int]) -> RandomKeys:
    """Keys that depend on the seed and on the number of each sound's waveform, not on the rest of the batch.

    A prompt therefore sounds the same alone and among others, and each of its waveforms alone and among others.

    Args:
        seed: of all randomness.
        waveforms: one number per sound, from 0; see `Request.waveforms`.
    """
    return _keys_of(jax.random.key(seed), np.asarray(waveforms, np.int32))


@jax.jit
def _keys_of(key: Key[Array, ""], waveforms: Int[Array, " sounds"]) -> RandomKeys:
    latents, steps, litefocus = jax.random.split(key, 3)
    per_sound = jax.vmap(jax.random.fold_in, (None, 0))
    return RandomKeys(per_sound(latents, waveforms), per_sound(steps, waveforms), litefocus)


@functools.partial(jax.jit, static_argnames="shape")
def initial_latents(
    keys: Key[Array, " sounds"], shape: tuple[int, int, int]
) -> Float[Array, "sounds time frequency channels"]:
    """Standard normal latents, each from its own key; ``shape`` is ``(time, frequency, channels)``."""
    return jax.vmap(lambda key: jax.random.normal(key, shape, jnp.float32))(keys)


@functools.partial(KeptJit, results=(TextConditioning, ClassConditioning, T5Conditioning))
def encode(
    encoders: Encoders,
    tokens: Tokens | None,
    negative: Conditioning | None = None,
    positive: Conditioning | None = None,
    zeros: Bool[Array, " prompts"] | None = None,
) -> Conditioning:
    """What the UNet gets to know of the negative prompts (under guidance) followed by the prompts.

    Args:
        encoders: of the model.
        tokens: of all prompts that are given as text; None where there are none.
        negative: what is known of the negative prompts already.
        positive: what is known of the prompts already.
        zeros: true for those of the tokens whose GPT-2's vectors are zeros; None where none are.
    """
    encoded: Any = None if tokens is None else encoders.encode(tokens)  # pyright: ignore[reportArgumentType]
    encoded = encoded if encoded is None or zeros is None else zero_generated(encoded, zeros)
    parts: list[Any] = [part for part in (negative, encoded, positive) if part is not None]
    if len(parts) == 1:
        return parts[0]
    return type(parts[0]).joined(parts)


@functools.partial(KeptJit, static_argnames="num_waveforms_per_prompt", results=(Context, PromptKeys))
def project_context(unet: UNet, conditioning: Conditioning, *, num_waveforms_per_prompt: int) -> Context:
    """What the UNet reads of the prompts, such as keys and values of every cross-attention, which no step changes.

    The conditioning's batch is the prompts, preceded by the negative prompts under guidance; each is repeated for its
    waveforms.
    """
    repeated = jax.tree.map(lambda array: jnp.repeat(array, num_waveforms_per_prompt, axis=0), conditioning)
    return repeated.context(unet)


@functools.partial(KeptJit, jit=LowMemoryJit, static_argnames="plan", results=(SchedulerState,))
def denoise(
    arguments: Arguments,
    schedule: Schedule,
    first_step: Int[Array, ""],
    guidance_scale: Float[Array, ""],
    *,
    plan: DenoisingPlan,
) -> SchedulerState:
    """Run the steps of a schedule in one ``lax.scan``.

    Classifier-free guidance (Ho and Salimans, arXiv 2207.12598) runs both branches as one batch of twice the size, the
    negative prompts first: ``output = negative + guidance_scale * (positive - negative)``. On a mesh with a guidance
    axis each of two groups of devices runs one of them.

    Args:
        arguments: on a mesh as `spread_arguments` lays them out.
        schedule: the rows to run, possibly a part of a longer schedule.
        first_step: number of the first row within the whole generation; it enters the random draws.
        guidance_scale: ignored unless the plan is guided.
        plan: all that is static. All windows of a step share what LiteFocus draws.
    """
    if isinstance(arguments.unet, Packed):
        arguments = arguments._replace(unet=arguments.unet.whole)
    if plan.mesh is None:
        return _run_steps(arguments, schedule, first_step, guidance_scale, plan)
    shares = shares_of(arguments.unet.config, plan)

    def run_share(arguments: Arguments, schedule: Schedule, first_step: Array, guidance_scale: Array) -> SchedulerState:
        if plan.guided and not plan.changes_prompt:
            context = jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), arguments.context)
            arguments = arguments._replace(context=context)
        if shares is None:
            return _run_steps(arguments, schedule, first_step, guidance_scale, plan)
        arguments = arguments._replace(unet=on_shares(arguments.unet, shares))
        with targeting(current_platform().for_one_of(shares.devices)):
            return _run_steps(arguments, schedule, first_step, guidance_scale, plan, shares)

    run_shares = jax.shard_map(
        run_share,
        mesh=plan.mesh,
        in_specs=(specs(plan), EVERYWHERE, EVERYWHERE, EVERYWHERE),
        out_specs=per_frame(plan.mesh),
        # The models' loops begin with zeros, which the check takes for values that all devices share.
        check_vma=False,
    )
    return run_shares(arguments, schedule, first_step, guidance_scale)


def _run_steps(
    arguments: Arguments,
    schedule: Schedule,
    first_step: Array,
    guidance_scale: Array,
    plan: DenoisingPlan,
    shares: FrameShares | None = None,
) -> SchedulerState:
    """`denoise` on one device, or on a device's share of the sounds, and of their frames where ``shares`` are given."""
    unet, context, state, keys, known = arguments
    attention, windows = plan.attention, plan.windows
    time_embeddings = unet.embed_time(jnp.asarray(schedule.steps.timestep))  # [S, D]
    if windows is not None and not windows.stretches:
        context = jax.tree.map(lambda array: jnp.repeat(array, windows.call_size, axis=0), context)

    def body(state: SchedulerState, xs: tuple) -> tuple[SchedulerState, None]:
        row, time_embedding, number = xs
        is_drawn_once = attention.sets is not None and attention.sets.resample == "once"
        attention_key = keys.litefocus if is_drawn_once else jax.random.fold_in(keys.litefocus, number)

        def predict(latents: Array, prompts: Array | None = None) -> Array:
            sample = latents.astype(unet.dtype)
            if plan.guided and not plan.splits_guidance:
                sample = jnp.concatenate([sample, sample])
            own = context if prompts is None else _contexts_of(context, prompts, len(sample), guided=plan.guided)
            output = unet(sample, time_embedding, own, attention=attention, key_rng=attention_key)
            output = output.astype(jnp.float32)
            if plan.guided:
                is_split = plan.splits_guidance
                negative, positive = jax.lax.all_gather(output, GUIDANCE_AXIS) if is_split else jnp.split(output, 2)
                output = negative + guidance_scale * (positive - negative)
            return output

        if known is not None:
            state = state._replace(latents=hold(known, state.latents, row.timestep))
        output = predict(state.latents) if windows is None else merge_windows(windows, predict, state.latents)
        noise = None
        if schedule.is_stochastic:
            step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys.steps, number)
            frames, *others = output.shape[1:]
            shape = (frames if shares is None else plan.frames, *others)
            noise = jax.vmap(lambda key: jax.random.normal(key, shape, jnp.float32))(step_keys)
            noise = noise if shares is None else shares.own_part(noise)
        return step(schedule, row, state, output, noise), None

    numbers = first_step + jnp.arange(schedule.num_steps)
    state, _ = jax.lax.scan(body, state, (schedule.steps, time_embeddings, numbers))
    return state


def _contexts_of(context: Context, prompts: Int[Array, " call_size"], count: int, *, guided: bool) -> Context:
    """The contexts of the windows of a call: each sound has one under each of the given prompts.

    Args:
        context: of all prompts, ``[prompts, ...]``, preceded by the negative ones under guidance.
        prompts: numbers of those of a sound's windows.
        count: windows of all sounds, under guidance twice.
        guided: whether there are negative prompts.
    """
    branches = 2 if guided else 1

    def pick(array: Array) -> Array:
        rows = array.reshape(branches, -1, *array.shape[1:])[:, prompts]  # [G, W, ...]
        sounds = count // (branches * len(prompts))
        rows = jnp.broadcast_to(rows[:, None], (branches, sounds, *rows.shape[1:]))
        return rows.reshape(count, *array.shape[1:])

    return jax.tree.map(pick, context)


class Progress(NamedTuple):
    """How far `sample` has come.

    Attributes:
        steps_done: a multiple of ``steps_per_call``.
        steps_per_call: of the program that did them; another program would round differently.
        state: after these steps.
    """

    steps_done: int
    steps_per_call: int
    state: SchedulerState


class AfterStep(NamedTuple):
    """What becomes of `sample` after a call.

    Attributes:
        latents: to go on with in the place of the sampler's, or None.
        goes_on: whether there are to be further steps.
    """

    latents: Float[Array, "sounds time frequency channels"] | None
    goes_on: bool


def sample(
    arguments: Arguments,
    schedule: Schedule,
    guidance_scale: float,
    plan: DenoisingPlan,
    *,
    first_step: int = 0,
    on_progress: Callable[[int], None] | None = None,
    on_call: Callable[[Progress], None] | None = None,
    after_call: Callable[[Progress], AfterStep] | None = None,
) -> Float[Array, "sounds time frequency channels"]:
    """Denoise from start to end, telling ``on_progress`` the number of steps done, and answering Ctrl-C.

    Nothing inside the compiled loop talks to the host: a callback would stop an accelerator at every step. Instead the
    loop is cut into calls of `denoise` of equal length (``plan.steps_per_call``), so that one program serves all, and
    the state stays on the device between them. The host queues the next call before it waits for the last one, and
    waits in a way that Ctrl-C ends. The cost is one dispatch of a few milliseconds per call, which an accelerator hides
    behind the call that is running. After Ctrl-C the device still finishes the calls it was given, two at most.

    After every call ``on_call`` is given how far it has come: with that state among the arguments and its number of
    steps as ``first_step``, a later call goes on from there.

    Before that ``after_call`` is given the same, and says what to go on with, and whether to. The next call waits for
    it, which costs an accelerator its queue.

    On a mesh its devices share the sounds, and those along its time axis the frames of each sound; all that is given
    and returned lies on one device, of several processes on one of each.
    """
    length = plan.steps_per_call
    queued_ahead = current_platform().calls_queued_ahead if after_call is None else 0
    scale = jnp.float32(guidance_scale)
    given, config = arguments.state.latents, arguments.unet.config
    sounds, frames = given.shape[:2]
    arguments = packed_arguments(spread_arguments(arguments, plan))
    running: collections.deque[Progress] = collections.deque()
    goes_on = True
    logger.debug("sampling starts")
    for start in range(first_step, schedule.num_steps, length):
        state = denoise(arguments, _part(schedule, start, length), jnp.int32(start), scale, plan=plan)
        arguments = arguments._replace(state=state)
        running.append(Progress(start + length, length, state))
        is_last = start + length == schedule.num_steps
        while len(running) > (0 if is_last else queued_ahead):
            finished = running.popleft()
            wait_for(finished.state.latents, queued=state)
            if finished.steps_done == first_step + length:
                logger.debug("first step done" if length == 1 else f"first {length} steps done")
            if on_progress is not None:
                on_progress(finished.steps_done)
            if on_call is None and after_call is None:
                continue
            whole = finished._replace(state=_whole(finished.state, plan, sounds, frames))
            verdict = AfterStep(None, True) if after_call is None else after_call(whole)
            if verdict.latents is not None:
                whole = whole._replace(state=whole.state._replace(latents=verdict.latents))
                arguments = arguments._replace(state=spread_state(whole.state, plan, config))
            if on_call is not None:
                on_call(whole)
            goes_on = verdict.goes_on
        if not goes_on:
            break
    if plan.mesh is None:
        return arguments.state.latents
    return jax.device_put(_whole(arguments.state, plan, sounds, frames).latents, given.sharding)


def _whole(state: SchedulerState, plan: DenoisingPlan, sounds: int, frames: int) -> SchedulerState:
    """A state without what fills the shares of a mesh's devices; of several processes, all of it in each of them."""
    if plan.mesh is not None and spans_processes(plan.mesh):
        state = jax.tree.map(jnp.asarray, gathered(plan.mesh, state))
    return jax.tree.map(lambda array: array[:sounds, :frames], state)


def compile_ahead(
    unet: UNet,
    encode_arguments: tuple[Any, ...],
    latents: Float[Array, "sounds time frequency channels"],
    keys: RandomKeys,
    num_waveforms_per_prompt: int,
    schedule: Schedule,
    plan: DenoisingPlan,
    known: Known | None = None,
) -> Future[Compiled]:
    """Compile the loop that `sample` is going to call, or read it from the cache, in another thread.

    It needs the shapes of the prompts alone, so that it can go on while these are encoded. The future's program is for
    its memory analysis: `sample` finds it by itself.

    Args:
        unet: as for `sample`.
        encode_arguments: what `encode` is going to be called with.
        latents: the noise to begin with.
        keys: as for `sample`.
        num_waveforms_per_prompt: as for `project_context`.
        schedule: as for `sample`.
        plan: as for `sample`.
        known: as of `Arguments`.
    """

    def compile_denoise() -> Compiled:
        conditioning = encode.eval_shape(*encode_arguments)
        context = project_context.eval_shape(unet, conditioning, num_waveforms_per_prompt=num_waveforms_per_prompt)
        state = jax.eval_shape(functools.partial(initial_state, schedule), latents)
        arguments = packed_arguments(spread_arguments(Arguments(unet, context, state, keys, known), plan))
        part = _part(schedule, 0, plan.steps_per_call)
        return denoise.lower(arguments, part, jnp.int32(0), jnp.float32(1), plan=plan).compile()

    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compile")
    # With the context of the caller, so that it is compiled for the same platform.
    future = executor.submit(contextvars.copy_context().run, compile_denoise)
    executor.shutdown(wait=False)
    return future


def _part(schedule: Schedule, start: int, length: int) -> Schedule:
    """The rows that one call of `denoise` runs, from the given one on."""
    return dataclasses.replace(schedule, steps=schedule.rows(start, start + length))
