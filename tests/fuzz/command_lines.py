"""Command lines of options with strange values."""

import random
from pathlib import Path

import pytest

from tests.support.command_line import FakePipeline, generate, run

NO_NUMBERS = ("nan", "inf", "", "x", "\x1b[31m")
NUMBERS = ("0", "-1", "1", "0.5", "1e15", "1e20", "1e308", "-1e308", "9" * 30, "9" * 5000, *NO_NUMBERS)
PATHS = ("a.wav", "b.flac", "folder/", "~nosuchuser/a.wav", "", ".", "/dev/full/a.wav", "a" * 300 + ".wav", "x.y")
FEW = ("1", "2", "0", "-3", "1e9", "100000000", "9" * 30, "x")

GENERATE = {
    "-d": NUMBERS,
    "--steps": FEW,
    "--guidance": NUMBERS,
    "--waveforms": FEW,
    "--waveform": NUMBERS,
    "--seed": (*NUMBERS, "random"),
    "--seeds": ("0-2", "5-1", "0-99999999999", "1,,2", "9" * 5000, "x"),
    "--window-length": NUMBERS,
    "--window-overlap": NUMBERS,
    "--windows": ("swap", "average", "x"),
    "--eta": NUMBERS,
    "--batch-size": FEW,
    "--fade": (*NUMBERS, "1,2,3", "0.1,0.1"),
    "--normalize": NUMBERS,
    "--peak": NUMBERS,
    "--sample-rate": (*FEW, "44100"),
    "--sparse-ratio": NUMBERS,
    "--max-cross-tokens": FEW,
    "--reach": NUMBERS,
    "--litefocus": ("on", "off", "linear", "authors", "x"),
    "--sampling": ("authors", "x"),
    "--spacing": ("uniform", "trailing", "x"),
    "--latent-frames-per-second": NUMBERS,
    "--save-every": FEW,
    "-o": PATHS,
    "--spectrogram": ("a.png", *PATHS),
    "--subtype": ("FLOAT", "PCM_24", "x", ""),
    "--prompts": ("missing.txt", "/dev/null", "."),
    "--from": ("missing.wav", "/dev/null", "."),
    "--negative": ("noise", "", "\ud800"),
}
FLAGS = (
    *("--overwrite", "--resume", "--loop", "--trim", "--json", "--each", "--quiet", "--ignore-memory"),
    *("--no-rank", "--zero-negative"),
)
FINETUNE: dict[str, tuple[str, ...]] = dict.fromkeys(
    (
        *("--steps", "--batch-size", "-d", "--peak", "--caption-dropout", "--learning-rate", "--warmup-steps"),
        *("--seed", "--weight-decay", "--clip-norm", "--ema-decay", "--timestep-shift", "--lora", "--lora-alpha"),
        *("--save-every", "--gradient-accumulation", "--hold-out", "--validate-every", "--samples-every"),
    ),
    NUMBERS,
)


def strange_arguments(random: random.Random) -> tuple[str, list[str]]:
    """A command and its arguments."""
    command, options = ("generate", GENERATE) if random.random() < 0.7 else ("finetune", FINETUNE)
    names = random.sample(list(options), random.choice((1, 1, 2, 3)))
    arguments = [each for name in names for each in (name, random.choice(options[name]))]
    if command == "generate":
        arguments += random.sample(FLAGS, random.choice((0, 0, 1, 2)))
    return command, arguments


def faults_of(command: str, arguments: list[str], folder: Path) -> list[str]:
    """Run a command in a folder with a pipeline that only pretends; what is wrong with how it ended."""
    with pytest.MonkeyPatch.context() as patch:
        if command == "generate":
            FakePipeline.put_in_place(patch, folder)
            result = generate("rain", *arguments)
        else:
            patch.chdir(folder)
            result = run("finetune", "missing", "-o", "run", *arguments)
    shown = f"{command} {' '.join(arguments)}"[:300]
    faults = []
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        faults.append(f"{shown!r}: {type(result.exception).__name__}: {result.exception}"[:500])
    if result.exit_code not in (0, 1, 2):
        faults.append(f"{shown!r}: ended with {result.exit_code}")
    if len(result.output) > 30_000 or "Traceback" in result.output:
        faults.append(f"{shown!r}: says {result.output[:300]!r}")
    if left := [path.name for path in folder.rglob(".*")]:
        faults.append(f"{shown!r}: left {left}")
    return faults
