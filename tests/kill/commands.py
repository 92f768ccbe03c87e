"""The commands that are killed: what they are given, and how they are given it again."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

MODEL, DIFFUSERS, SOUNDS = "model", "diffusers", "sounds"
"""Folders beside each other, made before anything is killed."""


@dataclasses.dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        run: does it in this process; takes the folder of `MODEL` and the others, the folder of its output, and whether
            it is the next one after a kill.
        prepare: what lies in the folder of its output before it is run at all; takes both folders.
        outputs: patterns of the files in its output whose bytes are always the same.
    """

    run: Callable[[Path, Path, bool], object]
    outputs: tuple[str, ...] = ("**/*",)
    prepare: Callable[[Path, Path], object] = lambda given, out: None


def _litefocus(*arguments: object) -> None:
    from litefocus_jax.cli import main

    sys.argv = ["litefocus-jax", *map(str, arguments)]
    main()


def _init(given: Path, out: Path, again: bool) -> None:
    del given
    _litefocus("init", out / "model", *(["--overwrite"] if again else []))


def _convert(given: Path, out: Path, again: bool) -> None:
    from convert.__main__ import app

    app([str(given / DIFFUSERS), str(out / "model"), *(["--overwrite"] if again else [])])


def _replace(given: Path, out: Path, again: bool) -> None:
    """A conversion over an earlier model."""
    del again
    from convert.__main__ import app

    app([str(given / DIFFUSERS), str(out / "model"), "--overwrite"])


def _earlier_model(given: Path, out: Path) -> None:
    import shutil

    shutil.copytree(given / MODEL, out / "model")


def _export(given: Path, out: Path, again: bool) -> None:
    _litefocus("export", given / MODEL, out / "model", *(["--overwrite"] if again else []))


def _save_pretrained(given: Path, out: Path, again: bool) -> None:
    from litefocus_jax import AudioLDM2Pipeline

    AudioLDM2Pipeline.from_pretrained(given / MODEL).save_pretrained(out / "model", overwrite=again)


def _generate(given: Path, out: Path, again: bool) -> None:
    options = ["-d", "0.4", "--steps", "4", "--save-every", "1", "--json", "--spectrogram", out / "pictures/"]
    options += ["--resume"] if again else []
    _litefocus("generate", "rain", "sea", "-m", given / MODEL, "-o", f"{out}/", "--seed", "1", *options)


def _finetune(given: Path, out: Path, again: bool) -> None:
    options = ["--resume"] if again and (out / "run" / "log.jsonl").exists() else []
    options += ["--steps", "3", "--batch-size", "2", "--save-every", "1", "-d", "0.64", "--lora", "2"]
    _litefocus("finetune", given / SOUNDS, "-m", given / MODEL, "-o", out / "run", *options)


def _batch(given: Path, out: Path, again: bool) -> None:
    del again
    options = ["-d", "0.4", "--steps", "2", "--seed", "7", "--quiet"]
    _litefocus("batch", given / "prompts.txt", out / "sounds", "-m", given / MODEL, *options)


COMMANDS = {
    "init": Command(_init),
    "convert": Command(_convert),
    "replace": Command(_replace, prepare=_earlier_model),
    "export": Command(_export),
    "save_pretrained": Command(_save_pretrained),
    "generate": Command(_generate),
    "finetune": Command(_finetune, ("run/model/**/*", "run/lora/**/*")),
    "batch": Command(_batch),
}
QUICK = ("init", "convert", "replace", "export", "save_pretrained")
"""Those that compile nothing."""


def make_given(folder: Path) -> None:
    """Write what the commands are given; in a process of its own, since it starts JAX."""
    import shutil

    from tests.support.models import small_checkpoint
    from tests.support.sounds import tone, write_metadata, write_sound
    from tests.support.stored_models import tiny_diffusers_checkpoint

    shutil.copytree(small_checkpoint(), folder / MODEL)
    shutil.copytree(tiny_diffusers_checkpoint(), folder / DIFFUSERS)
    (folder / SOUNDS).mkdir()
    for name in ("a", "b"):
        write_sound(folder / SOUNDS / f"{name}.wav", np.asarray(tone(1.0), np.float32))
    write_metadata(folder / SOUNDS, a="a tone", b="another tone")
    (folder / "prompts.txt").write_text("rain\nsea\n")
