"""A UNet whose transformers after a resnet run in one loop over their weights, for compilers whose code is large.

A program for TPUs lays out every product of matrices at length: at the published size and in bfloat16 it takes as much
memory as the weights. In a loop the transformers that follow a resnet share their code. What differs between them is
where the second attention of a block looks: at the tokens again, or at the prompt, each at its own encoding of it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Int

from litefocus_jax.models.text_layers import padded_to
from litefocus_jax.models.unet.blocks import AttentionLayers, BlockKeys, Prompts
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.models.unet.self_attention import LayoutAttention
from litefocus_jax.models.unet.transformer import Attention, EitherKeys, PromptKeys, TokenAttention, Transformer

Module = TypeVar("Module", bound=nnx.Module)


def loop_over_transformers(unet: UNet) -> UNet:
    """A UNet that computes the same, whose transformers have their arrays stacked.

    A level is left as it is unless some of the transformers that follow a resnet read the prompt, and others do not.

    Args:
        unet: none of its transformers' arrays is needed any more.
    """
    looped: Any = nnx.merge(*nnx.split(unet))
    for block in (*looped.down_blocks, looped.mid_block, *looped.up_blocks):
        layers = block.attentions
        if layers is not None and len({each.reads_prompt for each in layers.transformers}) == 2:
            block.attentions = LoopedAttentionLayers(layers)
    return looped


class LoopedAttentionLayers(AttentionLayers):
    """`AttentionLayers` with the transformers after each resnet in a loop.

    Args:
        layers: whose arrays are stacked.
    """

    def __init__(self, layers: AttentionLayers) -> None:
        self.per_layer, self.shares = layers.per_layer, layers.shares
        flat = list(layers.transformers)
        groups = [flat[start : start + self.per_layer] for start in range(0, len(flat), self.per_layer)]
        self.reads_prompt = tuple(transformer.reads_prompt for transformer in groups[0])
        self.num_blocks = len(flat[0].transformer_blocks)
        self.stacked = nnx.List(_stacked([_without_keys(transformer) for transformer in group]) for group in groups)
        self.of_prompt = nnx.List(
            _keys_alone(block.attn2) for each in flat if each.reads_prompt for block in each.transformer_blocks
        )
        self.of_tokens = nnx.List(  # for each layer, for each block
            _stacked([_keys_alone(each.transformer_blocks[number].attn2) for each in group if not each.reads_prompt])
            for group in groups
            for number in range(self.num_blocks)
        )

    def project_prompts(self, prompts: Prompts) -> BlockKeys:
        """Keys and values of every cross-attention of the block."""
        attentions = iter(self.of_prompt)
        keys: list[tuple[PromptKeys | None, ...]] = []
        for _ in self.stacked:
            for place, reads_prompt in enumerate(self.reads_prompt):
                if not reads_prompt:
                    keys.append((None,) * self.num_blocks)
                    continue
                prompt = prompts.at(place)
                assert prompt is not None, "UNet.project_context refuses it"
                keys.append(tuple(next(attentions).project_prompt(prompt) for _ in range(self.num_blocks)))
        return tuple(keys)

    def run_layer(
        self, layer: int, x: Array, keys: BlockKeys, attentions: list[tuple[TokenAttention, ...]], *, by_frequency: bool
    ) -> Array:
        """Run them in a loop; where attention differs between them, one after another."""
        prompts = [_padded([each[number] for each in keys]) for number in range(self.num_blocks)]
        which = np.cumsum(~np.array(self.reads_prompt)) - 1  # of those that look at the tokens twice
        given = _Given(
            self.stacked[layer],
            jnp.asarray(self.reads_prompt),
            jnp.asarray(np.maximum(which, 0)),
            tuple(prompts),
            jnp.asarray(_numbers_of_draws(attentions, self.reads_prompt)),
        )
        first_of_layer = layer * self.num_blocks

        def run(x: Array, given: _Given, attentions: tuple[TokenAttention, ...]) -> Array:
            keys = tuple(
                EitherKeys(given.reads_prompt, prompt, self.of_tokens[first_of_layer + number], given.which)
                for number, prompt in enumerate(given.prompts)
            )
            numbered = tuple(map(_numbered, attentions, given.draws))
            return given.transformer(x, keys, numbered, by_frequency=by_frequency)

        if _differ(attentions):
            for place, own in enumerate(attentions):
                x = run(x, jax.tree.map(lambda array, place=place: array[place], given), own)
            return x
        return jax.lax.scan(lambda x, given: (run(x, given, attentions[0]), None), x, given)[0]


class _Given(NamedTuple):
    """What differs between the transformers of a loop; each array has one entry for each of them.

    Attributes:
        transformer: its arrays but for the keys and values of second attentions.
        reads_prompt: whether the second attention does.
        which: number among those that do not.
        prompts: for each block, keys and values of the prompt.
        draws: for each block, numbers of the draws of its two attentions.
    """

    transformer: Transformer
    reads_prompt: Array
    which: Array
    prompts: tuple[PromptKeys, ...]
    draws: Array


def _stacked(modules: Sequence[Module]) -> Module:
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *modules)


def _keys_alone(attention: Attention) -> Attention:
    alone: Any = nnx.merge(*nnx.split(attention))
    alone.to_q = alone.to_out = None
    return alone


def _without_keys(transformer: Transformer) -> Transformer:
    """All that transformers of either kind have in common."""
    common: Any = nnx.merge(*nnx.split(transformer))
    common.reads_prompt = False
    for block in common.transformer_blocks:
        block.reads_prompt = False
        block.attn2.to_k = block.attn2.to_v = None
    return common


def _padded(keys: Sequence[PromptKeys | None]) -> PromptKeys:
    """Stack what is read of prompts, to the longest; those that read none get zeros."""
    longest = max((each.key for each in keys if each is not None), key=lambda key: key.shape[1])
    batch, length = longest.shape[:2]

    def fill(each: PromptKeys | None) -> PromptKeys:
        if each is None:
            each = PromptKeys(jnp.zeros_like(longest), jnp.zeros_like(longest), None)
        mask = jnp.ones((batch, each.key.shape[1]), bool) if each.mask is None else each.mask
        return PromptKeys(*(padded_to(length, array) for array in (each.key, each.value, mask)))

    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *map(fill, keys))


def _differ(attentions: Sequence[tuple[TokenAttention, ...]]) -> bool:
    """Whether attention is not the same in all transformers, as in LiteFocus as its authors' code has it."""

    def said(attention: TokenAttention) -> Any:
        attend = attention.attend
        return attend.sets if isinstance(attend, LayoutAttention) else attend

    return any([*map(said, blocks)] != [*map(said, attentions[0])] for blocks in attentions)


def _numbers_of_draws(
    attentions: Sequence[tuple[TokenAttention, ...]], reads_prompt: Sequence[bool]
) -> Int[np.ndarray, "transformers blocks 2"]:
    """The numbers that the draws of LiteFocus would have one after another; zeros where none are counted."""
    numbers = np.zeros((len(attentions), len(attentions[0]), 2), np.int32)
    for place, blocks in enumerate(attentions):
        for number, (attend, *_) in enumerate(blocks):
            if isinstance(attend, LayoutAttention) and attend.numbers_its_draws:
                own = 1 if reads_prompt[place] else 2
                numbers[place, number, :own] = [next(attend.calls) for _ in range(own)]
    return numbers


def _numbered(attention: TokenAttention, numbers: Int[Array, "2"]) -> TokenAttention:
    """Attention whose draws have these numbers."""
    attend = attention.attend
    if not isinstance(attend, LayoutAttention) or not attend.numbers_its_draws:
        return attention
    own = attend._replace(calls=iter((numbers[0], numbers[1])))
    return attention._replace(attend=own, focus=None if attention.focus is None else own)
