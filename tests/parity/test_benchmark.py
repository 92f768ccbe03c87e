"""The benchmark against diffusers, on a tiny model."""

from litefocus_jax.benchmark.measure import Plan, measure


def test_the_peer_is_measured_beside_ours() -> None:
    plan = Plan((0.4,), variants=("dense",), peer=True, size="tiny", rounds=2)
    (rows,) = measure(plan)
    dense, peer = rows
    assert (dense.variant, peer.variant) == ("dense", "diffusers")
    assert dense.ratio_to_peer == peer.seconds_per_call / dense.seconds_per_call
    assert peer.ratio_to_peer == 1.0
