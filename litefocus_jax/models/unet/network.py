"""The denoising network of AudioLDM2 (diffusers' ``AudioLDM2UNet2DConditionModel``), and of AudioLDM and MusicLDM,
where a prompt is one vector (``UNet2DConditionModel``).

Letters in shape comments: B batch, T time, F frequency, C channels, S denoising steps, D time_embed_dim.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key

from litefocus_jax.models import parameters
from litefocus_jax.models.keys import Network
from litefocus_jax.models.layers import GroupNorm, TimestepEmbedding, sinusoidal_embedding
from litefocus_jax.models.unet.blocks import BlockKeys, DownBlock, MiddleBlock, Prompts, UpBlock
from litefocus_jax.models.unet.config import ClassConditionedUNetConfig, UNetConfig
from litefocus_jax.models.unet.keys import CLASS_CONDITIONED_KEYS, KEYS
from litefocus_jax.models.unet.original import original_rules
from litefocus_jax.models.unet.self_attention import self_attention_by_place
from litefocus_jax.models.unet.transformer import AttentionAt, Prompt
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout


class Context(NamedTuple):
    """What the network reads of a prompt, computed once per generation by `UNet.project_context`.

    Attributes:
        down: keys and values of every cross-attention on the way down.
        middle: likewise of the middle.
        up: likewise on the way up.
        class_embedding: what stands beside the time embedding, or None in a network that takes no class labels.
    """

    down: tuple[BlockKeys, ...]
    middle: BlockKeys
    up: tuple[BlockKeys, ...]
    class_embedding: Float[Array, "batch time_embed_dim"] | None = None


class UNet(nnx.Module):
    """Predicts the noise (or velocity) in a latent, given the prompt and the time in the noise schedule.

    What no denoising step changes is computed outside the sampling loop: `embed_time` for all steps at once, and
    `project_context` for the prompt.
    """

    def __init__(self, config: UNetConfig, *, rngs: nnx.Rngs) -> None:
        channels = config.block_out_channels
        levels = range(len(channels))
        self.config = config
        self.conv_in = parameters.conv(config.in_channels, channels[0], (config.conv_in_kernel,) * 2, rngs=rngs)
        self.time_embedding = TimestepEmbedding(channels[0], config.time_embed_dim, rngs=rngs)
        if config.class_labels_dim is not None:
            self.class_embedding = parameters.linear(config.class_labels_dim, config.time_embed_dim, rngs=rngs)
        self.down_blocks = nnx.List(DownBlock(config, level, rngs=rngs) for level in levels)
        self.mid_block = MiddleBlock(config, rngs=rngs)
        self.up_blocks = nnx.List(UpBlock(config, level, rngs=rngs) for level in reversed(levels))
        self.conv_norm_out = GroupNorm(config.norm_num_groups, channels[0], epsilon=config.norm_eps, rngs=rngs)
        self.conv_out = parameters.conv(channels[0], config.out_channels, (config.conv_out_kernel,) * 2, rngs=rngs)

    @property
    def dtype(self) -> jnp.dtype:
        """The floating-point type of the weights, in which the network computes."""
        return self.conv_in.kernel.get_value().dtype

    def embed_time(self, timesteps: Float[Array, " steps"]) -> Float[Array, "steps time_embed_dim"]:
        """Embed positions in the noise schedule; the sinusoids are float32, the result is in the weights' dtype."""
        sinusoids = sinusoidal_embedding(
            timesteps,
            self.config.block_out_channels[0],
            flip_sin_to_cos=self.config.flip_sin_to_cos,
            freq_shift=self.config.freq_shift,
        )
        return self.time_embedding(sinusoids.astype(self.dtype))

    def project_context(
        self,
        encoder_hidden_states: Float[Array, "batch generated features"] | None = None,
        encoder_hidden_states_1: Float[Array, "batch text features_1"] | None = None,
        encoder_attention_mask_1: Bool[Array, "batch text"] | None = None,
        *,
        encoder_attention_mask: Bool[Array, "batch generated"] | None = None,
        class_labels: Float[Array, "batch class_labels_dim"] | None = None,
    ) -> Context:
        """Compute the keys and values of every cross-attention, or what stands beside the time embedding.

        A network whose configuration has a ``class_labels_dim`` takes class labels alone; any other takes states.

        Args:
            encoder_hidden_states: what the first two transformers of a layer read: the language model's vectors, or a
                text encoder's where there is no language model.
            encoder_hidden_states_1: the second text encoder's states, read by the others.
            encoder_attention_mask_1: True where ``encoder_hidden_states_1`` is not padding.
            encoder_attention_mask: True where ``encoder_hidden_states`` is not padding; none of it is unless given.
            class_labels: one vector for each prompt.

        Raises:
            ValueError: when the states do not have the width that the configuration says, or are given to a network
                that takes class labels, or the other way round.
        """
        takes_labels = self.config.class_labels_dim is not None
        if takes_labels != (class_labels is not None) or takes_labels != (encoder_hidden_states is None):
            raise ValueError(
                f"a {self.config.CLASS_NAME} takes {'class_labels' if takes_labels else 'encoder_hidden_states'}; "
                f"found {'encoder_hidden_states' if class_labels is None else 'class_labels'}"
            )
        generated = None if encoder_hidden_states is None else Prompt(encoder_hidden_states, encoder_attention_mask)
        text = None if encoder_hidden_states_1 is None else Prompt(encoder_hidden_states_1, encoder_attention_mask_1)
        prompts = Prompts(generated, text)
        return Context(
            down=tuple(block.project_prompts(prompts) for block in self.down_blocks),
            middle=self.mid_block.project_prompts(prompts),
            up=tuple(block.project_prompts(prompts) for block in self.up_blocks),
            class_embedding=None if class_labels is None else self.class_embedding(class_labels),
        )

    def __call__(
        self,
        sample: Float[Array, "batch time frequency in_channels"],
        time_embedding: Float[Array, "batch time_embed_dim"] | Float[Array, " time_embed_dim"],
        context: Context,
        *,
        attention: AttentionLayout = DENSE,
        key_rng: Key[Array, ""] | None = None,
        rematerialise: bool = False,
    ) -> Float[Array, "batch time frequency out_channels"]:
        """One evaluation of the network. Time and frequency may have any size.

        Args:
            sample: noisy latents.
            time_embedding: from `embed_time`; one for all, or one per batch entry.
            context: from `project_context`.
            attention: which self-attention is sparse, and how; the levels it names are meant on both ways, and the
                middle block belongs to the last level. Its reach is in frames of ``sample``.
            key_rng: random key for the tokens that LiteFocus draws. Under ``resample="once"`` the caller gives every
                step the same key, otherwise a new one.
            rematerialise: for the gradient, keep only what goes into each block, and run the block a second time.

        Returns:
            The prediction, in the dtype of ``sample``.

        Raises:
            ValueError: when the attention does not fit the network (`check_layout`), or draws tokens and ``key_rng`` is
                missing.
        """
        attention_at = self_attention_by_place(self.config, attention, key_rng)
        return self.evaluate(sample, time_embedding, context, attention_at, rematerialise=rematerialise)

    def evaluate(
        self,
        sample: Float[Array, "batch time frequency in_channels"],
        time_embedding: Float[Array, "batch time_embed_dim"] | Float[Array, " time_embed_dim"],
        context: Context,
        attention_at: AttentionAt,
        *,
        rematerialise: bool = False,
    ) -> Float[Array, "batch time frequency out_channels"]:
        """One evaluation of the network with a self-attention of the caller's own.

        Args:
            sample: as for a call, and so the others.
            time_embedding: of the step.
            context: of the prompt.
            attention_at: the self-attention of each transformer block.
            rematerialise: for the gradient.
        """
        time_embedding = jnp.atleast_2d(time_embedding)
        if context.class_embedding is not None:
            times = jnp.broadcast_to(time_embedding, context.class_embedding.shape)
            time_embedding = jnp.concatenate([times, context.class_embedding], axis=-1)
        last = len(self.down_blocks) - 1

        x = self.conv_in(sample)
        skips = [x]
        for level, block in enumerate(self.down_blocks):
            run = _block_runner(block, rematerialise, attention=functools.partial(attention_at, level))
            x, level_skips = run(x, time_embedding, keys=context.down[level])
            skips += level_skips
        run = _block_runner(self.mid_block, rematerialise, attention=functools.partial(attention_at, last))
        x = run(x, time_embedding, keys=context.middle)
        for position, block in enumerate(self.up_blocks):
            level_skips = [skips.pop() for _ in block.resnets]
            # Sizes are rounded on the way down, so that doubling may miss the next level's.
            size = (skips[-1].shape[1], skips[-1].shape[2]) if skips else None
            attention = functools.partial(attention_at, last - position)
            run = _block_runner(block, rematerialise, size=size, attention=attention)
            x = run(x, time_embedding, level_skips, keys=context.up[position])
        return self.conv_out(jax.nn.silu(self.conv_norm_out(x)))


def _block_runner(block: Any, rematerialise: bool, **static: Any) -> Callable[..., Any]:
    """A block as a function of arrays alone, which keeps nothing for the gradient but those if ``rematerialise``."""
    run = functools.partial(type(block).__call__, **static)
    return functools.partial(jax.checkpoint(run) if rematerialise else run, block)


NETWORK = Network(
    config_class=UNetConfig,
    model_class=UNet,
    keys=KEYS,
    library="audioldm2",
    class_names=("AudioLDM2UNet2DConditionModel",),
    weights="diffusion_pytorch_model",
    original=original_rules,
)

CLASS_CONDITIONED = dataclasses.replace(
    NETWORK,
    config_class=ClassConditionedUNetConfig,
    keys=CLASS_CONDITIONED_KEYS,
    library="diffusers",
    class_names=("UNet2DConditionModel", "AudioLDM2UNet2DConditionModel"),
    libraries=(("AudioLDM2UNet2DConditionModel", NETWORK.library),),
)
"""The UNet of AudioLDM and MusicLDM: with one transformer after each resnet, or with several, as AudioLDM2 has them."""
