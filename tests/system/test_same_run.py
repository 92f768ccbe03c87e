"""Whether two runs are the same: what differs is told in words."""

from litefocus_jax.system.same_run import differences, differing_parts, digest


def test_the_same_run_differs_in_nothing_though_json_has_no_tuples():
    assert differences({"seed": 0, "levels": [0, 1]}, {"seed": 0, "levels": (0, 1)}) == []
    assert differing_parts({"unet": "a", "vae": "b"}, {"unet": "a", "vae": "b"}) == []


def test_what_differs_is_named_with_both_values():
    found = differences({"seed": 0, "keep": 2}, {"seed": 4, "eta": 0.5, "keep": 3}, free={"keep"})
    assert found == ["seed was 0 and is 4", "eta was None and is 0.5"]


def test_parts_of_another_model_are_named():
    assert differing_parts({"unet": "a", "vae": "b"}, {"unet": "a", "vae": "c", "vocoder": "d"}) == ["vae", "vocoder"]


def test_a_digest_knows_where_one_piece_ends_and_the_next_begins():
    assert digest(b"ab", b"c") != digest(b"a", b"bc")
    assert len(digest()) == 32
