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

Letters in shape comments: B sounds, T frames of the latent, W windows, L frames of a window, F frequency, C channels.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

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
    """

    method: Method
    frames: int
    window: int
    overlap: int
    windows_per_call: int
    loop: bool = False

    @property
    def starts(self) -> tuple[int, ...]:
        """First frame of each window; the last window ends with the latent, unless that is a circle."""
        if self.loop:
            count = -(-self.frames // (self.window - self.overlap))
            return tuple(number * self.frames // count for number in range(count))
        last = self.frames - self.window
        return (*range(0, last, self.window - self.overlap), last)

    @property
    def num_calls(self) -> int:
        """Calls of the network at each step."""
        return -(-len(self.starts) // self.windows_per_call)

    @property
    def call_size(self) -> int:
        """Windows in each call; as even as can be, so that few places of the last call stay empty."""
        return -(-len(self.starts) // self.num_calls)

    def weights(self) -> Float[np.ndarray, "windows window"]:
        """The share of each window's frames in the merged output; for every frame of the latent they add up to one."""
        starts, frames = self.starts, np.arange(self.window)
        holders = np.zeros(self.frames, np.int32)  # how many windows hold a frame
        newest = np.zeros(self.frames, np.int32)  # first frame of the last of them
        ranks = []  # how many windows before this one hold the frame
        held = [(start + frames) % self.frames for start in starts]
        for start, frames_held in zip(starts, held, strict=True):
            ranks.append(holders[frames_held].copy())
            holders[frames_held] += 1
            newest[frames_held] = start
        if self.method == "average":
            return np.stack([1.0 / holders[frames_held] for frames_held in held]).astype(np.float32)
        # The newest window has the first turn in each overlap, then the one before it, back to the oldest.
        turn = holders - 1 - (np.arange(self.frames) - newest) % holders
        return np.stack(
            [turn[frames_held] == rank for frames_held, rank in zip(held, ranks, strict=True)],
        ).astype(np.float32)


def merge_windows(
    layout: WindowLayout,
    network: Callable[
        [Float[Array, "pieces window frequency channels"]], Float[Array, "pieces window frequency channels"]
    ],
    latents: Float[Array, "sounds frames frequency channels"],
) -> Float[Array, "sounds frames frequency channels"]:
    """Run a network over all windows of some latents, a few at a time, and merge what it returns.

    Args:
        layout: the windows of ``latents``.
        network: called with ``sounds * layout.call_size`` windows, those of one sound being neighbours; returns an
            array of the same shape.
        latents: what the windows are cut from.

    Returns:
        The merged output, float32. Beside it, memory is taken for one call.
    """
    empty = layout.num_calls * layout.call_size - len(layout.starts)
    starts = np.pad(np.array(layout.starts, np.int32), (0, empty), mode="edge")
    weights = np.pad(layout.weights(), ((0, empty), (0, 0)))  # an empty place repeats the last window, and counts for 0
    # Of a circle, a window may go on beyond the end.
    beyond = layout.window if layout.loop else 0
    latents = jnp.concatenate([latents, latents[:, :beyond]], axis=1)

    def cut(start: Array) -> Array:
        return jax.lax.dynamic_slice_in_dim(latents, start, layout.window, axis=1)

    def call(merged: Array, places: tuple[Array, Array]) -> tuple[Array, None]:
        starts, weights = places  # [W], [W, L]
        pieces = jax.vmap(cut, out_axes=1)(starts)  # [B, W, L, F, C]
        outputs = network(pieces.reshape(-1, *pieces.shape[2:])).reshape(pieces.shape)
        # One window after another, because some devices add in a scatter in no fixed order.
        for place in range(layout.call_size):
            before = jax.lax.dynamic_slice_in_dim(merged, starts[place], layout.window, axis=1)
            added = before + weights[place, :, None, None] * outputs[:, place]
            merged = jax.lax.dynamic_update_slice_in_dim(merged, added, starts[place], axis=1)
        return merged, None

    calls = (layout.num_calls, layout.call_size)
    merged = jnp.zeros(latents.shape, jnp.float32)
    places = (jnp.asarray(starts.reshape(calls)), jnp.asarray(weights.reshape(*calls, layout.window)))
    merged, _ = jax.lax.scan(call, merged, places)
    return merged[:, : layout.frames].at[:, :beyond].add(merged[:, layout.frames :])
