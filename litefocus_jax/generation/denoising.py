"""From a request to its latents: inputs, programs and memory in order, then the loop over steps."""

import dataclasses
import math
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from jax.sharding import Mesh
from jax.stages import Compiled
from jaxtyping import Array, Float

from litefocus_jax.checkpoint.fingerprint import fingerprint
from litefocus_jax.decoding.plan import DecodingPlan
from litefocus_jax.decoding.programs import DecodingPrograms, lower_programs
from litefocus_jax.diffusion.inpainting import hold_clean
from litefocus_jax.diffusion.schedulers import initial_state
from litefocus_jax.generation import sampling
from litefocus_jax.generation.callbacks import StepCallbacks
from litefocus_jax.generation.inputs import Inputs, make_inputs
from litefocus_jax.generation.least_memory import require_least_memory
from litefocus_jax.generation.needs import Estimate, estimate_memory, estimate_time, require_memory
from litefocus_jax.generation.networks import Networks
from litefocus_jax.generation.plan import DenoisingPlan
from litefocus_jax.generation.request import Request
from litefocus_jax.generation.resume import PartialRun, ResumableRun, facts_of_run
from litefocus_jax.models.components import Components
from litefocus_jax.models.tokenization import Tokenizer
from litefocus_jax.models.unet.exchange import exchange_along_time
from litefocus_jax.parallel.exchange import Exchange, exchange_of_step
from litefocus_jax.parallel.mesh import DATA_AXIS
from litefocus_jax.parallel.processes import require_same, spans_processes, together
from litefocus_jax.parallel.time_axis import TIME_AXIS
from litefocus_jax.system.platform import current_platform, release_unused_memory
from litefocus_jax.system.progress import busy, progress_bar
from litefocus_jax.system.waiting import require_finite


class Denoised(NamedTuple):
    """What `Denoiser.denoise` returns.

    Attributes:
        latents: of all sounds, with stereo of both sides of each.
        steps_done: fewer than asked for where a callback ended it.
        run: on disk, or None.
    """

    latents: Float[Array, "sounds time frequency channels"]
    steps_done: int
    run: ResumableRun | None


class Denoiser:
    """A model and its tokenizers, which make latents of requests.

    Args:
        components: the model.
        networks: of the model.
        tokenizers: of the model: CLAP's, and T5's or that of phonemes if it has one.
    """

    def __init__(self, components: Components, networks: Networks, tokenizers: Sequence[Tokenizer]) -> None:
        self._components, self._networks = components, networks
        self._tokenizers = tokenizers

    def inputs(self, request: Request) -> Inputs:
        """What the programs take for a request."""
        return make_inputs(self._components, self._tokenizers, request)

    def compile_ahead(self, request: Request, inputs: Inputs, plan: DenoisingPlan) -> Future[Compiled]:
        """Compile the denoising loop of a request in another thread; see `sampling.compile_ahead`."""
        return sampling.compile_ahead(
            self._networks.unet(plan),
            inputs.tokens,
            inputs.latents,
            inputs.keys,
            _contexts_per_prompt(request),
            request.schedule,
            plan,
            inputs.known,
        )

    def denoise(
        self,
        request: Request,
        callbacks: StepCallbacks,
        decoding: DecodingPlan | None,
        *,
        partial_run: PartialRun | None,
        check_memory: bool,
        progress: bool,
    ) -> Denoised:
        """Make the latents of a request; the arguments and errors are those of `AudioLDM2Pipeline.run`.

        Args:
            request: what is asked for.
            callbacks: of the user's own.
            decoding: of what comes after, whose memory is counted too; None where it is not worth compiling it ahead.
            partial_run: where it is kept on disk.
            check_memory: find out before whether it can fit.
            progress: draw a bar.
        """
        if not request.schedule.num_steps:  # of a sound that is given, and left as it is
            return Denoised(self.inputs(request).latents, 0, None)
        # What goes wrong in one process is found out before another one waits for it.
        with together(request.plan.mesh, "preparing the generation"):
            if check_memory:
                require_least_memory(
                    request, self._components.unet.config, self._components.facts.geometry, self._components.dtype
                )
            inputs = self.inputs(request)
            run = None if partial_run is None else ResumableRun(partial_run, request, self._components, inputs.latents)
            plan = request.plan if run is None else run.plan
            plan = dataclasses.replace(plan, steps_per_call=math.gcd(plan.steps_per_call, callbacks.block))
        earlier = run and run.earlier
        require_same(request.plan.mesh, self._facts(request, inputs, earlier))
        with together(request.plan.mesh, "compiling its programs"):
            arguments = self._prepared(request, inputs, plan, decoding, check_memory=check_memory, progress=progress)
        release_unused_memory()
        steps_done = request.schedule.num_steps

        def after_step(done: sampling.Progress) -> sampling.AfterStep:
            nonlocal steps_done
            verdict = callbacks.after_step(request.schedule, done)
            if not verdict.goes_on:
                steps_done = done.steps_done
            return verdict

        with progress_bar("Denoising", request.schedule.num_steps, enabled=progress) as on_progress:
            latents = sampling.sample(
                arguments if earlier is None else arguments._replace(state=earlier.state),
                request.schedule,
                request.guidance_scale,
                plan,
                first_step=0 if earlier is None else earlier.steps_done,
                on_progress=on_progress,
                on_call=run and run.after_call,
                after_call=after_step if callbacks.block else None,
            )
        require_finite("UNet", latents, dtype=self._components.dtype)
        if inputs.known is not None:
            latents = hold_clean(inputs.known, latents)
        return Denoised(latents, steps_done, run)

    def _prepared(
        self,
        request: Request,
        inputs: Inputs,
        plan: DenoisingPlan,
        decoding: DecodingPlan | None,
        *,
        check_memory: bool,
        progress: bool,
    ) -> sampling.Arguments:
        """What denoising takes, once its program is there and known to fit."""
        with busy("Encoding the prompts, compiling the UNet", enabled=progress):
            compiled = self.compile_ahead(request, inputs, plan)
            arguments = self._arguments(request, inputs, plan)
        with busy("Compiling the UNet", enabled=progress):
            decoders = self._decoders(request, decoding) if decoding is not None and check_memory else None
            is_compiled = compiled.exception() is None  # else it goes wrong again below, where it is raised
        if is_compiled and check_memory:
            with busy("Compiling the decoder", enabled=progress and decoding is not None):
                needs = estimate_memory(self._components, compiled.result(), decoders)
            require_memory(needs, request, self._components)
        return arguments

    def _decoders(self, request: Request, decoding: DecodingPlan) -> DecodingPrograms:
        """The programs that decode a request on its devices."""
        mesh = None if decoding.is_whole else request.plan.mesh
        vae, vocoder = self._networks.decoders(loop=False, mesh=mesh)
        return lower_programs(vae, vocoder, decoding, self._components.facts.geometry.frequencies, mesh)

    def _facts(self, request: Request, inputs: Inputs, earlier: sampling.Progress | None) -> dict[str, Any]:
        """All that has to be the same in the processes of a mesh; of other requests nothing."""
        if request.plan.mesh is None or not spans_processes(request.plan.mesh):
            return {}
        return {
            **facts_of_run(request, self._components.dtype, inputs.latents),
            **{f"model: {name}": value for name, value in fingerprint(self._components).items()},
            "order of the mesh's devices": [device.id for device in request.plan.mesh.devices.flat],
            "steps that were done before, by the file of the partial run": earlier and earlier.steps_done,
        }

    def estimate(self, request: Request, decoding: DecodingPlan) -> Estimate:
        """What a request will take on this device; see `AudioLDM2Pipeline.estimate`."""
        if spans_processes(request.plan.mesh):
            raise ValueError(
                "the mesh has devices of several processes, which cannot be timed one by one; expected a request for a "
                "mesh of one process, or without mesh"
            )
        inputs = self.inputs(request)
        compiled = self.compile_ahead(request, inputs, request.plan).result()
        memory = estimate_memory(self._components, compiled, self._decoders(request, decoding))
        exchange = (
            None
            if request.plan.mesh is None
            else self._exchange(request.plan, request.plan.mesh, len(inputs.latents), compiled)
        )
        if not memory.suffices:
            return Estimate(memory, None, exchange)
        arguments = self._arguments(request, inputs, request.plan)
        return Estimate(memory, estimate_time(arguments, request, self._components, decoding), exchange)

    def _exchange(self, plan: DenoisingPlan, mesh: Mesh, sounds: int, compiled: Compiled) -> Exchange:
        if not current_platform().loops_over_layers:
            return exchange_of_step(compiled)
        # Of a loop over layers it cannot be read how often which branch is taken.
        unet, own_sounds = self._components.unet, -(-sounds // mesh.shape[DATA_AXIS])
        return exchange_along_time(
            unet.config,
            plan.frames,
            self._components.facts.geometry.frequencies,
            devices=mesh.shape[TIME_AXIS],
            batch=own_sounds * (2 if plan.guided and not plan.splits_guidance else 1),
            bytes_per_number=unet.dtype.itemsize,
            attention=plan.attention,
        )

    def _arguments(self, request: Request, inputs: Inputs, plan: DenoisingPlan) -> sampling.Arguments:
        """What denoising takes before its first step: the prompts are encoded."""
        conditioning = sampling.encode(*inputs.tokens)
        require_finite("text encoders", conditioning)
        context = sampling.project_context(
            self._components.unet, conditioning, num_waveforms_per_prompt=_contexts_per_prompt(request)
        )
        state = initial_state(request.schedule, inputs.latents)
        return sampling.Arguments(self._networks.unet(plan), context, state, inputs.keys, inputs.known)


def _contexts_per_prompt(request: Request) -> int:
    """How often what the network gets to know of a prompt is repeated: for each side of each waveform, but along one
    sound once."""
    return 1 if request.plan.changes_prompt else request.num_waveforms_per_prompt * request.sides
