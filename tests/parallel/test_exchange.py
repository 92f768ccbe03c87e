"""What devices exchange, read from the text of a program."""

import pytest

from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.exchange import exchange_along_time
from litefocus_jax.parallel.exchange import Exchange, exchange_of_step

PROGRAM = """HloModule jit_denoise

%tiles (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %gathered = bf16[8,16]{1,0} all-gather(%part), channel_id=4, replica_groups=[2,4]<=[8], dimensions={0}
}

%step (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %halo = f32[2,1,8]{2,1,0} collective-permute(%edge), channel_id=1, source_target_pairs={{0,1},{1,0}}
  %sums = f32[10]{0} all-reduce(%sum), channel_id=2, replica_groups=mesh['a'=2,'b'=5] {'b'}, to_apply=%add
  %swapped = (f32[1,4]{1,0}, f32[1,4]{1,0}) all-to-all(%x, %y), channel_id=3, replica_groups={{0,1},{2,3}}
  %loop = (s32[], f32[8]) while(%t), condition=%more, body=%tiles, backend_config={"known_trip_count":{"n":"3"}}
}

ENTRY %main (p: f32[8]) -> f32[8] {
  %once = f32[100]{0} all-reduce(%q), channel_id=9, replica_groups=[1,8]<=[8], to_apply=%add
  ROOT %steps = (s32[], f32[8]) while(%u), condition=%more, body=%step
}
"""


def test_operations_of_a_step_are_counted_with_those_of_loops_within_it():
    found = exchange_of_step(PROGRAM)
    assert found.operations == {"collective-permute": 1, "all-reduce": 1, "all-to-all": 1, "all-gather": 3}
    assert found.received == {
        "collective-permute": 64,
        "all-reduce": 2 * 40 * 4 // 5,
        "all-to-all": 32 // 2,
        "all-gather": 3 * 256 * 3 // 4,
    }


def test_a_program_of_one_step_is_counted_as_a_whole():
    text = PROGRAM.replace("ROOT %steps = (s32[], f32[8]) while(%u), condition=%more, body=%step", "ROOT %r = f32[8] p")
    assert exchange_of_step(text) == Exchange({"all-reduce": 1}, {"all-reduce": 2 * 400 * 7 // 8})


BRANCHES = """
%seldom (x: f32[8]) -> f32[8] {
  ROOT %sums = f32[8]{0} all-reduce(%x), channel_id=2, replica_groups=[1,8]<=[8], to_apply=%add
}

%often (x: f32[8]) -> f32[8] {
  ROOT %halo = f32[2]{0} collective-permute(%x), channel_id=1, source_target_pairs={{0,1},{1,0}}
}

ENTRY %main (p: f32[8]) -> f32[8] {
  ROOT %either = f32[8] conditional(%which, %p, %p), true_computation=%often, false_computation=%seldom
}
"""


def test_of_two_branches_the_lighter_one_counts():
    assert exchange_of_step(BRANCHES) == Exchange({"collective-permute": 1}, {"collective-permute": 8})


def test_bytes_of_what_is_only_begun_are_those_of_its_result():
    begun = "%b = (bf16[2,4]{1,0}, bf16[2,4]{1,0:S(1)}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%x)"
    assert exchange_of_step(f"ENTRY %main (p: f32[8]) -> f32[8] {{\n  {begun}\n}}").received == {
        "collective-permute": 16
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("HloModule empty", "has no ENTRY"),
        (PROGRAM.replace("replica_groups={{0,1},{2,3}}", "replica_groups=everyone"), "says in a new way which devices"),
        (BRANCHES.replace("collective-permute(", "copy("), "exchanges in some branches alone"),
    ],
)
def test_what_cannot_be_read_is_an_error_and_not_a_small_number(text, message):
    with pytest.raises(ValueError, match=message):
        exchange_of_step(text)


def test_heads_that_are_fewer_than_devices_are_padded_so_that_nothing_is_saved():
    network = UNetConfig(cross_attention_dim=16, attention_head_dim=8)
    per_device = {
        devices: exchange_along_time(network, 2048, 16, devices=devices, batch=2, bytes_per_number=2).received
        for devices in (1, 8, 16, 64)
    }
    assert per_device[1] == {}
    assert per_device[16]["all-to-all"] < 0.6 * per_device[8]["all-to-all"]
    assert per_device[64]["all-to-all"] >= per_device[16]["all-to-all"]
