"""The jitted functions of a generation: encode the prompts, denoise the latents, decode them to sound.

Each is a pure function of models, arrays and keys. Models go in as arguments and never as closures, so their weights
are not baked into the programs; what sets a shape is static, and what a user turns (seed, guidance scale, prompts) is
traced, so that turning it compiles nothing new.
"""

import collections
import dataclasses
import functools
import logging
import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.stages import Compiled
from jaxtyping import Array, Float, Int, Key

from litefocus_jax.diffusion.schedulers import Schedule, SchedulerState, initial_state, step
from litefocus_jax.diffusion.windows import WindowLayout, merge_windows
from litefocus_jax.models.conditioning import TextConditioning, encode_text
from litefocus_jax.models.unet.network import Context, UNet
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.parallel.mesh import denoise_shares, spread_arguments
from litefocus_jax.system.platform import LowMemoryJit
from litefocus_jax.system.waiting import wait_for

logger = logging.getLogger(__name__)

# Steps run by one call of the compiled loop. An accelerator is kept busy by ten; on a CPU a single step takes long
# enough that the user wants to see each one.
_STEPS_PER_CALL = {"cpu": 1}
_DEFAULT_STEPS_PER_CALL = 10
_POLL_INTERVAL_IN_S = 0.005


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


def random_keys(seed: int, num_prompts: int, num_waveforms_per_prompt: int) -> RandomKeys:
    """Keys that depend on the seed and on the waveform's number within its prompt, not on the rest of the batch.

    A prompt therefore sounds the same alone and among others.
    """
    latents, steps, litefocus = jax.random.split(jax.random.key(seed), 3)
    waveform = jnp.tile(jnp.arange(num_waveforms_per_prompt), num_prompts)
    per_sound = jax.vmap(jax.random.fold_in, (None, 0))
    return RandomKeys(per_sound(latents, waveform), per_sound(steps, waveform), litefocus)


@functools.partial(jax.jit, static_argnames="shape")
def initial_latents(
    keys: Key[Array, " sounds"], shape: tuple[int, int, int]
) -> Float[Array, "sounds time frequency channels"]:
    """Standard normal latents, each from its own key; ``shape`` is ``(time, frequency, channels)``."""
    return jax.vmap(lambda key: jax.random.normal(key, shape, jnp.float32))(keys)


encode = jax.jit(encode_text)


@functools.partial(jax.jit, static_argnames="num_waveforms_per_prompt")
def project_context(unet: UNet, conditioning: TextConditioning, num_waveforms_per_prompt: int) -> Context:
    """Keys and values of every cross-attention, which no step changes.

    The conditioning's batch is the prompts, preceded by the negative prompts under guidance; each is repeated for its
    waveforms.
    """
    repeated = jax.tree.map(lambda array: jnp.repeat(array, num_waveforms_per_prompt, axis=0), conditioning)
    return unet.project_context(
        repeated.generated_prompt_embeds.astype(unet.dtype),
        repeated.prompt_embeds.astype(unet.dtype),
        repeated.attention_mask,
    )


@functools.partial(LowMemoryJit, static_argnames=("guided", "litefocus", "windows", "mesh", "frames"))
def denoise(
    unet: UNet,
    context: Context,
    schedule: Schedule,
    state: SchedulerState,
    first_step: Int[Array, ""],
    guidance_scale: Float[Array, ""],
    keys: RandomKeys,
    *,
    guided: bool,
    litefocus: LiteFocusConfig | None,
    windows: WindowLayout | None = None,
    mesh: Mesh | None = None,
    frames: int | None = None,
) -> SchedulerState:
    """Run the steps of a schedule in one ``lax.scan``.

    Classifier-free guidance (Ho and Salimans, arXiv 2207.12598) runs both branches as one batch of twice the size, the
    negative prompts first: ``output = negative + guidance_scale * (positive - negative)``.

    Args:
        unet: computes in the dtype of its weights; the latents and the guidance stay in float32.
        context: from `project_context`.
        schedule: the rows to run, possibly a part of a longer schedule.
        state: latents ``[sounds, time, frequency, channels]`` and the scheduler's memory.
        first_step: number of the first row within the whole generation; it enters the random draws.
        guidance_scale: ignored unless ``guided``.
        keys: from `random_keys`.
        guided: whether guidance runs.
        litefocus: sparse attention, or None for dense.
        windows: where the network sees windows of the latents, their layout; all windows of a step share what
            LiteFocus draws.
        mesh: devices over which the arguments are spread by `spread_arguments`.
        frames: of the latents, given with ``mesh``, which adds some.
    """
    if mesh is not None:
        assert frames is not None, "a mesh comes with the number of frames"
        run = functools.partial(denoise, guided=guided, litefocus=litefocus, windows=windows)
        arguments = (unet, context, schedule, state, first_step, guidance_scale, keys)
        return denoise_shares(run, mesh, *arguments, guided=guided, frames=frames)
    time_embeddings = unet.embed_time(jnp.asarray(schedule.steps.timestep))  # [S, D]
    if windows is not None:
        context = jax.tree.map(lambda array: jnp.repeat(array, windows.call_size, axis=0), context)

    def body(state: SchedulerState, xs: tuple) -> tuple[SchedulerState, None]:
        row, time_embedding, number = xs
        is_drawn_once = litefocus is not None and litefocus.resample == "once"
        litefocus_key = keys.litefocus if is_drawn_once else jax.random.fold_in(keys.litefocus, number)

        def predict(latents: Array) -> Array:
            sample = latents.astype(unet.dtype)
            if guided:
                sample = jnp.concatenate([sample, sample])
            output = unet(sample, time_embedding, context, litefocus=litefocus, key_rng=litefocus_key)
            output = output.astype(jnp.float32)
            if guided:
                negative, positive = jnp.split(output, 2)
                output = negative + guidance_scale * (positive - negative)
            return output

        output = predict(state.latents) if windows is None else merge_windows(windows, predict, state.latents)
        noise = None
        if schedule.is_stochastic:
            step_keys = jax.vmap(jax.random.fold_in, (0, None))(keys.steps, number)
            noise = jax.vmap(lambda key: jax.random.normal(key, output.shape[1:], jnp.float32))(step_keys)
        return step(schedule, row, state, output, noise), None

    numbers = first_step + jnp.arange(schedule.num_steps)
    state, _ = jax.lax.scan(body, state, (schedule.steps, time_embeddings, numbers))
    return state


class PartialRun(NamedTuple):
    """How far `sample` has come.

    Attributes:
        steps_done: a multiple of ``steps_per_call``.
        steps_per_call: of the program that did them; another program would round differently.
        state: after these steps.
    """

    steps_done: int
    steps_per_call: int
    state: SchedulerState


def sample(
    unet: UNet,
    context: Context,
    schedule: Schedule,
    latents: Float[Array, "sounds time frequency channels"],
    guidance_scale: float,
    keys: RandomKeys,
    *,
    guided: bool,
    litefocus: LiteFocusConfig | None,
    windows: WindowLayout | None = None,
    length: int | None = None,
    mesh: Mesh | None = None,
    resumed: PartialRun | None = None,
    on_progress: Callable[[int], None] | None = None,
    on_call: Callable[[PartialRun], None] | None = None,
) -> Float[Array, "sounds time frequency channels"]:
    """Denoise from start to end, telling ``on_progress`` the number of steps done, and answering Ctrl-C.

    Nothing inside the compiled loop talks to the host: a callback would stop an accelerator at every step. Instead the
    loop is cut into calls of `denoise` of equal length (up to ten steps on accelerators, one on CPUs; always a divisor
    of the number of steps, so that one program serves all), and the state stays on the device between them. The host
    queues the next call before it waits for the last one, and waits by asking every few milliseconds rather than by
    blocking, because Python delivers Ctrl-C only between its own instructions. The cost is one dispatch of a few
    milliseconds per call, which an accelerator hides behind the call that is running. After Ctrl-C the device still
    finishes the calls it was given, two at most.

    ``length`` overrules the number of steps in a call. After every call ``on_call`` is given what a later run with the
    same arguments can take as ``resumed``, to go on from there.

    With a ``mesh`` (from `litefocus_jax.parallel.mesh.check_mesh`) its devices share the sounds, and those along its
    time axis the frames of each sound; all that is given and returned lies on one device.
    """
    length = call_length(schedule) if length is None else length
    queued_ahead = 0 if jax.default_backend() == "cpu" else 1
    scale = jnp.float32(guidance_scale)
    first, state = (0, initial_state(schedule, latents)) if resumed is None else (resumed.steps_done, resumed.state)
    sounds, frames = latents.shape[:2]
    if mesh is not None:
        unet, context, state, keys = spread_arguments(mesh, unet, context, state, keys, guided=guided)
    running: collections.deque[PartialRun] = collections.deque()
    logger.debug("sampling starts")
    for start in range(first, schedule.num_steps, length):
        state = denoise(
            unet,
            context,
            _part(schedule, start, length),
            state,
            jnp.int32(start),
            scale,
            keys,
            guided=guided,
            litefocus=litefocus,
            windows=windows,
            mesh=mesh,
            frames=None if mesh is None else frames,
        )
        running.append(PartialRun(start + length, length, state))
        is_last = start + length == schedule.num_steps
        while len(running) > (0 if is_last else queued_ahead):
            finished = running.popleft()
            wait_for(finished.state.latents, queued=state)
            if finished.steps_done == first + length:
                logger.debug("first step done" if length == 1 else f"first {length} steps done")
            if on_progress is not None:
                on_progress(finished.steps_done)
            if on_call is not None:
                on_call(finished._replace(state=jax.tree.map(lambda array: array[:sounds, :frames], finished.state)))
    return state.latents if mesh is None else jax.device_put(state.latents[:sounds, :frames], latents.sharding)


def compile_ahead(
    unet: UNet,
    encode_arguments: tuple[Any, ...],
    schedule: Schedule,
    latents: Float[Array, "sounds time frequency channels"],
    keys: RandomKeys,
    *,
    num_waveforms_per_prompt: int,
    guided: bool,
    litefocus: LiteFocusConfig | None,
    windows: WindowLayout | None = None,
    length: int | None = None,
    mesh: Mesh | None = None,
) -> Future[Compiled]:
    """Compile the loop that `sample` is going to call, or read it from the cache, in another thread.

    It needs the shapes of the prompts alone, so that it can go on while these are encoded. The future's program is for
    its memory analysis: `sample` finds it by itself.

    Args:
        unet: as for `sample`.
        encode_arguments: what `encode` is going to be called with.
        schedule: as for `sample`.
        latents: as for `sample`.
        keys: as for `sample`.
        num_waveforms_per_prompt: as for `project_context`.
        guided: as for `sample`.
        litefocus: as for `sample`.
        windows: as for `sample`.
        length: as for `sample`.
        mesh: as for `sample`.
    """

    def compile_denoise() -> Compiled:
        conditioning = jax.eval_shape(encode, *encode_arguments)
        project = functools.partial(project_context, num_waveforms_per_prompt=num_waveforms_per_prompt)
        context = jax.eval_shape(project, unet, conditioning)
        part = _part(schedule, 0, call_length(schedule) if length is None else length)
        state = jax.eval_shape(functools.partial(initial_state, schedule), latents)
        models, random = unet, keys
        if mesh is not None:
            models, context, state, random = spread_arguments(mesh, unet, context, state, keys, guided=guided)
        arguments = (models, context, part, state, jnp.int32(0), jnp.float32(1), random)
        frames = None if mesh is None else latents.shape[1]
        options = {"guided": guided, "litefocus": litefocus, "windows": windows, "mesh": mesh, "frames": frames}
        return denoise.lower(*arguments, **options).compile()

    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compile")
    future = executor.submit(compile_denoise)
    executor.shutdown(wait=False)
    return future


def _part(schedule: Schedule, start: int, length: int) -> Schedule:
    """The rows that one call of `denoise` runs, from the given one on."""
    return dataclasses.replace(schedule, steps=schedule.rows(start, start + length))


def call_length(schedule: Schedule, stop_every: int | None = None) -> int:
    """Steps of each call of `sample` on this device; calls end at every multiple of ``stop_every`` steps."""
    divided = schedule.num_steps if stop_every is None else math.gcd(schedule.num_steps, stop_every)
    return steps_per_call(divided, jax.default_backend())


def steps_per_call(num_steps: int, platform: str) -> int:
    """The largest number of steps per compiled call that divides the whole evenly and is not too long to wait for."""
    longest = _STEPS_PER_CALL.get(platform, _DEFAULT_STEPS_PER_CALL)
    return max(length for length in range(1, longest + 1) if num_steps % length == 0)
