"""Fill and continue recordings, and say whether what was to be kept is kept and how rough the borders are.

    apt-get download sonic-pi-samples sound-theme-freedesktop      # Debian; CC0 and other free licences
    for package in *.deb; do dpkg-deb -x "$package" recordings; done
    python examples/edit_recordings.py recordings edited --model foley --most 20

The middle third of the beginning of each recording is made anew, and 0.64 s after it. Beginnings of a few lengths are
taken, since each length is compiled anew. Every sound is named with what became of it; a recording that cannot be
used is named with the reason. A border is as rough as the greatest step between neighbouring frames of the log-mel
within 40 ms of it; its place is the share of the recording that is less rough.
"""

import argparse
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.audio import log_mel_spectrogram, save_audio
from litefocus_jax.audio.reading import UnusableSoundError, read_sound

SUFFIXES = (".wav", ".flac", ".oga", ".ogg", ".aif", ".aiff")
AROUND = 4  # frames of 10 ms to either side of a border
LENGTHS_IN_S = (2.56, 1.28, 0.64, 0.32)
CONTINUED_IN_S = 0.64


class Edited(NamedTuple):
    """What became of one recording: whether the rest of it is kept to the bit, and the places of its borders."""

    is_kept: bool
    places: list[float]


def recordings(folder: Path, most: int) -> list[Path]:
    """Sounds of a folder and of those in it, in order, links left out."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and not path.is_symlink()]
    return found[:most]


def places_of(
    before: Float[np.ndarray, " samples"], after: Float[np.ndarray, " samples"], borders_in_s: list[float], rate: int
) -> list[float]:
    """The place of each border of ``after`` among all of ``before``, from 0 (smooth) to 1 (rougher than all of it)."""
    steps = [
        np.sqrt(np.mean(np.diff(log_mel_spectrogram(sound, rate), axis=0) ** 2, axis=1)) for sound in (before, after)
    ]

    def roughest(number: int, frame: int) -> float:
        return float(steps[number][max(0, frame - AROUND) : frame + AROUND].max())

    elsewhere = np.array([roughest(0, frame) for frame in range(len(steps[0]))])
    return [float(np.mean(elsewhere < roughest(1, round(100 * border)))) for border in borders_in_s]


def beginning(path: Path, rate: int) -> Float[np.ndarray, " samples"]:
    """The longest beginning of a recording that has one of `LENGTHS_IN_S`.

    Raises:
        UnusableSoundError: when it is shorter than all of them, or cannot be read.
    """
    sound = read_sound(path, rate).waveform
    fitting = [seconds for seconds in LENGTHS_IN_S if seconds * rate <= len(sound)]
    if not fitting:
        raise UnusableSoundError(f"has {len(sound) / rate:.2f} s; expected {LENGTHS_IN_S[-1]} s or more")
    return sound[: round(fitting[0] * rate)]


def edit(pipe: AudioLDM2Pipeline, path: Path, output: Path, steps: int | None) -> Edited:
    """Fill the middle third of a recording's beginning and continue it; both sounds are written."""
    rate = pipe.geometry.sampling_rate
    sound = beginning(path, rate)
    third = len(sound) / rate / 3
    prompt = path.stem.replace("_", " ").replace("-", " ")
    how: Any = {"audio": sound, "sampling_rate": rate, "num_inference_steps": steps, "progress": False}
    filled = pipe(prompt, fill=[(third, 2 * third)], **how)[0]
    continued = pipe(prompt, continue_for_s=CONTINUED_IN_S, **how)[0]
    for name, waveform in (("filled", filled), ("continued", continued)):
        save_audio(output / f"{path.stem}-{name}.wav", waveform, rate, overwrite=True)
    start, end = round(third * rate), round(2 * third * rate)
    kept = [(filled[:start], sound[:start]), (filled[end:], sound[end:]), (continued[: len(sound)], sound)]
    borders = [third, 2 * third]
    places = [*places_of(sound, filled, borders, rate), *places_of(sound, continued, [3 * third], rate)]
    return Edited(all(np.array_equal(*pair) for pair in kept), places)


def main() -> None:
    """Parse the command line, and edit one recording after another."""
    parser = argparse.ArgumentParser(description="Fill and continue recordings.")
    parser.add_argument("recordings", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--model", default="foley")
    parser.add_argument("--most", type=int, default=20)
    parser.add_argument("--steps", type=int, help="denoising steps; the model's own unless given")
    arguments = parser.parse_args()

    paths = recordings(arguments.recordings, arguments.most)
    if not paths:
        parser.error(f"{arguments.recordings} holds no sounds; expected files that end in {', '.join(SUFFIXES)}")
    pipe = AudioLDM2Pipeline.from_pretrained(arguments.model)
    all_edited = []
    for path in paths:
        try:
            edited = edit(pipe, path, arguments.output, arguments.steps)
        except (UnusableSoundError, ValueError) as error:
            print(f"{path.name}: not edited: {error}")
            continue
        all_edited.append(edited)
        kept = "kept to the bit" if edited.is_kept else "NOT KEPT"
        print(f"{path.name}: {kept}; places of the borders {', '.join(f'{place:.2f}' for place in edited.places)}")
    places = [place for edited in all_edited for place in edited.places]
    if places:
        print(
            f"{len(all_edited)} of {len(paths)} edited, {sum(each.is_kept for each in all_edited)} kept to the bit; "
            f"{sum(place < 1 for place in places)} of {len(places)} borders within the recording's own steps, the "
            f"median rougher than {np.median(places):.0%} of it"
        )


if __name__ == "__main__":
    main()
