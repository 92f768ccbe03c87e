"""``litefocus-jax export``: a model as a diffusers folder, or as a file of AudioLDM2's authors."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from litefocus_jax.cli.console import messages, output, reporting_errors
from litefocus_jax.cli.models import open_model
from litefocus_jax.cli.options.checkpoint import Checkpoint, Heads, Revision


def export(
    model: Checkpoint,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DST", help="The diffusers folder to write, or a .safetensors file (--format original)."
        ),
    ],
    *,
    revision: Revision = None,
    heads: Heads = None,
    layout: Annotated[
        Literal["diffusers", "original"],
        typer.Option("--format", help="A folder of diffusers, or one file with the keys of AudioLDM2's authors."),
    ] = "diffusers",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier folder or file.")] = False,
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"] | None,
        typer.Option(
            help="The type of the written weights, VAE and vocoder excepted; unless given, a native model's own, else "
            "float32."
        ),
    ] = None,
) -> None:
    """Write a model as a folder that diffusers' pipeline of its type loads, such as AudioLDM2Pipeline.

    The tower with which CLAP hears sound is not part of the model; diffusers then leaves waveforms unranked.
    """
    with reporting_errors():
        import jax

        jax.config.update("jax_platforms", "cpu")  # nothing is computed, and weights need not pass through a GPU
        from litefocus_jax.checkpoint.diffusers import INDEX, save_diffusers
        from litefocus_jax.checkpoint.original_writing import check_destination_file, save_original
        from litefocus_jax.system.files import check_destination

        if layout == "original":
            check_destination_file(folder, overwrite=overwrite)
        else:
            check_destination(folder, overwrite=overwrite, marker=INDEX)
        with messages.status(f"Looking for {model}") as status:
            checkpoint = open_model(model, revision, heads)
            components = checkpoint.load(dtype, on_network=lambda name: status.update(f"Reading {name}"))
            status.update(f"Writing {folder}")
            if layout == "original":
                save_original(components, folder, overwrite=overwrite)
            else:
                save_diffusers(components, folder, overwrite=overwrite)
        output.print(str(folder), markup=False)
        left_out = {
            "mel_corrections": components.vocoder.config.mel_corrections or None,
            "least_level_in_dbfs": components.defaults.least_level_in_dbfs,
        }
        if named := [f"{name} = {value:g}" for name, value in left_out.items() if value is not None]:
            messages.print(f"Other programs do nothing about {' and '.join(named)} of this model", markup=False)
        if layout == "original":
            messages.print("In the authors' code: model.load_state_dict(tensors, strict=False), over a published one")
            return
        messages.print(
            f'Load it with: diffusers.{components.model_type.pipeline_class}.from_pretrained("{folder}")', markup=False
        )
