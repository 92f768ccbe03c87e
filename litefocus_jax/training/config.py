"""How a model is trained."""

import dataclasses
import math
from typing import Any, Literal, get_args

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from litefocus_jax.checkpoint.lora import LoraConfig
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.system.messages import shown

Dtype = Literal["float32", "bfloat16"]

LOSS_MODELS = ("unet", "text_encoder", "text_encoder_2", "projection_model", "language_model")
"""The sub-models that the loss runs through, by their names in `Components`; any of them can be trained. Models of
another type than AudioLDM2 have some of them."""

_WHOLE_NUMBERS = {
    "steps": 1,
    "batch_size": 1,
    "gradient_accumulation": 1,
    "warmup_steps": 0,
    "seed": 0,
    "save_every": 1,
    "keep": 1,
}
LARGEST_COUNT = 2**32 - 1
"""Updates; and the largest seed."""

LARGEST_BATCH = 65_536
"""Clips in an update."""

_SHARES = ("adam_beta_1", "adam_beta_2", "ema_decay", "caption_dropout")
_POSITIVE = ("learning_rate", "adam_epsilon", "clip_norm", "timestep_shift")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """What decides the weights that a training ends with, beside the model and the sounds.

    The optimiser is AdamW (Loshchilov and Hutter, arXiv 1711.05101) on all weights in training. Weights, their moving
    average and the optimiser's moments are float32 whatever ``dtype`` is.

    Attributes:
        steps: updates in all.
        batch_size: clips per update, over all devices and all parts of an accumulated update.
        gradient_accumulation: parts that an update's clips are worked through in, one after the other; the result is
            that of one part, the memory that of the part.
        learning_rate: at its highest, after the warm-up.
        warmup_steps: updates over which the learning rate rises in a straight line; it then falls to zero along half a
            cosine.
        weight_decay: of AdamW.
        adam_beta_1: decay of the first moment.
        adam_beta_2: decay of the second moment.
        adam_epsilon: added to the root of the second moment.
        clip_norm: the gradient is scaled down to this norm where it is longer.
        ema_decay: of the moving average of the weights, which is the model that training ends with; after ``n``
            updates it is at most ``(1 + n) / (10 + n)``, so that the average forgets the first weights soon.
        caption_dropout: share of the clips whose caption is ``""``, without which guidance has nothing to steer away
            from. The source of the batches drops them.
        trainable: the sub-models that are trained, out of `LOSS_MODELS`.
        timestep_shift: how many times as often as evenly the noisiest timesteps are drawn, and the cleanest as many
            times less often; see `litefocus_jax.training.losses.shifted_timesteps`.
        lora: train a low-rank adapter of the UNet, whose own weights stay as they are; None trains them all.
        litefocus: sparse self-attention in training, or None for dense. Every update draws its tokens anew.
        dtype: floating-point type of the computation.
        rematerialise: keep only the ends of the UNet's blocks for the gradient, and compute what lies between a second
            time: less memory, more time.
        seed: of all that is drawn.
        save_every: updates between checkpoints.
        keep: checkpoints that are kept, the newest.
        data: what the batches are drawn from, in a few words. Nothing reads it, but a training resumes only with the
            same words.

    Raises:
        ValueError: naming the field, for a value out of range.
    """

    steps: int
    batch_size: int
    gradient_accumulation: int = 1
    learning_rate: float = 1e-4
    warmup_steps: int = 100
    weight_decay: float = 0.01
    adam_beta_1: float = 0.9
    adam_beta_2: float = 0.999
    adam_epsilon: float = 1e-8
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    caption_dropout: float = 0.1
    trainable: tuple[str, ...] = ("unet",)
    timestep_shift: float = 1.0
    lora: LoraConfig | None = None
    litefocus: LiteFocusConfig | None = None
    dtype: Dtype = "float32"
    rematerialise: bool = False
    seed: int = 0
    save_every: int = 500
    keep: int = 2
    data: str | None = None

    def __post_init__(self) -> None:
        for name, smallest in _WHOLE_NUMBERS.items():
            value = getattr(self, name)
            largest = LARGEST_BATCH if name in ("batch_size", "gradient_accumulation") else LARGEST_COUNT
            if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
                raise ValueError(f"{name} = {shown(value)}; expected a whole number from {smallest} to {largest:,}")
        for name in _SHARES:
            value = getattr(self, name)
            if not 0.0 <= value < 1.0 and not (name == "caption_dropout" and value == 1.0):
                raise ValueError(f"{name} = {value!r}; expected a number from 0 and less than 1")
        for name in _POSITIVE:
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} = {value!r}; expected a finite number more than 0")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0.0):
            raise ValueError(f"weight_decay = {self.weight_decay!r}; expected a finite number from 0")
        if self.warmup_steps > self.steps:
            raise ValueError(
                f"warmup_steps = {self.warmup_steps} is more than steps = {self.steps}; expected at most as many, so "
                "that the learning rate gets to its height"
            )
        if self.batch_size % self.gradient_accumulation:
            raise ValueError(
                f"batch_size = {self.batch_size} is not a multiple of gradient_accumulation = "
                f"{self.gradient_accumulation}; expected parts of one size"
            )
        if not isinstance(self.trainable, tuple) or not self.trainable:
            raise ValueError(f"trainable = {self.trainable!r}; expected a tuple of names, such as ('unet',)")
        for name in self.trainable:
            if name not in LOSS_MODELS or self.trainable.count(name) > 1:
                raise ValueError(f"trainable names {name!r}; expected each once, out of {', '.join(LOSS_MODELS)}")
        if self.lora is not None and self.trainable != ("unet",):
            raise ValueError(f"trainable = {self.trainable!r}; expected ('unet',) with lora, which adapts nothing else")
        if self.dtype not in get_args(Dtype):
            raise ValueError(f"dtype = {self.dtype!r}; expected {' or '.join(get_args(Dtype))}")

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON can hold them."""
        values: dict[str, Any] = dataclasses.asdict(self) | {"trainable": list(self.trainable)}
        if self.litefocus is not None and self.litefocus.levels != "all":
            values["litefocus"] |= {"levels": list(self.litefocus.levels)}
        return values


def learning_rate_at(config: TrainingConfig, update: Int[Array, ""] | int) -> Float[Array, ""]:
    """The learning rate of an update, counted from 0: a linear rise, then half a cosine that reaches zero at the end.

    Neither the first update nor the last has a rate of zero.

    Args:
        config: gives height, warm-up and number of updates.
        update: its number.
    """
    number = jnp.asarray(update, jnp.float32)
    rise = (number + 1.0) / max(1, config.warmup_steps)
    progress = (number - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    fall = 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.clip(progress, 0.0, 1.0)))
    return config.learning_rate * jnp.where(number < config.warmup_steps, rise, fall)


def average_decay_at(config: TrainingConfig, update: Int[Array, ""] | int) -> Float[Array, ""]:
    """The share of itself that the moving average keeps in an update, counted from 0."""
    number = jnp.asarray(update, jnp.float32)
    return jnp.minimum(config.ema_decay, (1.0 + number) / (10.0 + number))
