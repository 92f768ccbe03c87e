"""What to make, and where to: prompts, seeds, files."""

from pathlib import Path
from typing import Annotated

import typer

from litefocus_jax.cli.completions import complete_model

PANEL = "What to make"

Prompts = Annotated[
    list[str] | None, typer.Argument(metavar="[PROMPT]...", help="What to hear; several make several sounds.")
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Folder of a checkpoint, or a hub id such as cvssp/audioldm2; the small bundled model unless given.",
        autocompletion=complete_model,
    ),
]
Duration = Annotated[
    float | None,
    typer.Option("--duration", "-d", help="Seconds of sound; the model's training length unless given."),
]
Target = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE|FOLDER",
        help="A .wav, .flac, .mp3, .ogg or .opus file; or a folder, where WAV files are named after prompt and seed. "
        "What has no suffix is a folder.",
    ),
]
PromptsFile = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
        help="More prompts: one per line; or a table, .csv, .tsv or .jsonl, with the column prompt, and any of "
        "negative_prompt, transcription, seed, duration and name.",
    ),
]
Negative = Annotated[
    str | None, typer.Option("--negative", help="What not to hear.", rich_help_panel=PANEL, show_default=False)
]
Transcription = Annotated[
    str | None,
    typer.Option(
        "--transcription",
        metavar="TEXT",
        help="What a model for speech is to say, in English; the prompt says who speaks, and how.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Phonemes = Annotated[
    str | None,
    typer.Option(
        "--phonemes",
        metavar="TEXT",
        help="The same in the phonetic alphabet, as espeak writes it; needs no library.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Each = Annotated[
    bool,
    typer.Option(
        "--each",
        help="Take all prompts as they are: a sound of each, though they look like a text without its quotes.",
        rich_help_panel=PANEL,
    ),
]
Waveforms = Annotated[
    int | None,
    typer.Option(
        "--waveforms",
        min=1,
        max=10_000,
        help="Sounds for each prompt and seed; one unless given.",
        rich_help_panel=PANEL,
    ),
]
Rank = Annotated[
    bool | None,
    typer.Option(
        "--rank/--no-rank",
        help="Print the sounds of each prompt in the order of how well they fit it, by CLAP, with their scores.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
Clap = Annotated[
    str | None,
    typer.Option(
        "--clap",
        metavar="CHECKPOINT",
        help="CLAP for --rank, where the model's own has no tower for sound: a checkpoint of AudioLDM2 in diffusers' "
        "layout, or of a ClapModel.",
        rich_help_panel=PANEL,
    ),
]
Waveform = Annotated[
    int | None,
    typer.Option(
        "--waveform",
        min=0,
        max=1_000_000,
        help="Number of the first of these sounds, from 0, to make one of several again alone.",
        rich_help_panel=PANEL,
    ),
]
Seed = Annotated[
    str | None,
    typer.Option(
        "--seed",
        metavar="NUMBER|random",
        help="Seed of the noise, 0 unless given: the same seed makes the same sound.",
        rich_help_panel=PANEL,
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds",
        metavar="NUMBERS",
        help="Several seeds, such as 0-3 or 1,5,9: a sound of each prompt for each seed.",
        rich_help_panel=PANEL,
    ),
]
Loop = Annotated[
    bool,
    typer.Option(
        "--loop", help="Make a loop: the end runs on into the beginning, without a seam.", rich_help_panel=PANEL
    ),
]
Spectrogram = Annotated[
    str | None,
    typer.Option(
        "--spectrogram",
        metavar="FILE|FOLDER",
        help="Also draw a .png, or one for each sound in a folder.",
        rich_help_panel=PANEL,
    ),
]
Subtype = Annotated[
    str | None,
    typer.Option(
        "--subtype",
        help="Sample format: PCM_16, PCM_24, or FLOAT for .wav; PCM_16 unless given, or the codec of the file.",
        rich_help_panel=PANEL,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.", rich_help_panel=PANEL)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the files.")]
