"""``litefocus-jax export``: a model as a diffusers folder."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from litefocus_jax.cli.console import messages, output, reporting_errors
from litefocus_jax.cli.models import open_model
from litefocus_jax.cli.options.checkpoint import Checkpoint, Heads, Revision


def export(
    model: Checkpoint,
    folder: Annotated[Path, typer.Argument(metavar="DST", help="The diffusers folder to write.")],
    *,
    revision: Revision = None,
    heads: Heads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier diffusers folder.")] = False,
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"] | None,
        typer.Option(
            help="The type of the written weights, VAE and vocoder excepted; unless given, a native model's own, else "
            "float32."
        ),
    ] = None,
) -> None:
    """Write a model as a folder that diffusers' AudioLDM2Pipeline loads.

    The tower with which CLAP hears sound is not part of the model; diffusers then leaves waveforms unranked.
    """
    with reporting_errors():
        import jax

        jax.config.update("jax_platforms", "cpu")  # nothing is computed, and weights need not pass through a GPU
        from litefocus_jax.checkpoint.diffusers import INDEX, save_diffusers
        from litefocus_jax.system.files import check_destination

        check_destination(folder, overwrite=overwrite, marker=INDEX)
        with messages.status(f"Looking for {model}") as status:
            checkpoint = open_model(model, revision, heads)
            components = checkpoint.load(dtype, on_network=lambda name: status.update(f"Reading {name}"))
            status.update(f"Writing {folder}")
            save_diffusers(components, folder, overwrite=overwrite)
        output.print(str(folder), markup=False)
        messages.print(f'Load it with: diffusers.AudioLDM2Pipeline.from_pretrained("{folder}")', markup=False)
