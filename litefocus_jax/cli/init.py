"""``litefocus-jax init``: a checkpoint with random weights."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from litefocus_jax.cli.console import messages, output, reporting_errors
from litefocus_jax.cli.start import find_devices


def init(
    folder: Annotated[Path, typer.Argument(help="The native folder to write.")],
    *,
    size: Annotated[
        Literal[
            "tiny",
            "audioldm2",
            "audioldm2-large",
            "tiny-speech",
            "audioldm2-gigaspeech",
            "tiny-audioldm",
            "audioldm",
            "audioldm-m-full",
            "audioldm-l-full",
            "tiny-musicldm",
            "musicldm",
            "tiny-audioldm_48k",
            "audioldm_48k",
            "tiny-audioldm_16k_crossattn_t5",
            "audioldm_16k_crossattn_t5",
        ],
        typer.Option(help="The model's size: tiny takes a moment; the others are as published, and take gigabytes."),
    ] = "tiny",
    seed: Annotated[int, typer.Option(min=0, max=2**64 - 1, help="The seed of the weights.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier checkpoint.")] = False,
) -> None:
    """Write a checkpoint with random weights, for trying things out.

    It makes noise, but takes every path that a trained model takes.
    """
    with reporting_errors():
        from litefocus_jax.checkpoint.random_model import save_random_model

        find_devices()
        with messages.status(f"Writing {folder}"):
            save_random_model(folder, size=size, seed=seed, overwrite=overwrite)
        output.print(str(folder), markup=False)
        messages.print(f'Try: litefocus-jax generate "rain on a tin roof" -m {folder} -d 2 --steps 10', markup=False)
