"""How long the parts are trained."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderBudget:
    """How long the VAE and the vocoder are trained, and on how much at a time.

    Attributes:
        autoencoder_steps: updates of the VAE.
        autoencoder_batch: crops in each.
        autoencoder_frames: length of its crops; the last fifth of the updates sees whole clips, and fewer of them.
        vocoder_steps: updates of the vocoder by spectral distances alone.
        adversarial_steps: updates with discriminators after those.
        vocoder_batch: crops in each update of the vocoder.
        vocoder_frames: length of its crops.

    Raises:
        ValueError: when a number is below 1 (`adversarial_steps`: below 0), or the VAE's crops are no multiple of 4.
    """

    autoencoder_steps: int
    autoencoder_batch: int
    autoencoder_frames: int = 64
    vocoder_steps: int
    adversarial_steps: int
    vocoder_batch: int
    vocoder_frames: int = 64

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, smallest = getattr(self, field.name), 0 if field.name == "adversarial_steps" else 1
            if value < smallest:
                raise ValueError(f"{field.name} = {value}; expected at least {smallest}")
        if self.autoencoder_frames % 4:
            raise ValueError(f"autoencoder_frames = {self.autoencoder_frames}; expected a multiple of 4")
