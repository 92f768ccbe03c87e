"""What is said on the page, and the command and the program that say the same."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any, Literal

from litefocus_jax.generation.notation import spans_of, timeline_of
from litefocus_jax.generation.options import RequestOptions
from litefocus_jax.models.unet.heads import Heads

Use = Literal["Vary", "Fill", "Continue"]
"""What is done with a sound that is given."""


@dataclasses.dataclass(frozen=True)
class Wish:
    """One filled-in page.

    Attributes:
        prompt: what to hear.
        negative_prompt: what not to hear.
        timeline: prompts along the sound, in the place of ``prompt``; empty for none.
        seconds: of sound, or of what comes after the sound that is given; None for the model's training length, or for
            as long as that sound.
        quality: preset of steps, or None for the model's own.
        seed: of all randomness.
        waveforms: sounds of it.
        first_waveform: number of the first of them.
        loop: whether the end runs on into the beginning.
        audio: file of the sound that is given, or None.
        use: what is done with it.
        strength: of a variation.
        spans: what is filled, as ``3:7``.
    """

    prompt: str = ""
    negative_prompt: str = ""
    timeline: str = ""
    seconds: float | None = None
    quality: Any = None
    seed: int = 0
    waveforms: int = 1
    first_waveform: int = 0
    loop: bool = False
    audio: str | None = None
    use: Use = "Vary"
    strength: float = 0.6
    spans: str = ""

    def asked(self, training_length_in_s: float | None = None) -> tuple[str | None, RequestOptions]:
        """The prompt and the options of a request; those that are as ever are left out.

        Args:
            training_length_in_s: for how long a sound is continued unless the page says.

        Raises:
            ValueError: when timeline or spans cannot be read.
        """
        options: dict[str, Any] = {"seed": self.seed}
        if self.timeline.strip():
            options["timeline"] = timeline_of(self.timeline)
        said = {
            "negative_prompt": self.negative_prompt.strip(),
            "quality": self.quality,
            "num_waveforms_per_prompt": None if self.waveforms == 1 else self.waveforms,
            "first_waveform": self.first_waveform,
            "loop": self.loop,
        }
        options |= {name: value for name, value in said.items() if value}
        if self.audio is not None:
            options["audio"] = self.audio
        if self.audio is not None and self.use == "Continue":
            options["continue_for_s"] = self.seconds or training_length_in_s
        elif self.seconds is not None:
            options["audio_length_in_s"] = self.seconds
        if self.audio is not None and self.use == "Vary":
            options["strength"] = self.strength
        if self.audio is not None and self.use == "Fill":
            options["fill"] = spans_of(self.spans)
        return None if "timeline" in options else self.prompt, options  # pyright: ignore[reportReturnType]

    def command(self, model: str, heads: Heads | None = None) -> str:
        """The command that makes the same.

        Args:
            model: as the page was opened with it.
            heads: of its UNet, likewise.
        """
        parts = ["litefocus-jax", "generate"]
        parts += ["--timeline", self.timeline] if self.timeline.strip() else [self.prompt]
        parts += ["-m", model, "--seed", str(self.seed)]
        given = self.audio and Path(self.audio).name
        for option, value in (
            ("--heads", heads),
            ("--negative", self.negative_prompt.strip()),
            ("--duration", self.seconds and f"{self.seconds:g}"),
            ("--quality", self.quality),
            ("--waveforms", str(self.waveforms) if self.waveforms > 1 else None),
            ("--waveform", str(self.first_waveform) if self.first_waveform else None),
            ("--continue" if self.use == "Continue" else "--audio", given),
            ("--strength", f"{self.strength:g}" if given and self.use == "Vary" else None),
            ("--fill", self.spans if given and self.use == "Fill" else None),
        ):
            parts += [option, value] if value else []
        return shlex.join([*parts, "--loop"] if self.loop else parts)

    def program(self, model: str, training_length_in_s: float | None = None, heads: Heads | None = None) -> str:
        """The Python that makes the same.

        Args:
            model: as the page was opened with it.
            training_length_in_s: as for `asked`.
            heads: of its UNet, as the page was opened with them.
        """
        prompt, options = self.asked(training_length_in_s)
        loaded = repr(model) if heads is None else f"{model!r}, heads={heads!r}"
        values: dict[str, Any] = dict(options)
        if self.audio is not None:
            values["audio"] = Path(self.audio).name
        arguments = [
            *([] if prompt is None else [repr(prompt)]),
            *(f"{name}={each!r}" for name, each in values.items()),
        ]
        lines = "".join(f"    {argument},\n" for argument in arguments)
        name = '"sound-{index}.wav"' if self.waveforms > 1 else '"sound.wav"'
        return (
            "from litefocus_jax import AudioLDM2Pipeline\n\n"
            f"pipe = AudioLDM2Pipeline.from_pretrained({loaded})\n"
            f"result = pipe(\n{lines})\nresult.save({name})\n"
        )
