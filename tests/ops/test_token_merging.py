"""Token Merging against tomesd 0.1.3 (MIT), whose matchings of the same tokens are written down here."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax.ops.token_merging import Matching, TokenMerging, match_tokens

# For every token the first of those that are one with it, as the character after so many from "0": by
# bipartite_soft_matching_random2d(x, w=frequencies, h=times, sx=2, sy=2, r=int(ratio * tokens), no_rand=True).
BY_TOMESD = {
    (4, 4, 0.5): ["01224507521;255?", "0110456750:15:0?"],
    (5, 8, 0.5): ["0123356382:3<=>?@3?@1E<GH@63L6@0<QR12?3W", "012345371151<=>05A1CDE<DH03K03N<<QR54U<0"],
    (5, 8, 0.9): ["012335531213<11?@3?@1<<2<@5315@0<?012?31", "012345301151<3005011D0<D1033031<<1<540<0"],
    (3, 5, 0.3): ["0113450781:;1=>", "01204567092;2=>"],
    (6, 7, 0.5): ["0123350389:32=8?@3?@DE1G:IJ3:MIO1QR12?3W30", "01234566890;<=8?6ABC9BAG4IJ4A19A182A9UV89B"],
}
# In how many of the 256 draws of the destinations each token of the first grid is one with others.
BY_TOMESD_AT_RANDOM = [112, 161, 176, 239, 218, 157, 162, 224, 202, 176, 147, 209, 180, 196, 172, 189]


def tokens(batch: int, count: int) -> np.ndarray:
    number = np.arange(batch * count * 3).reshape(batch, count, 3)
    return np.sin(number * number * 0.37 + number).astype(np.float32)


def matched(x, num_frequencies: int, key_rng=None, **settings) -> Matching:
    merging = TokenMerging(random=key_rng is not None, **settings)
    matching = match_tokens(jnp.asarray(x), num_frequencies=num_frequencies, merging=merging, key_rng=key_rng)
    assert matching is not None
    return matching


def firsts(joined: jax.Array) -> list[str]:
    return ["".join(chr(48 + int(np.argmax(row == number))) for number in row) for row in np.asarray(joined)]


@pytest.mark.parametrize("grid", BY_TOMESD)
def test_the_same_tokens_are_one_as_in_tomesd(grid):
    times, frequencies, ratio = grid
    x = tokens(2, times * frequencies)
    matching = matched(x, frequencies, ratio=ratio)
    assert firsts(matching.joined) == BY_TOMESD[grid]
    assert (matching.sizes.sum(axis=1) == times * frequencies).all()


def test_a_ratio_that_is_too_large_leaves_the_destinations():
    assert matched(tokens(2, 40), 8, ratio=0.9).sizes.shape == (2, 8)


def test_destinations_are_drawn_as_by_tomesd():
    x = jnp.asarray(tokens(1, 16))

    @jax.jit
    @functools.partial(jax.vmap, in_axes=0)
    def is_merged(key_rng):
        matching = matched(x, 4, key_rng)
        return jnp.take_along_axis(matching.sizes, matching.joined, axis=1)[0] > 1

    found = is_merged(jax.random.split(jax.random.key(0), 4096)).mean(axis=0)
    np.testing.assert_allclose(found, np.array(BY_TOMESD_AT_RANDOM) / 256, atol=0.035)


def test_what_is_one_is_its_mean_and_comes_back_to_every_part():
    x = jnp.asarray(tokens(2, 40))
    matching = matched(x, 8)
    back = matching.unmerge(matching.merge(x))
    assert matching.merge(x).shape == (2, 20, 3)
    for row in range(2):
        for number in np.unique(matching.joined[row]):
            parts = np.flatnonzero(matching.joined[row] == number)
            np.testing.assert_allclose(
                back[row, parts], np.tile(x[row, parts].mean(axis=0), (len(parts), 1)), atol=1e-6
            )


def test_similarities_are_taken_in_blocks_without_a_difference(monkeypatch):
    x = tokens(2, 40)
    whole = matched(x, 8).joined
    monkeypatch.setattr("litefocus_jax.ops.token_merging._MOST_SCORES", 100)
    np.testing.assert_array_equal(matched(x, 8).joined, whole)


def test_a_gradient_goes_through_the_tokens_alone():
    def loss(x):
        matching = matched(x, 8)
        return (matching.unmerge(matching.merge(x)) ** 2).sum()

    gradient = jax.grad(loss)(jnp.asarray(tokens(1, 40)))
    assert jnp.isfinite(gradient).all()
    assert (jnp.abs(gradient) > 0).any()


def test_tokens_of_zeros_are_merged_and_not_lost():
    assert matched(np.zeros((1, 16, 3), np.float32), 4).sizes.shape == (1, 8)


def test_a_grid_without_a_region_is_left_as_it_is():
    assert match_tokens(jnp.ones((1, 5, 3)), num_frequencies=1, merging=TokenMerging(random=False)) is None
    assert match_tokens(jnp.ones((1, 8, 3)), num_frequencies=8, merging=TokenMerging(random=False)) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ratio": 0.0}, "ratio = 0.0; expected a share above 0"),
        ({"ratio": 1.5}, "ratio = 1.5"),
        ({"region": (2, 0)}, "region = "),
        ({"levels": ()}, "levels = "),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        TokenMerging(**settings)


def test_what_cannot_be_matched_is_refused():
    with pytest.raises(ValueError, match="not a multiple of num_frequencies = 3"):
        match_tokens(jnp.ones((1, 16, 3)), num_frequencies=3, merging=TokenMerging())
    with pytest.raises(ValueError, match="key_rng is not given"):
        match_tokens(jnp.ones((1, 16, 3)), num_frequencies=4, merging=TokenMerging())
