"""Command line of the converter: ``python -m convert SRC DST``."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from litefocus_jax.system.interruption import exit_code, listening, raise_if_interrupted
from litefocus_jax.system.messages import plain

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="The checkpoint: a diffusers folder, or a hub id such as cvssp/audioldm2; or a judge's .pth file.",
        ),
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="The native folder to write, or a judge's .safetensors file.")
    ],
    dtype: Annotated[
        str, typer.Option(help="The type of the written weights: float32, bfloat16 or float16.")
    ] = "float32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier model in DST.")] = False,
    revision: Annotated[str | None, typer.Option(help="The branch, tag or commit on the hub.")] = None,
    heads: Annotated[
        Literal["stored", "trained"] | None,
        typer.Option(
            help="Attention heads of a diffusers folder that has as many at every level: those, or heads of 32 "
            "channels, as AudioLDM2 was trained."
        ),
    ] = None,
) -> None:
    """Convert a PyTorch checkpoint of AudioLDM2 (safetensors or pickles) to the native format.

    Of a judge of sounds (Cnn14 of PANNs, VGGish), a pickle becomes a file of safetensors.
    """
    # Slow imports wait until the arguments are known to be well-formed.
    import jax

    jax.config.update("jax_platforms", "cpu")  # nothing is computed, and weights need not pass through a GPU
    from convert.conversion import convert_checkpoint

    console, errors = Console(), Console(stderr=True)
    with listening():
        try:
            if Path(source).is_file():
                from convert.judges import convert_judge

                judge = convert_judge(Path(source), destination, overwrite=overwrite)
                console.print(f"{destination}: the weights of {judge.name} ({judge.licence})", markup=False)
                raise_if_interrupted()
                return
            with console.status("Starting") as status:
                components = convert_checkpoint(
                    source,
                    destination,
                    dtype=dtype,
                    overwrite=overwrite,
                    revision=revision,
                    heads=heads,
                    report=status.update,
                )
            console.print(_summary(components, destination))
            raise_if_interrupted()
        except KeyboardInterrupt:
            errors.print("Interrupted.")
            raise typer.Exit(exit_code()) from None
        except (ValueError, OSError, ImportError) as error:
            errors.print(f"error: {plain(str(error))}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from None


def _summary(components, destination: Path) -> Table:
    """What was written: parameters and size of each sub-model."""
    from litefocus_jax.checkpoint.weights import parameter_count

    table = Table(title=f"{destination} ({components.dtype})", title_justify="left")
    table.add_column("sub-model")
    table.add_column("parameters", justify="right")
    table.add_column("MB", justify="right")
    total_parameters, total_bytes = 0, 0
    for name, module in components.modules.items():
        parameters = parameter_count(module)
        size = (destination / name / "model.safetensors").stat().st_size
        table.add_row(name, f"{parameters:,}", f"{size / 1e6:,.1f}")
        total_parameters, total_bytes = total_parameters + parameters, total_bytes + size
    table.add_section()
    table.add_row("total", f"{total_parameters:,}", f"{total_bytes / 1e6:,.1f}")
    return table


if __name__ == "__main__":
    app()
