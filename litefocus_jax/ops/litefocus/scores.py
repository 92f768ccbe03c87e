"""Attention scores at unfamiliar lengths: how many keys a query sees, and what that does to its scores.

The more keys a softmax has, the flatter it is. Jin et al. (arXiv 2306.08645) show that the entropy of attention grows
with the logarithm of the number of keys, and keep it at what the network knows from training by sharpening the scores.

Letters in shape comments: T time, F frequency, C gathered tokens.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from litefocus_jax.ops.litefocus.layout import AttentionLayout
from litefocus_jax.ops.litefocus.near import DrawnTokens


def scale_queries(
    query: Float[Array, "batch tokens heads head_dim"],
    num_keys: Int[Array, " tokens"] | int,
    training_keys: int,
) -> Float[Array, "batch tokens heads head_dim"]:
    """Multiply queries, and so their attention scores, by ``sqrt(log n / log m)`` (arXiv 2306.08645).

    Args:
        query: queries, to which the usual ``1 / sqrt(head_dim)`` is still to be applied.
        num_keys: n, the number of keys that each query sees, or that all do.
        training_keys: m, the number of keys that a query saw in training.

    Raises:
        ValueError: when ``training_keys`` is less than 2, whose logarithm nothing can be measured against.
    """
    if training_keys < 2:
        raise ValueError(f"training_keys = {training_keys}; expected at least 2")
    factor = jnp.sqrt(jnp.log(jnp.asarray(num_keys, jnp.float32)) / jnp.log(jnp.float32(training_keys)))
    factor = jnp.broadcast_to(factor, query.shape[1])[None, :, None, None]
    return (query.astype(jnp.float32) * factor).astype(query.dtype)


def keys_per_query(
    layout: AttentionLayout,
    level: int,
    drawn: DrawnTokens | None,
    *,
    times: int,
    num_frequencies: int,
) -> Int[Array, " tokens"]:
    """How many keys each token sees in LiteFocus; one that counts twice (``overlap="concat"``) is two.

    Args:
        layout: of the attention.
        level: at which these tokens are; dense ones see all tokens.
        drawn: the gathered tokens, or None where there are none; with positions where one counts once.
        times: time frames.
        num_frequencies: frequencies in each.
    """
    sets = layout.sets_at(level)
    if sets is None:
        return jnp.full(times * num_frequencies, times * num_frequencies)
    gathered = 0 if drawn is None else drawn.key.shape[1]
    if not sets.same_frequency:
        return jnp.full(times * num_frequencies, gathered)
    reach = layout.reach_at(level) or times
    block = jnp.arange(times) // reach
    first, end = jnp.maximum(block - 1, 0) * reach, jnp.minimum((block + 2) * reach, times)
    counts = jnp.broadcast_to((end - first + gathered)[:, None], (times, num_frequencies))
    if drawn is not None and drawn.indices is not None and sets.overlap == "union":
        at = (1 + drawn.indices // num_frequencies, drawn.indices % num_frequencies)
        # Row t: how many gathered tokens of each frequency there are before time t.
        before = jnp.cumsum(jnp.zeros((times + 1, num_frequencies), jnp.int32).at[at].add(1), axis=0)
        counts = counts - (before[end] - before[first])
    return counts.reshape(-1)
