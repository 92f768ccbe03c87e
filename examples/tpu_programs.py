"""What XLA makes of this project's programs for TPUs that are not there: memory, code and exchange of each chip.

    pip install 'jax[tpu]'
    python -m examples.tpu_programs --topology v5e:2x4 --mesh 1x1 --mesh 1x8 --program dense --program decoder

libtpu compiles for a topology without a chip; nothing is run, and nothing says how long a program would take. A line
for each program: what its activations take beside weights and arguments, its code, what a chip receives from others in
a step, and how long it took to compile here. One process at a time can compile.
"""

import argparse
import dataclasses
import functools
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, Sharding, SingleDeviceSharding
from jax.stages import Lowered

from litefocus_jax.checkpoint.random_model import sub_model_configs
from litefocus_jax.checkpoint.weights import abstract, leaves
from litefocus_jax.decoding.plan import TilingConfig, plan_decoding
from litefocus_jax.decoding.programs import lower_programs
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.diffusion.schedulers import initial_state, make_schedule
from litefocus_jax.generation.length import sound_length
from litefocus_jax.generation.plan import DenoisingPlan
from litefocus_jax.generation.sampling import denoise, project_context
from litefocus_jax.generation.spreading import Arguments, RandomKeys, spread_arguments
from litefocus_jax.models.components import NETWORKS, LatentGeometry
from litefocus_jax.models.conditioning import TextConditioning
from litefocus_jax.models.unet.looped import loop_over_transformers
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.models.vae import VAE, LatentDistribution
from litefocus_jax.models.vocoder import Vocoder
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.parallel.exchange import Exchange, exchange_of_step
from litefocus_jax.parallel.mesh import DATA_AXIS, EVERYWHERE, TIME_AXIS
from litefocus_jax.system.platform import platform_named, targeting
from litefocus_jax.training.config import LOSS_MODELS, TrainingConfig
from litefocus_jax.training.distribution import Distribution
from litefocus_jax.training.losses import Batch
from litefocus_jax.training.state import Architecture, first_state
from litefocus_jax.training.step import PER_CLIP, update

ATTENTIONS: dict[str, LiteFocusConfig | None] = {
    "dense": None,
    "litefocus": LiteFocusConfig(),
    "everywhere": LiteFocusConfig(levels="all"),
    "linear": LiteFocusConfig.linear(),
}
PROMPT_LENGTHS = (8, 32)  # vectors of GPT-2, tokens of T5


@dataclasses.dataclass(frozen=True)
class Program:
    """What XLA has compiled for chips that are not there; of several programs that run one after another, together.

    Attributes:
        activations: bytes that a chip takes beside arguments and results, at most.
        code: bytes of the programs themselves, on each chip.
        exchange: of one round of the loop over steps, or of all of the programs; None where some branches alone
            exchange, as in `litefocus_jax.models.unet.looped`.
        seconds: that compiling took.
    """

    activations: int
    code: int
    exchange: Exchange | None
    seconds: float

    @classmethod
    def of(cls, lower: Callable[[], Sequence[Lowered]]) -> "Program":
        """Compile what a function lowers, for TPUs."""
        begin = time.monotonic()
        with targeting(platform_named("tpu")):
            programs = [lowered.compile() for lowered in lower()]
        memory: list[Any] = [program.memory_analysis() for program in programs]
        try:
            exchange = _together([exchange_of_step(program) for program in programs])
        except ValueError:
            exchange = None
        return cls(
            max(each.temp_size_in_bytes for each in memory),
            sum(each.generated_code_size_in_bytes for each in memory),
            exchange,
            time.monotonic() - begin,
        )


def _together(exchanges: Sequence[Exchange]) -> Exchange:
    """What programs that run one after another exchange."""
    operations, received = Counter[str](), Counter[str]()
    for exchange in exchanges:
        operations.update(exchange.operations)
        received.update(exchange.received)
    return Exchange(operations, received)


def devices_of(topology: str) -> np.ndarray:
    """The chips of a topology, such as ``"v5e:2x4"``, as far as a compiler needs them.

    Raises:
        RuntimeError: from JAX, where ``jax[tpu]`` is not installed or does not know the topology.
    """
    # Without these libtpu asks the network what machine it is on.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    return np.array(topologies.get_topology_desc(topology_name=topology, platform="tpu").devices)


def denoising_program(
    configs: dict[str, Any],
    devices: np.ndarray,
    duration: float,
    litefocus: LiteFocusConfig | None,
    *,
    steps: int = 10,
    straight: bool = False,
) -> Program:
    """The loop of `denoise`, in bfloat16 and under guidance, of one sound for each row of devices.

    Args:
        configs: of the model's networks.
        devices: ``[data, time]``.
        duration: of the sounds in seconds.
        litefocus: of the attention.
        steps: in one call.
        straight: lay transformers out one after another on several chips too, where generation runs them in loops.
    """
    geometry = LatentGeometry.from_configs(**configs)
    frames, sounds = sound_length(duration, None, geometry, None, loop=False).frames, len(devices)
    unet = abstract(UNet, configs["unet"], jnp.bfloat16)
    if devices.size > 1 and not straight:
        unet = jax.eval_shape(loop_over_transformers, unet)
    dims = [dim for dim in configs["unet"].cross_attention_dim_per_level[-1] if dim is not None]
    generated, text = (
        jax.ShapeDtypeStruct((2 * sounds, length, dim), jnp.bfloat16)
        for length, dim in zip(PROMPT_LENGTHS, dims, strict=True)
    )
    mask = jax.ShapeDtypeStruct(text.shape[:2], jnp.bool_)
    project = functools.partial(project_context, num_waveforms_per_prompt=1)
    context = jax.eval_shape(project, unet, TextConditioning(generated, text, mask))  # pyright: ignore[reportArgumentType]
    schedule = make_schedule(SchedulerConfig(), steps)
    latents = jax.ShapeDtypeStruct((sounds, frames, geometry.frequencies, geometry.channels), jnp.float32)
    state = jax.eval_shape(lambda latents: initial_state(schedule, latents), latents)
    one_each = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), sounds))
    keys = RandomKeys(one_each, one_each, jax.eval_shape(lambda: jax.random.key(0)))
    attention = DenoisingPlan(frames).attention if litefocus is None else litefocus.layout(geometry.frame_in_s)
    mesh = Mesh(devices, (DATA_AXIS, TIME_AXIS)) if devices.size > 1 else None
    plan = DenoisingPlan(frames, steps, attention=attention, mesh=mesh)
    arguments = spread_arguments(Arguments(unet, context, state, keys), plan)
    if mesh is None:
        arguments = _placed(arguments, SingleDeviceSharding(devices.flat[0]))
    return Program.of(lambda: [denoise.lower(arguments, schedule, jnp.int32(0), jnp.float32(1), plan=plan)])


def decoding_program(configs: dict[str, Any], devices: np.ndarray, duration: float) -> Program:
    """The decoder and the vocoder: of one chip in one piece, of several in tiles that they share.

    Args:
        configs: of the model's networks.
        devices: ``[data, time]``.
        duration: of the sound in seconds.
    """
    geometry = LatentGeometry.from_configs(**configs)
    mesh = Mesh(devices, (DATA_AXIS, TIME_AXIS)) if devices.size > 1 else None
    place = SingleDeviceSharding(devices.flat[0]) if mesh is None else NamedSharding(mesh, EVERYWHERE)
    vae, vocoder = (
        _placed(abstract(model, configs[name]), place) for name, model in (("vae", VAE), ("vocoder", Vocoder))
    )
    tiling = TilingConfig(whole_up_to_in_s=duration if mesh is None else 0.0)
    frames = sound_length(duration, None, geometry, None, loop=False).frames
    plan = plan_decoding(configs["vae"], configs["vocoder"], frames, tiling)
    return Program.of(lambda: [*itertools.chain(*lower_programs(vae, vocoder, plan, geometry.frequencies, mesh))])


def training_program(configs: dict[str, Any], devices: np.ndarray, *, clips_per_device: int = 1) -> Program:
    """An update of the UNet of `finetune` in bfloat16; several chips have shares of weights and moments.

    Args:
        configs: of the model's networks.
        devices: ``[data]``.
        clips_per_device: of the training length.
    """
    distribution = Distribution(Mesh(devices, (DATA_AXIS,)), "fsdp")
    count = clips_per_device * devices.size
    config = TrainingConfig(steps=100, batch_size=count, dtype="bfloat16", rematerialise=True)
    read = tuple((name, configs[name]) for name in LOSS_MODELS)
    architecture = Architecture(read, SchedulerConfig(), configs["vae"].scaling_factor)
    networks = {name: leaves(abstract(NETWORKS[name].model_class, given)) for name, given in read}
    state = jax.eval_shape(lambda weights: first_state(weights, config), {"unet": networks.pop("unet")})
    frozen = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16), networks)
    geometry = LatentGeometry.from_configs(**configs)
    latents = (count, geometry.training_frames, geometry.frequencies, geometry.channels)
    clap, t5 = (count, 64), (count, PROMPT_LENGTHS[1])
    batch = Batch(
        LatentDistribution(*[jax.ShapeDtypeStruct(latents, jnp.float32)] * 2),  # pyright: ignore[reportArgumentType]
        *(jax.ShapeDtypeStruct(shape, kind) for shape in (clap, t5) for kind in (jnp.int32, jnp.bool_)),  # pyright: ignore[reportArgumentType]
    )
    state, frozen = (
        jax.tree.map(
            lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
            tree,
            distribution.shardings(tree),
        )
        for tree in (state, frozen)
    )
    batch = _placed(batch, NamedSharding(distribution.mesh, PER_CLIP))
    key = _placed(jax.eval_shape(lambda: jax.random.key(0)), NamedSharding(distribution.mesh, EVERYWHERE))
    return Program.of(
        lambda: [
            update.lower(state, frozen, batch, key, architecture=architecture, config=config, distribution=distribution)
        ]
    )


def _placed(tree: Any, place: Sharding) -> Any:
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), tree)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--topology", default="v5e:2x4", help="as libtpu names it: v5e:2x4, v6e:2x4, v5p:2x2x1")
    parser.add_argument("--mesh", action="append", metavar="DATAxTIME", help="chips; may be given again")
    parser.add_argument(
        "--program", action="append", choices=(*ATTENTIONS, "decoder", "training"), help="may be given again"
    )
    parser.add_argument("--size", default="audioldm2", help="a published shape")
    parser.add_argument("--duration", type=float, default=80.0, help="seconds of a sound")
    parser.add_argument("--straight", action="store_true", help="without loops over transformers on several chips")
    options = parser.parse_args(arguments)
    devices, configs = devices_of(options.topology), sub_model_configs(options.size)
    print("| chips | program | activations MB | code MB | received MB | compiled in s |\n|" + "---|" * 6, flush=True)
    for mesh in options.mesh or ["1x1", f"1x{len(devices)}"]:
        data, time_ = (int(number) for number in mesh.split("x"))
        chips = devices[: data * time_].reshape(data, time_)
        for name in options.program or ["dense"]:
            if name == "decoder":
                made = decoding_program(configs, chips, options.duration)
            elif name == "training":
                made = training_program(configs, chips.reshape(-1))
            else:
                made = denoising_program(configs, chips, options.duration, ATTENTIONS[name], straight=options.straight)
            print(f"| {options.topology} {mesh} | {name} | {_figures(made)} |", flush=True)


def _figures(program: Program) -> str:
    """The last columns of a line."""
    received = "-"
    if program.exchange is not None:
        operations = program.exchange.operations
        parts = (f"{size / 1e6:.1f} in {operations[kind]} {kind}" for kind, size in program.exchange.received.items())
        received = ", ".join(parts) or "0"
    sizes = (f"{size / 1e6:.0f}" for size in (program.activations, program.code))
    return " | ".join([*sizes, received, f"{program.seconds:.0f}"])


if __name__ == "__main__":
    main()
