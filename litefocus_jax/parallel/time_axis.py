"""One sound over several devices: each holds a run of its frames, and asks the others for what it needs to know.

All of it happens within `jax.shard_map` over the mesh's axis ``"time"``, where a device sees its own frames alone:

- A convolution sees a few frames beyond either end: `FrameShares.with_neighbours`.
- A normalisation counts the frames of all: `FrameShares.moments_of_all`.
- In attention every frame sees the others. `FrameShares.attend` exchanges frames for pairs of batch entry and head,
  which do not see each other: a device gets all frames of its share of the pairs (DeepSpeed-Ulysses, arXiv 2309.14509),
  and any attention runs on them as it does on one device.
- Where all tokens see are those of their own frequency and a few drawn ones, `FrameShares.to_frequencies` exchanges
  frames for frequencies once for many attentions, and `FrameShares.drawn_tokens` the drawn ones.

Letters in shape comments: B batch, N tokens of all frames, M tokens of a device's frames, H heads, P pairs of batch
entry and head, D head_dim, C channels.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Self

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

TIME_AXIS = "time"
"""Name of the mesh's axis that the frames of a sound are spread along."""


@dataclasses.dataclass(frozen=True)
class FrameShares:
    """How devices share the frames of a sound at every level of a network that halves them.

    A device's run at one level is the half of its run at the level above, so that halving and doubling ask for no more
    than neighbours. The last devices may have fewer frames than the others, or none; what they hold beyond the end of
    the sound counts for nothing.

    Attributes:
        devices: along time.
        frames: of the sound at each level.
        own: frames that each device has room for, at each level.
    """

    devices: int
    frames: tuple[int, ...]
    own: tuple[int, ...]

    @classmethod
    def of(cls, frames: Sequence[int], devices: int) -> Self:
        """Shares as small as they can be.

        Args:
            frames: of the sound at each level, the largest first; a level has half of those of the level above,
                rounded up, or down where they are even.
            devices: along time.

        Raises:
            ValueError: when a level has other than half of the frames.
        """
        for above, below in itertools.pairwise(frames):
            if below != -(-above // 2):
                raise ValueError(
                    f"a level has {above} frames and the next one {below}; expected half as many, rounded up, for "
                    f"frames that are spread along {TIME_AXIS!r}"
                )
        last = -(-frames[-1] // devices)
        return cls(devices, tuple(frames), tuple(last << level for level in reversed(range(len(frames)))))

    @property
    def room(self) -> int:
        """Frames of the first level that all devices together have room for."""
        return self.devices * self.own[0]

    def frames_where(self, own: int) -> int:
        """Frames of the sound at the level at which a device has room for so many."""
        return self.frames[self.own.index(own)]

    def counts(self, own: int) -> np.ndarray:
        """Frames of the sound that each device has at a level."""
        return np.clip(self.frames_where(own) - own * np.arange(self.devices), 0, own)

    def numbers(self, own: int) -> Int[Array, " own"]:
        """Which frames of the sound a device has."""
        return jax.lax.axis_index(TIME_AXIS) * own + jnp.arange(own)

    def own_part(self, x: Float[Array, "batch frames *axes"]) -> Float[Array, "batch own *axes"]:
        """A device's frames out of those of a sound that it has whole, at the first level."""
        x = jnp.pad(x, ((0, 0), (0, self.room - x.shape[1]), *[(0, 0)] * (x.ndim - 2)))
        return jax.lax.dynamic_slice_in_dim(x, jax.lax.axis_index(TIME_AXIS) * self.own[0], self.own[0], axis=1)

    def with_neighbours(
        self, x: Float[Array, "batch own *axes"], before: int, after: int, *, is_circular: bool = False
    ) -> Float[Array, "batch before+own+after *axes"]:
        """A device's frames and some on either side; beyond the ends of the sound zeros, or its other end."""
        own, frames = x.shape[1], self.frames_where(x.shape[1])
        if max(before, after) > own:  # further than the next device
            whole = jax.lax.all_gather(x, TIME_AXIS, axis=1, tiled=True)
            whole = jnp.pad(whole, ((0, 0), (before, after), *[(0, 0)] * (x.ndim - 2)))
            start = jax.lax.axis_index(TIME_AXIS) * own
            extended = jax.lax.dynamic_slice_in_dim(whole, start, before + own + after, axis=1)
        else:
            parts = [x]
            if before:
                parts.insert(0, self._shift(x[:, own - before :], 1))
            if after:
                parts.append(self._shift(x[:, :after], -1))
            extended = jnp.concatenate(parts, axis=1) if len(parts) > 1 else x
        numbers = jax.lax.axis_index(TIME_AXIS) * own + jnp.arange(-before, own + after)
        beyond = jnp.zeros((), x.dtype)
        if is_circular:
            beyond = self._from_other_end(x, numbers, frames, width=min(before + after + 1, frames))
        return jnp.where(_along_time((numbers >= 0) & (numbers < frames), x.ndim), extended, beyond)

    def _shift(self, x: Array, by: int) -> Array:
        """What the previous device has (1), or the next (-1); zeros where there is none."""
        pairs = [(device, device + by) for device in range(self.devices) if 0 <= device + by < self.devices]
        return jax.lax.ppermute(x, TIME_AXIS, pairs)

    def _from_other_end(self, x: Array, numbers: Array, frames: int, *, width: int) -> Array:
        """For numbers of frames at most ``width`` beyond the ends of a circle: the frames that stand there."""
        ends = np.concatenate([np.arange(width), np.arange(frames - width, frames)])
        places = jnp.asarray(ends) - jax.lax.axis_index(TIME_AXIS) * x.shape[1]
        is_own = (places >= 0) & (places < x.shape[1])
        own = jnp.take(x, jnp.clip(places, 0, x.shape[1] - 1), axis=1)
        own = jnp.where(_along_time(is_own, x.ndim), own, jnp.zeros((), x.dtype))
        known = jax.lax.psum(own, TIME_AXIS)
        places = jnp.where(numbers < 0, numbers + 2 * width, numbers - frames)
        return jnp.take(known, jnp.clip(places, 0, 2 * width - 1), axis=1)

    def moments_of_all(
        self, x: Float[Array, "batch own *axes channels"], groups: int, *, spread_over_frequencies: bool = False
    ) -> tuple[Float[Array, "batch groups"], Float[Array, "batch groups"]]:
        """Mean and variance of each group of channels over all devices.

        Each device takes those of its own numbers, and all merge them (Chan, Golub and LeVeque, 1979), which loses no
        digits and takes one exchange.

        Args:
            x: of this device, in float32.
            groups: of channels.
            spread_over_frequencies: whether devices have all frames of some frequencies each, as `to_frequencies`
                gives them.
        """
        batch, own, *axes, channels = x.shape
        size = math.prod(axes) * (channels // groups)  # numbers of a group in a frame
        if spread_over_frequencies:
            counts, weights = np.full(self.devices, own), jnp.ones(own)
        else:
            counts = self.counts(own)
            weights = (self.numbers(own) < self.frames_where(own)).astype(jnp.float32)
        weights = _along_time(weights, x.ndim)
        own_count = jnp.asarray(np.maximum(counts, 1) * size, jnp.float32)[jax.lax.axis_index(TIME_AXIS)]
        between = tuple(range(1, x.ndim - 1))

        def of_groups(channel_sums: Array) -> Array:  # [B, C] -> [B, G]
            return channel_sums.reshape(batch, groups, -1).sum(axis=-1)

        def sum_of(values: Array) -> Array:
            return of_groups(jnp.where(weights > 0, values, 0.0).sum(axis=between))

        mean = sum_of(x) / own_count
        per_channel = jnp.repeat(mean, channels // groups, axis=-1).reshape(batch, *[1] * len(between), channels)
        squares = sum_of(jnp.square(x - per_channel))
        means, squares = jax.lax.all_gather(jnp.stack([mean, squares]), TIME_AXIS, axis=1)  # [D, B, G] each
        shares = jnp.asarray(counts / counts.sum(), jnp.float32)[:, None, None]
        mean = (shares * means).sum(axis=0)
        variance = squares.sum(axis=0) / (counts.sum() * size) + (shares * jnp.square(means - mean)).sum(axis=0)
        return mean, variance

    def attend(
        self,
        attend: Callable[..., Array],
        query: Float[Array, "batch own_tokens heads head_dim"],
        key: Float[Array, "batch own_tokens heads head_dim"],
        value: Float[Array, "batch own_tokens heads head_dim"],
        *,
        num_frequencies: int,
    ) -> Float[Array, "batch own_tokens heads head_dim"]:
        """Attention between the frames of all devices.

        Where the pairs of batch entry and head do not divide evenly among the devices, some get pairs of zeros.

        Args:
            attend: called as ``attend(query, key, value, num_frequencies=...)`` and run with single heads.
            query: of a device's own frames.
            key: likewise.
            value: likewise.
            num_frequencies: as ``attend`` takes it.
        """
        batch, own_tokens, heads, head_dim = query.shape
        tokens, pairs = self.frames_where(own_tokens // num_frequencies) * num_frequencies, batch * heads

        def collect(array: Array) -> Array:  # [B, M, H, D] -> [P / devices, N, 1, D]
            array = array.swapaxes(1, 2).reshape(pairs, own_tokens, head_dim)
            array = jnp.pad(array, ((0, -pairs % self.devices), (0, 0), (0, 0)))
            array = jax.lax.all_to_all(array, TIME_AXIS, split_axis=0, concat_axis=1, tiled=True)
            return array[:, :tokens, None]

        mixed = attend(collect(query), collect(key), collect(value), num_frequencies=num_frequencies)
        mixed = jnp.pad(mixed[:, :, 0], ((0, 0), (0, own_tokens * self.devices - tokens), (0, 0)))
        mixed = jax.lax.all_to_all(mixed, TIME_AXIS, split_axis=1, concat_axis=0, tiled=True)[:pairs]
        return mixed.reshape(batch, heads, own_tokens, head_dim).swapaxes(1, 2)

    def to_frequencies(
        self, x: Float[Array, "batch own frequencies channels"]
    ) -> Float[Array, "batch frames own_frequencies channels"]:
        """All frames of a device's share of the frequencies, of which there is a multiple of the devices."""
        frames = self.frames_where(x.shape[1])
        return jax.lax.all_to_all(x, TIME_AXIS, split_axis=2, concat_axis=1, tiled=True)[:, :frames]

    def to_frames(
        self, x: Float[Array, "batch frames own_frequencies channels"], own: int
    ) -> Float[Array, "batch own frequencies channels"]:
        """The way back from `to_frequencies`, to the ``own`` frames that there were."""
        x = jnp.pad(x, ((0, 0), (0, own * self.devices - x.shape[1]), (0, 0), (0, 0)))
        return jax.lax.all_to_all(x, TIME_AXIS, split_axis=1, concat_axis=2, tiled=True)

    def drawn_tokens(
        self,
        x: Float[Array, "batch own_tokens channels"],
        indices: Int[Array, " drawn"],
        *,
        own_frequencies: int,
    ) -> Float[Array, "batch drawn channels"]:
        """Tokens drawn from all, of which a device has those of its share of the frequencies.

        How many of them a device has is chance. All send as many as chance seldom exceeds; where it does, which all
        know beforehand, they add up arrays with room for all.

        Args:
            x: a device's own tokens, all frames of ``own_frequencies``.
            indices: numbers of the drawn ones among all tokens, ``frame * frequencies + frequency``.
            own_frequencies: of a device.
        """
        drawn, frequencies = len(indices), own_frequencies * self.devices
        frame, frequency = indices // frequencies, indices % frequencies
        owner = frequency // own_frequencies
        place = frame * own_frequencies + frequency % own_frequencies
        room = room_for_drawn(drawn, x.shape[1] * self.devices, self.devices)
        me = jax.lax.axis_index(TIME_AXIS)

        def add_up(x: Array) -> Array:
            own = jnp.where((owner == me)[:, None], x[:, place], jnp.zeros((), x.dtype))
            return jax.lax.psum(own, TIME_AXIS)

        if room is None:
            return add_up(x)

        def collect(x: Array) -> Array:
            sent = jnp.nonzero(owner == me, size=room, fill_value=0)[0]
            received = jax.lax.all_gather(x[:, place[sent]], TIME_AXIS, axis=1, tiled=True)  # [B, devices * room, C]
            rank = (jnp.cumsum(owner[:, None] == jnp.arange(self.devices), axis=0) - 1)[jnp.arange(drawn), owner]
            return received[:, owner * room + rank]

        # All know where every token is, so that all take the same branch.
        most = jnp.bincount(owner, length=self.devices).max()
        return jax.lax.cond(most <= room, collect, add_up, x)


def room_for_drawn(drawn: int, tokens: int, devices: int) -> int | None:
    """How many of the tokens drawn from all a device sends: three standard deviations above what is to be expected.

    None where so few are drawn that arrays with room for all, which take two exchanges, are no larger.

    Args:
        drawn: without replacement, uniformly.
        tokens: of all devices.
        devices: that have equal shares of them.
    """
    share = 1 / devices
    deviation = math.sqrt(drawn * share * (1 - share) * (tokens - drawn) / max(1, tokens - 1))
    room = min(drawn, tokens // devices, math.ceil(drawn * share + 3 * deviation))
    return room if room * devices < 2 * drawn else None


def _along_time(values: Array, ndim: int) -> Array:
    """An array of frames that goes with ``[batch, time, ...]``."""
    return values.reshape(1, -1, *[1] * (ndim - 2))
