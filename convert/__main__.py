"""Command line of the converter: ``python -m convert SRC DST``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from litefocus_jax.system.interruption import exit_code, listening, raise_if_interrupted
from litefocus_jax.system.messages import plain

_FILES = (".pth", ".ckpt", ".pt", ".bin", ".safetensors")
"""What names of files end in, and those of folders and hub ids do not."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="The checkpoint: a diffusers folder, or a hub id such as cvssp/audioldm2; the authors' own file, such "
            "as audioldm2-full.pth; or a judge's .pth file.",
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
    tokenizers: Annotated[
        list[str] | None,
        typer.Option(
            help="For the authors' file, which has none: a folder or hub id with tokenizer/ and tokenizer_2/, such as "
            "cvssp/audioldm2; or CLAP's and T5's own, such as roberta-base,google/flan-t5-large; for a model that has "
            "one of them, that one.",
        ),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            help="Which of the authors' files it is: audioldm2-full, audioldm2-music-665k, audioldm2-full-large-1150k, "
            "audioldm2-speech-gigaspeech, -ljspeech, audioldm_48k, audioldm_16k_crossattn_t5, audioldm-s-full, "
            "-m-full, -l-full and their like, or musicldm; whichever it is unless given, a MusicLDM taken for an "
            "AudioLDM of the same shape."
        ),
    ] = None,
    weights: Annotated[
        Literal["model", "ema"] | None,
        typer.Option(
            help="The UNet's weights in the authors' file: model, as they were trained last, or ema, their moving "
            "average; unless given, those with which its authors sample: ema for AudioLDM and MusicLDM, model for all "
            "others."
        ),
    ] = None,
) -> None:
    """Convert a PyTorch checkpoint of AudioLDM2 or its family (safetensors or pickles) to the native format.

    The authors' own file holds everything but tokenizers (--tokenizers). Of a judge of sounds (Cnn14 of PANNs, VGGish,
    aiSFX), a pickle becomes a file of safetensors.
    """
    # Slow imports wait until the arguments are known to be well-formed.
    import jax

    jax.config.update("jax_platforms", "cpu")  # nothing is computed, and weights need not pass through a GPU
    from convert.conversion import convert_checkpoint
    from litefocus_jax.checkpoint.weights import parameter_count

    console, errors = Console(), Console(stderr=True)
    with listening():
        try:
            if Path(source).is_file() and destination.suffix == ".safetensors":
                from convert.judges import convert_judge

                judge = convert_judge(Path(source), destination, overwrite=overwrite)
                console.print(f"{destination}: the weights of {judge.name} ({judge.licence})", markup=False)
                raise_if_interrupted()
                return
            if Path(source).is_file():
                from convert.original import convert_original

                if heads is not None or revision is not None:
                    raise ValueError("--heads and --revision are for folders; the authors' file has one kind of heads")
                with console.status("Starting") as status:
                    original = convert_original(
                        Path(source),
                        destination,
                        tokenizers=[
                            name.strip() for text in tokenizers or () for name in text.split(",") if name.strip()
                        ],
                        variant=variant,
                        weights=weights,
                        dtype=dtype,
                        overwrite=overwrite,
                        report=status.update,
                    )
                console.print(f"{source}: {original.kind}", markup=False)
                for notice in original.notices:
                    errors.print(f"{source}: {notice}", style="yellow", markup=False, soft_wrap=True)
                sizes = {name: stored.parameters for name, stored in original.checkpoint.networks.items()}
                console.print(_summary(sizes, dtype, destination))
                raise_if_interrupted()
                return
            _refuse_missing(source)
            _refuse_for_folders({"--tokenizers": tokenizers, "--variant": variant, "--weights": weights}, source)
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
            sizes = {name: parameter_count(module) for name, module in components.modules.items()}
            console.print(_summary(sizes, components.dtype, destination))
            raise_if_interrupted()
        except KeyboardInterrupt:
            errors.print("Interrupted.")
            raise typer.Exit(exit_code()) from None
        except (ValueError, OSError, ImportError) as error:
            errors.print(f"error: {plain(str(error))}", style="red", markup=False, highlight=False, soft_wrap=True)
            raise typer.Exit(1) from None


def _refuse_missing(source: str) -> None:
    """Refuse what is named like a file and is not there.

    Raises:
        ValueError: naming it.
    """
    if Path(source).suffix in _FILES and not Path(source).exists():
        raise ValueError(
            f"{source} does not exist; expected a file of the authors, such as audioldm2-full.pth, or of a judge"
        )


def _refuse_for_folders(options: Mapping[str, object], source: str) -> None:
    """Refuse options of the authors' files for anything else.

    Raises:
        ValueError: naming those that were given.
    """
    if given := [name for name, value in options.items() if value]:
        raise ValueError(
            f"{', '.join(given)} is for a file of the authors, such as audioldm2-full.pth, not for {source}"
        )


def _summary(parameters: Mapping[str, int], dtype: str, destination: Path) -> Table:
    """What was written: parameters and size of each sub-model."""
    table = Table(title=f"{destination} ({dtype})", title_justify="left")
    table.add_column("sub-model")
    table.add_column("parameters", justify="right")
    table.add_column("MB", justify="right")
    total_parameters, total_bytes = 0, 0
    for name, count in parameters.items():
        size = (destination / name / "model.safetensors").stat().st_size
        table.add_row(name, f"{count:,}", f"{size / 1e6:,.1f}")
        total_parameters, total_bytes = total_parameters + count, total_bytes + size
    table.add_section()
    table.add_row("total", f"{total_parameters:,}", f"{total_bytes / 1e6:,.1f}")
    return table


if __name__ == "__main__":
    app()
