"""Windowed denoising: a long latent is denoised in overlapping windows, each as long as the model was trained on.

At every step the network sees windows of the one long latent, and what it returns is merged, frame by frame, into an
output for the whole. Where windows overlap there are several outputs for a frame, and two ways to merge them:

- ``"average"``: their mean. MultiDiffusion (Bar-Tal et al., arXiv 2302.08113), with equal weights.
- ``"swap"``: one of them, by turns. SaFa (Dai et al., arXiv 2502.05130), Self-Loop Latent Swap with a swap interval of
  one frame: the first frame of an overlap comes from the later window, the second from the earlier one, and so on. An
  average weakens what changes from frame to frame, of which the latents of spectrograms are full; a choice does not.

Both papers merge the latents after the sampler's step instead. As all windows are cut from one long latent, and the
samplers' updates are linear and act on each frame alone, the result is the same, and the sampler needs no state for
each window: ``next x = c * x + d * output + ...`` has the same x in all windows that hold a frame. (Where a checkpoint
clips the predicted data, an average is clipped after the merge instead of before it; swapping is exact in any case.)

Where the prompt changes along the sound, a window is run under the prompt of each stretch that it holds a part of, and
that part counts alone. Stretches overlap as windows do, and are merged as they are. One window may hold all of the
latent: then each prompt is heard within its stretch, by a network that sees the whole.

Letters in shape comments: B sounds, T frames of the latent, W windows, L frames of a window, F frequency, C channels.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

Method = Literal["average", "swap"]

_LONGEST_IN_S = 86_400  # a day
_OVERLAP = 0.2  # share of a window, unless given: SaFa's swapping needs no more, and every window costs a UNet call


@dataclasses.dataclass(frozen=True)
class WindowedDenoising:
    """How to denoise a long latent in windows.

    Attributes:
        method: what becomes of frames that several windows hold: ``"swap"`` takes them by turns, ``"average"`` takes
            the mean.
        window_in_s: seconds of sound in a window; the length of the clips the model was trained on unless given.
        overlap_in_s: seconds that a window shares with the next; a fifth of the window unless given. The last window
            ends with the sound, and may share more.
        windows_per_call: windows that the UNet sees at once, at most. Memory grows with their number, and a fast
            device is kept busy by it. It changes the result by rounding errors alone.

    Raises:
        TypeError: when ``windows_per_call`` is not a whole number.
        ValueError: naming the field, when a value is out of range.
    """

    method: Method = "swap"
    window_in_s: float | None = None
    overlap_in_s: float | None = None
    windows_per_call: int = 8

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"method = {self.method!r}; expected one of {', '.join(get_args(Method))}")
        for name, seconds in (("window_in_s", self.window_in_s), ("overlap_in_s", self.overlap_in_s)):
            if seconds is not None and not 0 < seconds <= _LONGEST_IN_S:
                raise ValueError(
                    f"{name} = {seconds}; expected a positive number of seconds, at most {_LONGEST_IN_S:,}"
                )
        if isinstance(self.windows_per_call, bool) or not isinstance(self.windows_per_call, int):
            raise TypeError(f"windows_per_call = {self.windows_per_call!r}; expected a whole number")
        if self.windows_per_call < 1:
            raise ValueError(f"windows_per_call = {self.windows_per_call}; expected at least 1")

    def layout(self, frames: int, *, frame_in_s: float, training_frames: int | None) -> "WindowLayout | None":
        """The windows of a latent, or None where one window holds all of it.

        Args:
            frames: frames of the latent.
            frame_in_s: seconds of sound in one of them.
            training_frames: the window unless `window_in_s` says otherwise; None where it is unknown.

        Raises:
            ValueError: when there is no window length, or window and overlap are none in whole frames.
        """
        if self.window_in_s is not None:
            window = round(self.window_in_s / frame_in_s)
        elif training_frames is not None:
            window = training_frames
        else:
            raise ValueError("window_in_s is not given, and the UNet's sample_size does not say a default")
        if self.overlap_in_s is None:
            overlap = max(1, round(_OVERLAP * window))
        else:
            overlap = round(self.overlap_in_s / frame_in_s)
        if window < 2:
            raise ValueError(
                f"window_in_s = {self.window_in_s}; expected at least two latent frames, {2 * frame_in_s:g} s"
            )
        if not 1 <= overlap < window:
            raise ValueError(
                f"overlap_in_s = {self.overlap_in_s} is {overlap} latent frames of {frame_in_s:g} s; expected "
                f"at least one, and fewer than the window's {window}"
            )
        if frames <= window:
            return None
        return WindowLayout(self.method, frames, window, overlap, self.windows_per_call)


class Piece(NamedTuple):
    """A window under one prompt.

    Attributes:
        start: first frame of the window.
        prompt: number of the prompt.
        held: the frames that count, numbers within the window.
    """

    start: int
    prompt: int
    held: Int[np.ndarray, " held"]


@dataclasses.dataclass(frozen=True)
class WindowLayout:
    """Where the windows of a latent lie; static in compiled programs.

    Attributes:
        method: see `WindowedDenoising`.
        frames: frames of the latent.
        window: frames of each window, at most ``frames``.
        overlap: frames that a window shares with the next, fewer than ``window``; the last may share more.
        windows_per_call: most windows in one call of the network.
        loop: whether the latent is a circle, which the windows go round: the last one shares its end with the first.
        stretches: first frame of each prompt's stretch, rising from 0; empty for one prompt.
    """

    method: Method
    frames: int
    window: int
    overlap: int
    windows_per_call: int
    loop: bool = False
    stretches: tuple[int, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether one window holds all of the latent."""
        return self.window == self.frames

    @property
    def starts(self) -> tuple[int, ...]:
        """First frame of each window; the last window ends with the latent, unless that is a circle."""
        if self.is_whole:
            return (0,)
        if self.loop:
            count = -(-self.frames // (self.window - self.overlap))
            return tuple(number * self.frames // count for number in range(count))
        last = self.frames - self.window
        return (*range(0, last, self.window - self.overlap), last)

    @functools.cached_property
    def pieces(self) -> tuple[Piece, ...]:
        """Each window under each prompt of which it holds frames, in order of time."""
        frames = np.arange(self.window)
        if not self.stretches:
            return tuple(Piece(start, 0, frames) for start in self.starts)
        under = [self._under(prompt) for prompt in range(len(self.stretches))]
        pieces = [
            Piece(start, prompt, np.flatnonzero(holds[(start + frames) % self.frames]))
            for start in self.starts
            for prompt, holds in enumerate(under)
        ]
        return tuple(piece for piece in pieces if len(piece.held))

    def _under(self, prompt: int) -> Bool[np.ndarray, " frames"]:
        """Which frames belong to a prompt's stretch, half of an overlap beyond either end among them."""
        first, end = (*self.stretches, self.frames)[prompt : prompt + 2]
        before, after = self.overlap // 2, self.overlap - self.overlap // 2
        wanted = np.arange(first - before, end + after)
        if not self.loop:
            wanted = wanted[(wanted >= 0) & (wanted < self.frames)]
        holds = np.zeros(self.frames, bool)
        holds[wanted % self.frames] = True
        return holds

    @property
    def num_calls(self) -> int:
        """Calls of the network at each step."""
        return -(-len(self.pieces) // self.windows_per_call)

    @property
    def call_size(self) -> int:
        """Windows in each call; as even as can be, so that few places of the last call stay empty."""
        return -(-len(self.pieces) // self.num_calls)

    def weights(self) -> Float[np.ndarray, "pieces window"]:
        """The share of each piece's frames in the merged output; for every frame of the latent they add up to one."""
        holders = np.zeros(self.frames, np.int32)  # how many pieces hold a frame
        newest = np.zeros(self.frames, np.int32)  # first frame of the last of them
        ranks = []  # how many pieces before this one hold the frame
        held = [(piece.start + piece.held) % self.frames for piece in self.pieces]
        for piece, frames_held in zip(self.pieces, held, strict=True):
            ranks.append(holders[frames_held].copy())
            holders[frames_held] += 1
            newest[frames_held] = piece.start + piece.held[0]
        # The newest piece has the first turn in each overlap, then the one before it, back to the oldest.
        turn = holders - 1 - (np.arange(self.frames) - newest) % holders
        weights = np.zeros((len(self.pieces), self.window), np.float32)
        for row, piece, frames_held, rank in zip(weights, self.pieces, held, ranks, strict=True):
            row[piece.held] = 1.0 / holders[frames_held] if self.method == "average" else turn[frames_held] == rank
        return weights


def merge_windows(
    layout: WindowLayout,
    network: Callable[..., Float[Array, "pieces window frequency channels"]],
    latents: Float[Array, "sounds frames frequency channels"],
) -> Float[Array, "sounds frames frequency channels"]:
    """Run a network over all windows of some latents, a few at a time, and merge what it returns.

    Args:
        layout: the windows of ``latents``.
        network: called with ``sounds * layout.call_size`` windows, those of one sound being neighbours; returns an
            array of the same shape. Where there are stretches, it is also given the numbers of the prompts, ``[call
            size]``, which are those of the windows of each sound.
        latents: what the windows are cut from.

    Returns:
        The merged output, float32. Beside it, memory is taken for one call.
    """
    empty = layout.num_calls * layout.call_size - len(layout.pieces)
    # An empty place repeats the last window, and counts for 0.
    starts, prompts = (
        np.pad(np.array(numbers, np.int32), (0, empty), mode="edge")
        for numbers in zip(*((piece.start, piece.prompt) for piece in layout.pieces), strict=True)
    )
    weights = np.pad(layout.weights(), ((0, empty), (0, 0)))
    # Of a circle, a window may go on beyond the end.
    beyond = layout.window if layout.loop else 0
    latents = jnp.concatenate([latents, latents[:, :beyond]], axis=1)

    def cut(start: Array) -> Array:
        return jax.lax.dynamic_slice_in_dim(latents, start, layout.window, axis=1)

    def call(merged: Array, places: tuple[Array, Array, Array]) -> tuple[Array, None]:
        starts, prompts, weights = places  # [W], [W], [W, L]
        pieces = jax.vmap(cut, out_axes=1)(starts)  # [B, W, L, F, C]
        under = (prompts,) if layout.stretches else ()
        outputs = network(pieces.reshape(-1, *pieces.shape[2:]), *under).reshape(pieces.shape)
        # One window after another, because some devices add in a scatter in no fixed order.
        for place in range(layout.call_size):
            before = jax.lax.dynamic_slice_in_dim(merged, starts[place], layout.window, axis=1)
            added = before + weights[place, :, None, None] * outputs[:, place]
            merged = jax.lax.dynamic_update_slice_in_dim(merged, added, starts[place], axis=1)
        return merged, None

    calls = (layout.num_calls, layout.call_size)
    merged = jnp.zeros(latents.shape, jnp.float32)
    places = (
        jnp.asarray(starts.reshape(calls)),
        jnp.asarray(prompts.reshape(calls)),
        jnp.asarray(weights.reshape(*calls, layout.window)),
    )
    merged, _ = jax.lax.scan(call, merged, places)
    return merged[:, : layout.frames].at[:, :beyond].add(merged[:, layout.frames :])
