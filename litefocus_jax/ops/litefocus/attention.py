"""The attention of LiteFocus (arXiv 2407.10468).

A token of a spectrogram latent is one frequency at one time. In LiteFocus it attends to the tokens of its own
frequency at all times (same-frequency focus), and to a few tokens drawn at random from all of them (cross-frequency
compensation). The paper finds that this makes long sound faster to generate, and better too.

Letters in shape comments: B batch, T time, F frequency, H heads, D head_dim, C gathered tokens.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from litefocus_jax.ops.attention import dot_product_attention
from litefocus_jax.ops.litefocus.layout import AttentionLayout, FocusSets
from litefocus_jax.ops.litefocus.near import DrawnTokens, near_attention


@functools.partial(jax.jit, static_argnames=("num_tokens", "sets"))
def sample_cross_indices(key_rng: Key[Array, ""], num_tokens: int, sets: FocusSets) -> Int[Array, " gathered"]:
    """Draw the tokens of the cross-frequency set: uniformly, none twice, in random order.

    Args:
        key_rng: random key.
        num_tokens: number of tokens to draw from, times by frequencies.
        sets: gives the fraction to draw, and the most.

    Returns:
        Token positions, int32. Empty when ``sets`` draws none.
    """
    return jax.random.permutation(key_rng, num_tokens)[: sets.num_cross_tokens(num_tokens)].astype(jnp.int32)


def litefocus_attention(
    query: Float[Array, "batch tokens heads head_dim"],
    key: Float[Array, "batch tokens heads head_dim"],
    value: Float[Array, "batch tokens heads head_dim"],
    *,
    num_frequencies: int,
    layout: AttentionLayout,
    level: int = 0,
    cross_indices: Int[Array, " gathered"] | None = None,
    key_rng: Key[Array, ""] | None = None,
    drawn: DrawnTokens | None = None,
) -> Float[Array, "batch tokens heads head_dim"]:
    """Self-attention restricted to LiteFocus's two sets, differentiable.

    Tokens are time-major: token ``t * num_frequencies + f`` is frequency f at time t. (The paper's ``i mod N_t`` is a
    slip for the number of frequencies.) The work grows with ``tokens * (times + gathered)`` instead of
    ``tokens ** 2``; with a reach, the times are three blocks of it at most.

    Args:
        query: one query per token.
        key: one key per token.
        value: one value per token.
        num_frequencies: frequencies in each time frame.
        layout: which sets to attend to, and the reach. The levels, ``resample`` and ``scale_scores`` are for whoever
            calls this at several levels. Where no tokens are drawn, ``cross_indices`` and ``key_rng`` are unused.
        level: halves the layout's reach so many times; 0 takes it in frames of this query.
        cross_indices: positions of the cross-frequency tokens, distinct and less than ``tokens``. Their number takes
            the place of ``sparse_ratio`` and ``max_cross_tokens``.
        key_rng: random key to draw them with when ``cross_indices`` is not given. One draw serves all batch entries
            and heads, as in the authors' code.
        drawn: keys and values of the cross-frequency tokens, where they are not among those of ``key``; in the place of
            ``cross_indices``, and not with ``overlap="union"``.

    Returns:
        One vector per token and head, in the dtype of ``query``.

    Raises:
        ValueError: when shapes disagree, ``tokens`` is not a multiple of ``num_frequencies``, the layout is dense, or
            tokens are to be drawn and both ``cross_indices`` and ``key_rng`` are missing.
    """
    if query.ndim != 4 or key.shape != query.shape or value.shape != query.shape:
        raise ValueError(
            f"query, key and value have shapes {query.shape}, {key.shape} and {value.shape}; "
            "expected one shape [batch, tokens, heads, head_dim]"
        )
    batch, tokens, heads, head_dim = query.shape
    if num_frequencies < 1 or tokens % num_frequencies:
        raise ValueError(f"query has {tokens} tokens, which is not a multiple of num_frequencies = {num_frequencies}")
    sets = layout.sets
    if sets is None:
        raise ValueError("layout is dense; expected sets, as from LiteFocusConfig().layout(seconds of a frame)")
    if not sets.samples_tokens:
        drawn = cross_indices = None
    elif drawn is not None:
        if sets.overlap == "union" and drawn.indices is None:
            raise ValueError("drawn is given without indices, but overlap = 'union'; expected 'concat'")
    elif cross_indices is None:
        if key_rng is None:
            raise ValueError("cross_frequency is on, but neither cross_indices nor key_rng is given")
        cross_indices = sample_cross_indices(key_rng, tokens, sets)
    elif cross_indices.ndim != 1:
        raise ValueError(f"cross_indices has shape {cross_indices.shape}; expected one axis of token positions")

    if cross_indices is not None:
        drawn = DrawnTokens.at(key, value, cross_indices)
    times, reach = tokens // num_frequencies, layout.reach_at(level)
    if not sets.same_frequency:
        assert drawn is not None, "sets without either are refused"
        return dot_product_attention(query, drawn.key, drawn.value)
    if reach is not None and times > 2 * reach:  # in two blocks every query sees both
        return near_attention(
            query,
            key,
            value,
            drawn,
            num_frequencies=num_frequencies,
            reach=reach,
            count_once=sets.overlap == "union",
        )

    def fold(array: Array) -> Array:  # [B, T * F, H, D] -> [B, T, F * H, D]
        return array.reshape(batch, times, num_frequencies * heads, head_dim)

    if drawn is None:
        return dot_product_attention(fold(query), fold(key), fold(value)).reshape(query.shape)
    if sets.overlap == "union" and drawn.indices is not None:
        return _union_attention(query, key, value, num_frequencies, drawn.indices)

    def append(array: Array, drawn: Array) -> Array:  # [B, T * F, H, D], [B, C, H, D] -> [B, T + C, F * H, D]
        return jnp.concatenate([fold(array), jnp.tile(drawn, (1, 1, num_frequencies, 1))], axis=1)

    keys, values = append(key, drawn.key), append(value, drawn.value)
    return dot_product_attention(fold(query), keys, values).reshape(query.shape)


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
