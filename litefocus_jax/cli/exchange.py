"""``litefocus-jax exchange``: what a mesh of devices sends in a step, before there is one."""

from typing import Annotated, Literal

import typer

from litefocus_jax.cli.completions import complete_model
from litefocus_jax.cli.console import UsageError, messages, output, reporting_errors
from litefocus_jax.cli.models import open_model
from litefocus_jax.cli.options import sound
from litefocus_jax.cli.options.attention import LiteFocus
from litefocus_jax.cli.options.checkpoint import Heads, Revision
from litefocus_jax.cli.processes import shape_of_mesh

_MESHES = ("1x1", "1x2", "1x4", "1x8", "1x16", "1x64", "1x256")
_KINDS = {  # of XLA's collectives, and what they are for
    ("all-to-all",): "attention",
    ("collective-permute",): "convolutions",
    ("all-gather", "all-reduce"): "norms, drawn tokens",
}


def exchange(
    *,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="The checkpoint: a folder or a hub id.", autocompletion=complete_model),
    ] = None,
    size: Annotated[
        Literal["audioldm2", "audioldm2-large"], typer.Option(help="A published shape, where no model is given.")
    ] = "audioldm2",
    revision: Revision = None,
    heads: Heads = None,
    duration: sound.Duration = None,
    litefocus: LiteFocus = "auto",
    sounds: Annotated[int, typer.Option(min=1, max=10_000, help="Sounds that are made together.")] = 1,
    meshes: Annotated[
        list[str] | None,
        typer.Option(
            "--mesh",
            metavar="DATAxTIME",
            help="Devices, as generate takes them; may be given again. 1x1 to 1x256 unless given.",
        ),
    ] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], typer.Option(help="Type of the numbers on the devices.")
    ] = "bfloat16",
    rate: Annotated[
        float, typer.Option(min=0.001, max=1e6, metavar="GB/S", help="What a link between two devices carries.")
    ] = 25.0,
) -> None:
    """Print what each device of a mesh receives from others in a step of guided denoising; nothing is run.

    Sounds along the data axis exchange nothing. Time on the link is bytes over rate: without latencies, and none of it
    hidden behind computation.
    """
    with reporting_errors():
        import jax.numpy as jnp

        from litefocus_jax.checkpoint.random_model import sub_model_configs
        from litefocus_jax.generation.attention import attention_layout
        from litefocus_jax.generation.length import sound_length
        from litefocus_jax.models.components import LatentGeometry
        from litefocus_jax.models.generation_defaults import PUBLISHED
        from litefocus_jax.models.unet.exchange import exchange_along_time
        from litefocus_jax.models.unet.self_attention import frames_at_last_level

        checkpoint = None if model is None else open_model(model, revision, heads)
        configs = sub_model_configs(size, heads) if checkpoint is None else checkpoint.configs
        defaults = PUBLISHED if checkpoint is None else checkpoint.defaults
        network, geometry = configs["unet"], LatentGeometry.from_configs(**configs)
        length = sound_length(duration, None, geometry, None, loop=False)
        frames = length.frames
        attention = attention_layout(litefocus, geometry, length.seconds, by_length=defaults.litefocus_by_length)
        last_frames = frames_at_last_level(network, frames)
        rows: list[list[str]] = []
        most_pairs = widest = 0
        for text in meshes or _MESHES:
            data, guidance, time = shape_of_mesh(text)
            if last_frames < time:
                problem = f"the network's last level has {last_frames} frames of this sound, fewer than {time} devices"
                if meshes:
                    raise UsageError(f"--mesh {text}: {problem}; make it longer with --duration, or take fewer")
                messages.print(f"{text} is left out: {problem}", markup=False)
                continue
            batch = -(-sounds // data) * (1 if guidance == 2 else 2)
            most_pairs = max(most_pairs, batch * max(network.num_heads_per_level))
            widest = max(widest, time)
            found = exchange_along_time(
                network,
                frames,
                geometry.frequencies,
                devices=time,
                batch=batch,
                bytes_per_number=jnp.dtype(dtype).itemsize,
                attention=attention,
            )
            parts = [f"{sum(found.received.get(kind, 0) for kind in kinds) / 1e6:.1f}" for kinds in _KINDS]
            milliseconds = found.total / (rate * 1e6)
            rows.append([text, *parts, f"{found.total / 1e6:.1f}", f"{milliseconds:.2f}"])
        heads_of_table = ["mesh", *_KINDS.values(), "MB in all", f"ms at {rate:g} GB/s"]
        lines = [" | ".join(line) for line in (heads_of_table, ["---"] * len(heads_of_table), *rows)]
        output.print("\n".join(f"| {line} |" for line in lines), markup=False)
        if widest > most_pairs:
            messages.print(
                f"Attention is shared by heads and branches, at most {most_pairs} of them here: more devices than that "
                "along time take no part in it",
                markup=False,
            )
