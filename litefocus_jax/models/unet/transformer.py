"""Transformers over the tokens of a latent: self-attention, attention to the prompt, feed-forward.

Letters in shape comments: B batch, T time, F frequency, N = T * F tokens, C channels, K prompt vectors, H heads,
D channels per head.
"""

import functools
from typing import NamedTuple, Protocol

import jax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.models import parameters
from litefocus_jax.models.layers import FeedForward, GroupNorm, LayerNorm
from litefocus_jax.ops.attention import dot_product_attention
from litefocus_jax.ops.litefocus.near import DrawnTokens
from litefocus_jax.ops.token_merging import Matching
from litefocus_jax.parallel.time_axis import FrameShares

# Fixed in the architecture, whatever the configuration says about the resnet blocks.
_GROUP_NORM_EPSILON = 1e-6
_LAYER_NORM_EPSILON = 1e-5


class SelfAttend(Protocol):
    """How the tokens of a latent attend to each other: densely, or sparsely as in LiteFocus."""

    def __call__(
        self,
        query: Float[Array, "batch tokens heads head_dim"],
        key: Float[Array, "batch tokens heads head_dim"],
        value: Float[Array, "batch tokens heads head_dim"],
        *,
        num_frequencies: int,
    ) -> Float[Array, "batch tokens heads head_dim"]:
        """Tokens are time-major, ``num_frequencies`` to a time frame."""
        ...


class Match(Protocol):
    """Which tokens of a latent attend as one."""

    def __call__(self, x: Float[Array, "batch tokens channels"], *, num_frequencies: int) -> Matching | None:
        """Of the tokens as they come into a block; None where nothing is merged."""
        ...


class Focus(Protocol):
    """A `SelfAttend` in which a token sees those of its own frequency, and some that are drawn from all."""

    def draw(self, num_tokens: int) -> Int[Array, " drawn"] | None:
        """Positions of the drawn ones; None for none."""
        ...

    def attend(
        self,
        query: Float[Array, "batch tokens heads head_dim"],
        key: Float[Array, "batch tokens heads head_dim"],
        value: Float[Array, "batch tokens heads head_dim"],
        drawn: DrawnTokens | None,
        *,
        num_frequencies: int,
        all_frequencies: int,
    ) -> Float[Array, "batch tokens heads head_dim"]:
        """Attention of the tokens of ``num_frequencies`` out of ``all_frequencies``."""
        ...


class TokenAttention(NamedTuple):
    """The self-attention of a transformer block.

    Attributes:
        attend: how tokens attend to each other.
        match: which of them its first attention merges; None for none.
        focus: the same as ``attend`` for whoever has some of the frequencies alone; None where that is not enough.
    """

    attend: SelfAttend
    match: Match | None = None
    focus: Focus | None = None


class AttentionAt(Protocol):
    """The self-attention of every transformer block of the network."""

    def __call__(self, level: int, transformer: int = 0, block: int = 0, /) -> TokenAttention:
        """Of one block; ``transformer`` is its number among those that follow a resnet of the level."""
        ...


class AttentionOfLevel(Protocol):
    """The self-attention of every transformer block of a level."""

    def __call__(self, transformer: int = 0, block: int = 0, /) -> TokenAttention:
        """As `AttentionAt`."""
        ...


def attend_densely(query: Array, key: Array, value: Array, *, num_frequencies: int) -> Array:
    """The `SelfAttend` in which every token attends to all."""
    del num_frequencies
    return dot_product_attention(query, key, value)


class PromptKeys(NamedTuple):
    """What one cross-attention reads of the prompt; the same at every denoising step.

    Attributes:
        key: one key per prompt vector.
        value: one value per prompt vector.
        mask: True where a prompt vector may be attended to, or ``None`` where all may.
    """

    key: Float[Array, "batch keys heads head_dim"]
    value: Float[Array, "batch keys heads head_dim"]
    mask: Bool[Array, "batch keys"] | None


class EitherKeys(NamedTuple):
    """What a second attention reads whose block runs in a loop with others, see `litefocus_jax.models.unet.looped`.

    Attributes:
        reads_prompt: whether it is the prompt, or the tokens again.
        prompt: of the prompt.
        own: keys and values of the tokens: modules of an `Attention` of many, stacked.
        number: which of these it is.
    """

    reads_prompt: Bool[Array, ""]
    prompt: PromptKeys
    own: "Attention"
    number: Int[Array, ""]


class Prompt(NamedTuple):
    """One of the two encodings of the prompt, with its padding mask."""

    states: Float[Array, "batch keys features"]
    mask: Bool[Array, "batch keys"] | None


class Attention(nnx.Module):
    """Multi-head attention with diffusers' parameters: no bias but on the output.

    ``nnx.MultiHeadAttention`` has biases everywhere or nowhere, and an axis of heads in its kernels.

    Args:
        channels: width of the tokens.
        context_dim: width of what is attended to; ``channels`` for self-attention.
        num_heads: divides ``channels``.
        rngs: source of the initial weights.
    """

    def __init__(self, channels: int, context_dim: int, num_heads: int, *, rngs: nnx.Rngs) -> None:
        self.num_heads = num_heads
        self.to_q = parameters.linear(channels, channels, use_bias=False, rngs=rngs)
        self.to_k = parameters.linear(context_dim, channels, use_bias=False, rngs=rngs)
        self.to_v = parameters.linear(context_dim, channels, use_bias=False, rngs=rngs)
        self.to_out = parameters.linear(channels, channels, rngs=rngs)

    def _split_heads(self, x: Array) -> Array:  # [B, N, C] -> [B, N, H, D]
        return x.reshape(*x.shape[:2], self.num_heads, -1)

    def attend_to_itself(
        self,
        x: Float[Array, "batch tokens channels"],
        attend: SelfAttend,
        *,
        num_frequencies: int,
    ) -> Float[Array, "batch tokens channels"]:
        """Self-attention, in the given manner."""
        query, key, value = (self._split_heads(project(x)) for project in (self.to_q, self.to_k, self.to_v))
        return self.to_out(attend(query, key, value, num_frequencies=num_frequencies).reshape(x.shape))

    def focus_on_itself(
        self, x: Float[Array, "batch tokens channels"], focus: Focus, shares: FrameShares, *, num_frequencies: int
    ) -> Float[Array, "batch tokens channels"]:
        """Self-attention of a device that has all frames of ``num_frequencies``."""
        query, key, value = (self._split_heads(project(x)) for project in (self.to_q, self.to_k, self.to_v))
        indices = focus.draw(x.shape[1] * shares.devices)
        drawn = None
        if indices is not None:
            # Devices exchange tokens rather than their keys and values, which are twice as much.
            tokens = shares.drawn_tokens(x, indices, own_frequencies=num_frequencies)
            drawn = DrawnTokens(self._split_heads(self.to_k(tokens)), self._split_heads(self.to_v(tokens)), None)
        frequencies = {"num_frequencies": num_frequencies, "all_frequencies": num_frequencies * shares.devices}
        return self.to_out(focus.attend(query, key, value, drawn, **frequencies).reshape(x.shape))

    def with_keys_of(self, other: "Attention") -> "Attention":
        """This attention with the keys and values of another one."""
        mixed = nnx.merge(*nnx.split(self))
        mixed.to_k, mixed.to_v = other.to_k, other.to_v
        return mixed

    def project_prompt(self, prompt: Prompt) -> PromptKeys:
        """The part of cross-attention that does not depend on the tokens.

        Raises:
            ValueError: when the prompt's vectors have another width than this module attends to.
        """
        expected = self.to_k.in_features
        if prompt.states.shape[-1] != expected:
            raise ValueError(f"encoder hidden states have shape {prompt.states.shape}; expected {expected} features")
        key, value = (self._split_heads(project(prompt.states)) for project in (self.to_k, self.to_v))
        return PromptKeys(key, value, prompt.mask)

    def attend_to_prompt(
        self, x: Float[Array, "batch tokens channels"], keys: PromptKeys
    ) -> Float[Array, "batch tokens channels"]:
        """Cross-attention to what `project_prompt` returned."""
        query = self._split_heads(self.to_q(x))
        mixed = dot_product_attention(query, keys.key, keys.value, key_mask=keys.mask)
        return self.to_out(mixed.reshape(x.shape))


class TransformerBlock(nnx.Module):
    """Self-attention, a second attention and a feed-forward network, each normalised before and added after.

    Args:
        channels: width of the tokens.
        num_heads: of both attentions.
        cross_attention_dim: width of the prompt's vectors that the second attention reads; ``None`` makes it
            self-attention as well.
        rngs: source of the initial weights.
    """

    def __init__(self, channels: int, num_heads: int, cross_attention_dim: int | None, *, rngs: nnx.Rngs) -> None:
        self.reads_prompt = cross_attention_dim is not None
        self.norm1 = LayerNorm(channels, epsilon=_LAYER_NORM_EPSILON, rngs=rngs)
        self.attn1 = Attention(channels, channels, num_heads, rngs=rngs)
        self.norm2 = LayerNorm(channels, epsilon=_LAYER_NORM_EPSILON, rngs=rngs)
        self.attn2 = Attention(channels, cross_attention_dim or channels, num_heads, rngs=rngs)
        self.norm3 = LayerNorm(channels, epsilon=_LAYER_NORM_EPSILON, rngs=rngs)
        self.ff = FeedForward(channels, rngs=rngs)

    def __call__(
        self,
        x: Float[Array, "batch tokens channels"],
        keys: PromptKeys | EitherKeys | None,
        attention: TokenAttention,
        *,
        num_frequencies: int,
        shares: FrameShares | None = None,
    ) -> Float[Array, "batch tokens channels"]:
        """Add what each of the three has to say.

        Args:
            x: tokens.
            keys: from ``attn2.project_prompt``; None where the second attention reads no prompt. Of a block in a loop,
                both.
            attention: of the tokens.
            num_frequencies: in each time frame.
            shares: of several devices that have all frames of ``num_frequencies`` each; ``attention.focus`` is used.
        """

        def mix(layer: Attention, tokens: Array) -> Array:
            if shares is None:
                return layer.attend_to_itself(tokens, attention.attend, num_frequencies=num_frequencies)
            assert attention.focus is not None, "AttentionLayers asks for it"
            return layer.focus_on_itself(tokens, attention.focus, shares, num_frequencies=num_frequencies)

        own, match = self.norm1(x), attention.match
        matching = None if match is None else match(x, num_frequencies=num_frequencies)
        x = x + (mix(self.attn1, own) if matching is None else matching.unmerge(mix(self.attn1, matching.merge(own))))
        own = self.norm2(x)
        if keys is None:
            x = x + mix(self.attn2, own)
        elif isinstance(keys, PromptKeys):
            x = x + self.attn2.attend_to_prompt(own, keys)
        else:

            def mix_again(own: Array) -> Array:
                again = jax.tree.map(lambda array: array[keys.number], keys.own)
                return mix(self.attn2.with_keys_of(again), own)

            def read_prompt(own: Array) -> Array:
                return self.attn2.attend_to_prompt(own, keys.prompt)

            x = x + jax.lax.cond(keys.reads_prompt, read_prompt, mix_again, own)
        return x + self.ff(self.norm3(x))


class Transformer(nnx.Module):
    """Transformer blocks between two pointwise projections, around which the input skips (``Transformer2DModel``).

    Args:
        channels: of input and output.
        num_heads: of every attention.
        num_layers: number of transformer blocks.
        cross_attention_dim: see `TransformerBlock`.
        num_groups: of the normalisation of the input.
        use_linear_projection: whether the checkpoint stores the projections as linear layers or as 1x1 convolutions.
        rngs: source of the initial weights.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int,
        *,
        num_layers: int,
        cross_attention_dim: int | None,
        num_groups: int,
        use_linear_projection: bool,
        rngs: nnx.Rngs,
    ) -> None:
        def pointwise() -> nnx.Linear | nnx.Conv:
            if use_linear_projection:
                return parameters.linear(channels, channels, rngs=rngs)
            return parameters.conv(channels, channels, (1, 1), rngs=rngs)

        self.reads_prompt = cross_attention_dim is not None
        self.shares: FrameShares | None = None  # of frames that several devices share
        self.norm = GroupNorm(num_groups, channels, epsilon=_GROUP_NORM_EPSILON, rngs=rngs)
        self.proj_in = pointwise()
        self.transformer_blocks = nnx.List(
            TransformerBlock(channels, num_heads, cross_attention_dim, rngs=rngs) for _ in range(num_layers)
        )
        self.proj_out = pointwise()

    def project_prompt(self, prompt: Prompt | None) -> tuple[PromptKeys | None, ...]:
        """Keys and values of every block's cross-attention; ``None`` for blocks that read no prompt."""
        if not self.reads_prompt or prompt is None:
            return (None,) * len(self.transformer_blocks)
        return tuple(block.attn2.project_prompt(prompt) for block in self.transformer_blocks)

    def __call__(
        self,
        x: Float[Array, "batch time frequency channels"],
        keys: tuple[PromptKeys | EitherKeys | None, ...],
        attentions: tuple[TokenAttention, ...],
        *,
        by_frequency: bool = False,
    ) -> Float[Array, "batch time frequency channels"]:
        """Run the blocks.

        Args:
            x: of several devices that share frames, those of this one.
            keys: from `project_prompt`, for each block.
            attentions: of each block.
            by_frequency: whether such devices have all frames of some frequencies each, for the time being.
        """
        batch, time, frequency, channels = x.shape
        shares = self.shares if by_frequency else None
        tokens = self.proj_in(self.norm(x, by_frequency=by_frequency)).reshape(batch, time * frequency, channels)
        for block, block_keys, attention in zip(self.transformer_blocks, keys, attentions, strict=True):
            if self.shares is not None and not by_frequency:
                assert attention.match is None, "a device does not see the tokens of the others; requests refuse it"
                attention = TokenAttention(functools.partial(self.shares.attend, attention.attend))
            tokens = block(tokens, block_keys, attention, num_frequencies=frequency, shares=shares)
        return x + self.proj_out(tokens.reshape(x.shape))
