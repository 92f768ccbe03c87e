"""What single tokens attend to, read from the running model: Figure 2 of LiteFocus's paper (arXiv 2407.10468)."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from litefocus_jax.generation.request import Request
from litefocus_jax.generation.sampling import encode, project_context
from litefocus_jax.models.unet.network import Context, UNet
from litefocus_jax.models.unet.self_attention import levels_with_attention
from litefocus_jax.models.unet.transformer import TokenAttention, attend_densely
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.system.files import written_beside


class Token(NamedTuple):
    """One token of a level.

    Attributes:
        time: number of its frame.
        frequency: number of its frequency.
    """

    time: int
    frequency: int


@dataclasses.dataclass(frozen=True, eq=False)
class AttentionMaps:
    """The attention of some tokens, averaged over heads.

    Attributes:
        tokens: whose attention it is.
        maps: of each token and each self-attention of the level, in the order in which the network runs them; each map
            sums to 1.
        frame_in_s: seconds of a frame of this level.
        level: of the UNet.
        step: number of the denoising step, from 0.
        prompt: of the sound.
    """

    tokens: tuple[Token, ...]
    maps: Float[np.ndarray, "tokens attentions times frequencies"]
    frame_in_s: float
    level: int
    step: int
    prompt: str

    @property
    def shares_of_own_frequency(self) -> Float[np.ndarray, " tokens"]:
        """How much of a token's attention falls on its own frequency, the mean over all self-attentions."""
        rows = [self.maps[number, ..., token.frequency].sum(axis=-1).mean() for number, token in enumerate(self.tokens)]
        return np.array(rows)

    def in_words(self) -> str:
        """What the maps say of the paper's claim, on a line for each token."""
        even = 1.0 / self.maps.shape[-1]
        return "\n".join(
            f"Token at {token.time * self.frame_in_s:.2f} s, frequency {token.frequency} of {self.maps.shape[-1]}: "
            f"{share:.1%} of its attention falls on its own frequency; {even:.1%} would if it were even"
            for token, share in zip(self.tokens, self.shares_of_own_frequency, strict=True)
        )


def attention_maps(
    pipe: AudioLDM2Pipeline,
    request: Request,
    *,
    step: int | None = None,
    level: int = 1,
    tokens: tuple[Token, ...] = (),
) -> AttentionMaps:
    """Run a request up to a step, and read what tokens attend to there, in dense attention.

    Under guidance it is the attention with the prompt.

    Args:
        pipe: the model.
        request: of one sound, without windows; its attention is dense up to there as it says.
        step: number of the denoising step, from 0; the middle one unless given.
        level: of the UNet, with attention.
        tokens: whose attention; two in the middle of the sound unless given, of a low and of a high frequency.

    Raises:
        ValueError: naming the argument, when the request is of several sounds, or step, level or a token do not exist.
    """
    unet: UNet = pipe.components.unet
    if request.batch_size != 1 or request.plan.windows is not None:
        raise ValueError(f"the request is of {request.batch_size} sounds, or of windows; expected one sound without")
    steps = request.schedule.num_steps
    step = steps // 2 if step is None else step
    if not 0 <= step < steps:
        raise ValueError(f"step = {step}; expected a number from 0 to {steps - 1}")
    if level not in levels_with_attention(unet.config):
        raise ValueError(f"level = {level}; this UNet has attention at {levels_with_attention(unet.config)}")
    latents = pipe.inputs(request).latents
    if step:
        latents = _latents_after(pipe, request, step)
    queries, keys, num_frequencies = _recorded(pipe, request, latents, step, level)
    times = queries.shape[1] // num_frequencies
    tokens = tokens or (
        Token(times // 2, num_frequencies // 4),
        Token(times // 2, num_frequencies - 1 - num_frequencies // 4),
    )
    for token in tokens:
        if not (0 <= token.time < times and 0 <= token.frequency < num_frequencies):
            raise ValueError(
                f"token {token.time}:{token.frequency}; expected a frame from 0 to {times - 1} and a frequency from 0 "
                f"to {num_frequencies - 1}, of level {level}"
            )
    places = jnp.array([token.time * num_frequencies + token.frequency for token in tokens])
    maps = np.stack([_weights(query[places], key) for query, key in zip(queries, keys, strict=True)], axis=1)
    return AttentionMaps(
        tokens,
        maps.reshape(len(tokens), len(queries), times, num_frequencies),
        pipe.geometry.frame_in_s * 2**level,
        level,
        step,
        request.prompts[0],
    )


def _latents_after(pipe: AudioLDM2Pipeline, request: Request, step: int) -> Array:
    """The latents that a step begins with."""
    found: list[Any] = []

    def keep(done: int, steps: int, latents: Array) -> bool:
        del steps
        if done == step:
            found.append(jnp.asarray(latents))
        return done < step

    pipe.run(request, output_type="latent", callback=keep, progress=False)
    return found[0]


def _recorded(
    pipe: AudioLDM2Pipeline, request: Request, latents: Array, step: int, level: int
) -> tuple[Float[Array, "attentions tokens heads head_dim"], Float[Array, "attentions tokens heads head_dim"], int]:
    """Queries and keys of every self-attention of a level in one step, and how many frequencies there are."""
    unet = pipe.components.unet
    conditioning = encode(*pipe.inputs(request).tokens)
    context = project_context(unet, conditioning, num_waveforms_per_prompt=1)
    timestep = jnp.asarray(request.schedule.steps.timestep)[step]
    frequencies: list[int] = []

    @functools.partial(jax.jit)
    def evaluate(unet: UNet, context: Context, latents: Array) -> tuple[list[Array], list[Array]]:
        queries, keys = [], []

        def attend(query: Array, key: Array, value: Array, *, num_frequencies: int) -> Array:
            queries.append(query[-1])  # with the prompt, which comes after the negative one
            keys.append(key[-1])
            frequencies.append(num_frequencies)
            return attend_densely(query, key, value, num_frequencies=num_frequencies)

        def attention_at(number: int, transformer: int = 0, block: int = 0) -> TokenAttention:
            del transformer, block
            return TokenAttention(attend if number == level else attend_densely)

        sample = latents.astype(unet.dtype)
        if request.plan.guided:
            sample = jnp.concatenate([sample, sample])
        unet.evaluate(sample, unet.embed_time(timestep[None]), context, attention_at)
        return queries, keys

    queries, keys = evaluate(unet, context, latents)
    return jnp.stack(queries), jnp.stack(keys), frequencies[0]


def _weights(
    query: Float[Array, "tokens heads head_dim"], key: Float[Array, "keys heads head_dim"]
) -> Float[np.ndarray, "tokens keys"]:
    scores = jnp.einsum("thd,khd->htk", query.astype(jnp.float32), key.astype(jnp.float32))
    return np.asarray(jax.nn.softmax(scores / query.shape[-1] ** 0.5, axis=-1).mean(axis=0))


def draw_maps(path: Path, maps: AttentionMaps) -> None:
    """Draw, for each token, the mean over all self-attentions of the level, and each of them, as PNG.

    Colour is the logarithm of attention against even attention, from a hundredth to a hundred times of it; a cross is
    the token.

    Args:
        path: of the picture.
        maps: what is drawn.

    Raises:
        OSError: when it cannot be written.
    """
    # Not pyplot, which picks a window system and keeps every figure alive.
    from matplotlib.figure import Figure

    tokens, attentions, times, frequencies = maps.maps.shape
    across = min(attentions, 4)
    down = -(-attentions // across)
    figure = Figure(figsize=(11.0, tokens * (1.9 + 0.75 * down)), dpi=120, layout="constrained")
    panels = figure.subfigures(tokens, 1, squeeze=False)[:, 0]
    for panel, token, of_token in zip(panels, maps.tokens, maps.maps, strict=True):
        share = of_token[..., token.frequency].sum(axis=-1).mean()
        place = f"token at {token.time * maps.frame_in_s:.2f} s, frequency {token.frequency}"
        panel.suptitle(f"{place}: {share:.0%} on its own frequency", fontsize=10)
        grid = panel.add_gridspec(down + 1, across, height_ratios=[1.8] + [1.0] * down)
        places = [(grid[0, :], of_token.mean(axis=0), f"mean of level {maps.level}, step {maps.step}")]
        places += [
            (grid[1 + number // across, number % across], each, f"self-attention {number}")
            for number, each in enumerate(of_token)
        ]
        for place, weights, title in places:
            axes = panel.add_subplot(place)
            axes.imshow(
                np.log10(np.maximum(weights.T * times * frequencies, 1e-9)),
                origin="lower",
                aspect="auto",
                extent=(0.0, times * maps.frame_in_s, -0.5, frequencies - 0.5),
                cmap="magma",
                vmin=-2.0,
                vmax=2.0,
            )
            axes.plot((token.time + 0.5) * maps.frame_in_s, token.frequency, "+", color="white", markersize=6)
            axes.set_title(title, fontsize=7, pad=2)
            axes.tick_params(labelsize=6, length=2)
    with written_beside(path) as partial:
        figure.savefig(partial, format="png")
