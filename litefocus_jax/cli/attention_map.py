"""``litefocus-jax attention-map``: what two tokens attend to in the running model."""

from pathlib import Path
from typing import Annotated

import typer

from litefocus_jax.cli.console import naming_options, output, reporting_errors
from litefocus_jax.cli.models import open_model
from litefocus_jax.cli.options import sound
from litefocus_jax.cli.options.checkpoint import Revision
from litefocus_jax.cli.start import find_devices

_ARGUMENTS = {
    "prompt": "PROMPT",
    "audio_length_in_s": "--duration",
    "num_inference_steps": "--steps",
    "step": "--step",
    "level": "--level",
    "token": "--token",
}


def attention_map(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to hear.")],
    *,
    model: sound.Model = None,
    revision: Revision = None,
    duration: sound.Duration = None,
    path: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The picture, a .png.")] = Path(
        "attention.png"
    ),
    steps: Annotated[int | None, typer.Option(help="Denoising steps; the model's own unless given.")] = None,
    step: Annotated[
        int | None, typer.Option(min=0, help="The step that is looked at, from 0; the middle one unless given.")
    ] = None,
    level: Annotated[int, typer.Option(min=0, help="The level of the UNet, 1 being the one of LiteFocus.")] = 1,
    token: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FRAME:FREQUENCY",
            help="A token of that level; may be given again. Two in the middle of the sound unless given.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the noise.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a picture that is there.")] = False,
) -> None:
    """Draw what single tokens attend to, on the whole and in each self-attention of a level: Figure 2 of the paper.

    Attention is dense. How much of it falls on the token's own frequency is printed, on which LiteFocus rests.
    """
    tokens = [_token(text) for text in token or ()]
    with reporting_errors():
        from litefocus_jax.audio import check_picture_writable
        from litefocus_jax.checkpoint.store import BUNDLED_MODEL
        from litefocus_jax.evaluation.attention_map import Token, attention_maps, draw_maps
        from litefocus_jax.pipeline import AudioLDM2Pipeline

        check_picture_writable(path, overwrite=overwrite)
        find_devices()
        pipe = AudioLDM2Pipeline.from_checkpoint(open_model(model or BUNDLED_MODEL, revision))
        with naming_options(_ARGUMENTS):
            request = pipe.request(
                prompt, audio_length_in_s=duration, num_inference_steps=steps, seed=seed, litefocus=None
            )
            maps = attention_maps(pipe, request, step=step, level=level, tokens=tuple(Token(*each) for each in tokens))
        draw_maps(path, maps)
        output.print(maps.in_words(), markup=False)
        output.print(str(path), markup=False)


def _token(text: str) -> tuple[int, int]:
    """Frame and frequency.

    >>> _token("12:3")
    (12, 3)
    """
    try:
        time, frequency = (int(part) for part in text.split(":"))
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}; expected frame and frequency, such as 12:3", param_hint="--token"
        ) from None
    return time, frequency
