"""LiteFocus sparse attention (arXiv 2407.10468) on plain JAX arrays.

A token of a spectrogram latent is one frequency at one time. In LiteFocus it attends to the tokens of its own
frequency at all times (same-frequency focus), and to a few tokens drawn at random from all of them (cross-frequency
compensation). The paper finds that this makes long sound faster to generate, and better too.

Letters in shape comments: B batch, T time, F frequency, H heads, D head_dim, C gathered tokens.
"""

import dataclasses
import functools
import math
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from litefocus_jax.attention import dot_product_attention

Overlap = Literal["concat", "union"]
Resample = Literal["call", "step", "once"]

# From the paper's tables: at 10 s, the length of training clips, dense attention is better; at 20 s and 40 s both
# focus sets together are; at 80 s same-frequency focus alone is.
_SPARSE_FROM_SECONDS = 15.0
_SAME_FREQUENCY_ALONE_FROM_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class LiteFocusConfig:
    """What LiteFocus attends to, and where in the UNet.

    Attributes:
        same_frequency: attend to the tokens of the query's own frequency.
        cross_frequency: attend to tokens drawn at random from all tokens, the same ones for every query.
        sparse_ratio: fraction of all tokens drawn for ``cross_frequency``, rounded down, but at least one token
            unless it is 0.
        overlap: how a drawn token of the query's own frequency counts when both sets are on: twice (``"concat"``, the
            authors' code), or once (``"union"``, the paper's equation 4).
        resample: when new tokens are drawn: at every attention call (``"call"``, the authors' code), once per
            denoising step for each level (``"step"``), or once per generation (``"once"``).
        levels: resolution levels of the UNet, 0 being the full one, whose self-attention is replaced; on the way
            down and on the way up alike.

    Raises:
        ValueError: naming the field, when both sets are off or a value is out of range.
    """

    same_frequency: bool = True
    cross_frequency: bool = True
    sparse_ratio: float = 0.1
    overlap: Overlap = "concat"
    resample: Resample = "call"
    levels: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if not (self.same_frequency or self.cross_frequency):
            raise ValueError("same_frequency and cross_frequency are both False; expected at least one True")
        if not 0.0 <= self.sparse_ratio <= 1.0:
            raise ValueError(f"sparse_ratio = {self.sparse_ratio}; expected a fraction between 0 and 1")
        if not self.same_frequency and self.sparse_ratio == 0.0:
            raise ValueError("sparse_ratio = 0 leaves nothing to attend to while same_frequency is False")
        for name, value, known in (("overlap", self.overlap, Overlap), ("resample", self.resample, Resample)):
            if value not in get_args(known):
                raise ValueError(f"{name} = {value!r}; expected one of {', '.join(get_args(known))}")
        if not isinstance(self.levels, tuple) or not self.levels:
            raise ValueError(f"levels = {self.levels!r}; expected a tuple of at least one level, such as (1,)")
        for level in self.levels:
            if not isinstance(level, int) or level < 0 or self.levels.count(level) > 1:
                raise ValueError(f"levels = {self.levels!r}; expected distinct whole numbers from 0")

    @classmethod
    def for_duration(cls, seconds: float) -> "LiteFocusConfig | None":
        """The setting that the paper finds best for sound of this length: what ``"auto"`` means.

        Args:
            seconds: length of the sound.

        Returns:
            ``None`` (dense attention) under 15 s, both focus sets from 15 s, same-frequency focus alone from 60 s.

        Raises:
            ValueError: when ``seconds`` is not a positive, finite number.
        """
        if not (math.isfinite(seconds) and seconds > 0):
            raise ValueError(f"seconds = {seconds}; expected a positive, finite duration")
        if seconds < _SPARSE_FROM_SECONDS:
            return None
        return cls(cross_frequency=seconds < _SAME_FREQUENCY_ALONE_FROM_SECONDS)

    @property
    def samples_tokens(self) -> bool:
        """Whether tokens are drawn at all."""
        return self.cross_frequency and self.sparse_ratio > 0.0


@functools.partial(jax.jit, static_argnames=("num_tokens", "config"))
def sample_cross_indices(key_rng: Key[Array, ""], num_tokens: int, config: LiteFocusConfig) -> Int[Array, " gathered"]:
    """Draw the tokens of the cross-frequency set: uniformly, none twice, in random order.

    Args:
        key_rng: random key.
        num_tokens: number of tokens to draw from, times by frequencies.
        config: gives the fraction to draw.

    Returns:
        Token positions, int32. Empty when ``config`` draws none.
    """
    count = max(1, int(num_tokens * config.sparse_ratio)) if config.samples_tokens else 0
    return jax.random.permutation(key_rng, num_tokens)[:count].astype(jnp.int32)


def litefocus_attention(
    query: Float[Array, "batch tokens heads head_dim"],
    key: Float[Array, "batch tokens heads head_dim"],
    value: Float[Array, "batch tokens heads head_dim"],
    *,
    num_frequencies: int,
    config: LiteFocusConfig,
    cross_indices: Int[Array, " gathered"] | None = None,
    key_rng: Key[Array, ""] | None = None,
) -> Float[Array, "batch tokens heads head_dim"]:
    """Self-attention restricted to LiteFocus's two sets, differentiable.

    Tokens are time-major: token ``t * num_frequencies + f`` is frequency f at time t. (The paper's ``i mod N_t`` is a
    slip for the number of frequencies.) The work grows with ``tokens * (times + gathered)`` instead of
    ``tokens ** 2``.

    Args:
        query: one query per token.
        key: one key per token.
        value: one value per token.
        num_frequencies: frequencies in each time frame.
        config: which sets to attend to. Where it does not draw tokens, ``cross_indices`` and ``key_rng`` are unused.
        cross_indices: positions of the cross-frequency tokens, distinct and less than ``tokens``. Their number takes
            the place of ``config.sparse_ratio``.
        key_rng: random key to draw them with when ``cross_indices`` is not given. One draw serves all batch entries
            and heads, as in the authors' code.

    Returns:
        One vector per token and head, in the dtype of ``query``.

    Raises:
        ValueError: when shapes disagree, ``tokens`` is not a multiple of ``num_frequencies``, or tokens are to be
            drawn and both ``cross_indices`` and ``key_rng`` are missing.
    """
    if query.ndim != 4 or key.shape != query.shape or value.shape != query.shape:
        raise ValueError(
            f"query, key and value have shapes {query.shape}, {key.shape} and {value.shape}; "
            "expected one shape [batch, tokens, heads, head_dim]"
        )
    batch, tokens, heads, head_dim = query.shape
    if num_frequencies < 1 or tokens % num_frequencies:
        raise ValueError(f"query has {tokens} tokens, which is not a multiple of num_frequencies = {num_frequencies}")
    if not config.samples_tokens:
        cross_indices = None
    elif cross_indices is None:
        if key_rng is None:
            raise ValueError("cross_frequency is on, but neither cross_indices nor key_rng is given")
        cross_indices = sample_cross_indices(key_rng, tokens, config)
    elif cross_indices.ndim != 1:
        raise ValueError(f"cross_indices has shape {cross_indices.shape}; expected one axis of token positions")

    if not config.same_frequency:
        return dot_product_attention(query, key[:, cross_indices], value[:, cross_indices])

    def fold(array: Array) -> Array:  # [B, T * F, H, D] -> [B, T, F * H, D]
        return array.reshape(batch, tokens // num_frequencies, num_frequencies * heads, head_dim)

    if cross_indices is None:
        return dot_product_attention(fold(query), fold(key), fold(value)).reshape(query.shape)
    if config.overlap == "union":
        return _union_attention(query, key, value, num_frequencies, cross_indices)

    def append_gathered(array: Array) -> Array:  # [B, T * F, H, D] -> [B, T + C, F * H, D]
        gathered = jnp.tile(array[:, cross_indices], (1, 1, num_frequencies, 1))
        return jnp.concatenate([fold(array), gathered], axis=1)

    return dot_product_attention(fold(query), append_gathered(key), append_gathered(value)).reshape(query.shape)


def _union_attention(
    query: Array, key: Array, value: Array, num_frequencies: int, cross_indices: Int[Array, " gathered"]
) -> Array:
    """Attend to same-frequency and gathered tokens, a token in both sets counting once (equation 4).

    Which gathered tokens repeat one of the first set depends on the frequency, so frequency is folded into the batch
    here. Putting the repeated ones last turns the mask into a key length, which every back end is fast with.
    """
    batch, tokens, heads, head_dim = query.shape
    times = tokens // num_frequencies
    frequencies = jnp.arange(num_frequencies)
    is_repeated = (cross_indices % num_frequencies)[None, :] == frequencies[:, None]  # [F, C]
    gathered = cross_indices[jnp.argsort(is_repeated, axis=1, stable=True)]  # [F, C], repeated ones last
    key_lengths = times + jnp.sum(~is_repeated, axis=1)  # [F]

    def fold(array: Array) -> Array:  # [B, T * F, H, D] -> [B * F, T, H, D]
        array = array.reshape(batch, times, num_frequencies, heads, head_dim).swapaxes(1, 2)
        return array.reshape(batch * num_frequencies, times, heads, head_dim)

    def append_gathered(array: Array) -> Array:  # [B, T * F, H, D] -> [B * F, T + C, H, D]
        extra = array[:, gathered].reshape(batch * num_frequencies, -1, heads, head_dim)
        return jnp.concatenate([fold(array), extra], axis=1)

    mixed = dot_product_attention(
        fold(query), append_gathered(key), append_gathered(value), key_lengths=jnp.tile(key_lengths, batch)
    )
    mixed = mixed.reshape(batch, num_frequencies, times, heads, head_dim)
    return mixed.swapaxes(1, 2).reshape(query.shape)
