"""Token Merging for diffusion (Bolya and Hoffman, arXiv 2303.17604): tokens that are alike attend as one.

The grid of tokens is cut into regions, one token of each region is a destination, and every other token a source. The
sources that are most like their likest destination join it, as the mean of all that join there; attention runs on what
is left, and every token gets the result of the one that it joined. This is the bipartite matching of tomesd 0.1.3
(https://github.com/dbolya/tomesd, MIT), which LiteFocus (arXiv 2407.10468) is compared with.

Letters in shape comments: B batch, T time, F frequency, N = T * F tokens, C channels, S sources, D destinations,
M tokens after merging.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

_MOST_SCORES = 2**22  # similarities at a time


@dataclasses.dataclass(frozen=True)
class TokenMerging:
    """How many tokens of a network's self-attention are merged, and where.

    Attributes:
        ratio: the share of all tokens that is merged into others, rounded down; at most all that are no destinations,
            which are three quarters with the default region.
        region: frames and frequencies of a region, of which one token is a destination. Frames and frequencies that do
            not fill a region at the end of the grid are sources. A grid that is smaller than one is left as it is.
        random: draw the destination of each region, anew at every call; otherwise it is the first token of it. The
            draw serves all of a batch.
        levels: resolution levels of the UNet, 0 being the full one, whose tokens are merged for the first
            self-attention of each block.

    Raises:
        ValueError: naming the field, when a value is out of range.
    """

    ratio: float = 0.5
    region: tuple[int, int] = (2, 2)
    random: bool = True
    levels: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if not 0.0 < self.ratio <= 1.0:
            raise ValueError(f"ratio = {self.ratio}; expected a share above 0 and up to 1")
        if len(self.region) != 2 or not all(isinstance(size, int) and size >= 1 for size in self.region):
            raise ValueError(f"region = {self.region!r}; expected frames and frequencies, such as (2, 2)")
        if not self.levels or any(not isinstance(level, int) or level < 0 for level in self.levels):
            raise ValueError(f"levels = {self.levels!r}; expected whole numbers from 0, such as (1,)")

    def num_destinations(self, times: int, num_frequencies: int) -> int:
        """How many tokens of a grid others can be merged into."""
        return (times // self.region[0]) * (num_frequencies // self.region[1])

    def num_merged(self, times: int, num_frequencies: int) -> int:
        """How many tokens of a grid are merged into others."""
        tokens, destinations = times * num_frequencies, self.num_destinations(times, num_frequencies)
        return min(int(tokens * self.ratio), tokens - destinations) if destinations else 0


class Matching(NamedTuple):
    """Which tokens are one.

    Attributes:
        joined: for each token, the number of the one that it is part of.
        sizes: how many tokens each of those is made of.
    """

    joined: Int[Array, "batch tokens"]
    sizes: Int[Array, "batch merged_tokens"]

    def merge(self, x: Float[Array, "batch tokens channels"]) -> Float[Array, "batch merged_tokens channels"]:
        """The mean of the tokens that are one, in the dtype of ``x``."""
        sums = jnp.zeros((*self.sizes.shape, x.shape[-1]), jnp.float32)
        sums = sums.at[jnp.arange(x.shape[0])[:, None], self.joined].add(x.astype(jnp.float32))
        return (sums / self.sizes[..., None]).astype(x.dtype)

    def unmerge(self, x: Float[Array, "batch merged_tokens channels"]) -> Float[Array, "batch tokens channels"]:
        """For each token, what became of the one that it is part of."""
        return jnp.take_along_axis(x, self.joined[..., None], axis=1)


def match_tokens(
    x: Float[Array, "batch tokens channels"],
    *,
    num_frequencies: int,
    merging: TokenMerging,
    key_rng: Key[Array, ""] | None = None,
) -> Matching | None:
    """Decide which tokens are merged, each batch entry by itself.

    Likeness is the cosine of two tokens. No gradient goes through the decision.

    Args:
        x: time-major tokens: ``t * num_frequencies + f`` is frequency f at time t.
        num_frequencies: frequencies in each time frame.
        merging: how many are merged. The levels are for whoever calls this at several levels.
        key_rng: random key to draw the destinations with, where ``merging`` is random.

    Returns:
        The matching, or None where nothing is merged.

    Raises:
        ValueError: when the tokens are no multiple of ``num_frequencies``, or destinations are to be drawn and
            ``key_rng`` is missing.
    """
    batch, tokens, _ = x.shape
    if num_frequencies < 1 or tokens % num_frequencies:
        raise ValueError(f"x has {tokens} tokens, which is not a multiple of num_frequencies = {num_frequencies}")
    times = tokens // num_frequencies
    count = merging.num_merged(times, num_frequencies)
    if not count:
        return None
    destinations, sources = _split(times, num_frequencies, merging, key_rng)
    x = jax.lax.stop_gradient(x).astype(jnp.float32)
    x = x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), jnp.finfo(jnp.float32).tiny)
    likeness, likest = _likest(x[:, sources], x[:, destinations])
    order = jnp.argsort(likeness, axis=1, descending=True, stable=True)  # [B, S]
    merged, kept = order[:, :count], order[:, count:]
    rows, first_destination = jnp.arange(batch)[:, None], kept.shape[1]
    # The tokens that are left: first the sources, then the destinations.
    joined = jnp.zeros((batch, tokens), jnp.int32)
    joined = joined.at[:, destinations].set(first_destination + jnp.arange(len(destinations)))
    joined = joined.at[rows, sources[kept]].set(jnp.arange(first_destination))
    joined = joined.at[rows, sources[merged]].set(
        first_destination + jnp.take_along_axis(likest, merged, axis=1)  # [B, count]
    )
    sizes = jnp.zeros((batch, tokens - count), jnp.int32).at[rows, joined].add(1)
    return Matching(joined, sizes)


def _split(
    times: int, num_frequencies: int, merging: TokenMerging, key_rng: Array | None
) -> tuple[Int[Array, " destinations"], Int[Array, " sources"]]:
    """Positions of both kinds of tokens, each in their order."""
    frames, frequencies = merging.region
    shape = (times // frames, num_frequencies // frequencies)
    chosen = jnp.zeros(shape, jnp.int32)
    if merging.random:
        if key_rng is None:
            raise ValueError("the merging of tokens is random, but key_rng is not given")
        chosen = jax.random.randint(key_rng, shape, 0, frames * frequencies)
    time = jnp.arange(shape[0])[:, None] * frames + chosen // frequencies
    frequency = jnp.arange(shape[1]) * frequencies + chosen % frequencies
    is_source = jnp.ones(times * num_frequencies, bool).at[(time * num_frequencies + frequency).reshape(-1)].set(False)
    order = jnp.argsort(is_source, stable=True)
    count = merging.num_destinations(times, num_frequencies)
    return order[:count], order[count:]


def _likest(
    sources: Float[Array, "batch sources channels"], destinations: Float[Array, "batch destinations channels"]
) -> tuple[Float[Array, "batch sources"], Int[Array, "batch sources"]]:
    """For each source the likest destination, and how like it is; not all similarities are held at a time."""
    batch, count, channels = sources.shape
    rows = max(1, min(count, _MOST_SCORES // (batch * destinations.shape[1])))
    padded = jnp.pad(sources, ((0, 0), (0, -count % rows), (0, 0)))
    blocks = padded.reshape(batch, -1, rows, channels).swapaxes(0, 1)

    def of_block(block: Array) -> tuple[Array, Array]:
        scores = jnp.einsum("bsc,bdc->bsd", block, destinations)
        return scores.max(axis=-1), scores.argmax(axis=-1).astype(jnp.int32)

    found = jax.lax.map(of_block, blocks)  # [blocks, B, rows] each
    likeness, likest = (each.swapaxes(0, 1).reshape(batch, -1)[:, :count] for each in found)
    return likeness, likest
