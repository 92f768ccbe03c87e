"""Options of several devices and processes: what does not fit is said before anything is loaded."""

import dataclasses

import jax
import pytest

from litefocus_jax.cli.console import UsageError
from litefocus_jax.cli.processes import Processes, best_shape
from tests.support.command_line import FakePipeline, generate


@pytest.fixture
def fake(tmp_path, monkeypatch):
    return FakePipeline.put_in_place(monkeypatch, tmp_path)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--mesh", "8"], 2, "'8'; expected devices along data and time, such as 2x4"),
        (["--mesh", "0x4"], 2, "'0x4'; expected devices along data and time"),
        (["--mesh", "1x3x2"], 2, "or along data, guidance (1 or 2) and time"),
        (["--mesh", "2x4"], 2, "--mesh takes 8 devices; expected at most 1"),
        (["--coordinator", "localhost:1"], 2, "--coordinator is given without --process-id and --num-processes"),
        (["--process-id", "0"], 2, "--process-id is given without --coordinator and --num-processes"),
        (["--writer", "each"], 2, "--writer each is of several processes; expected --distributed or --coordinator"),
        (
            ["--coordinator", "localhost:1", "--process-id", "2", "--num-processes", "2"],
            1,
            "--process-id = 2; expected 0 to 1",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(fake, options, code, message):
    result = generate("rain", *options)
    assert (result.exit_code, fake.requests) == (code, [])
    assert message in " ".join(result.output.replace("│", " ").split())


def test_a_mesh_is_that_of_the_request(fake):
    fake.decode_sounds = lambda request, latents, **_: (fake.decode_blocks(sound) for sound in latents)
    assert generate("rain", "--mesh", "1x1").exit_code == 0
    assert fake.requests[0].plan.mesh.devices.tolist() == [[jax.devices()[0]]]


@pytest.mark.parametrize(
    ("sounds", "time_can_be_split", "expected"),
    [
        (1, True, (1, 1, 8)),
        (2, True, (2, 1, 4)),
        (3, True, (4, 1, 2)),
        (5, True, (2, 1, 4)),
        (6, True, (8, 1, 1)),
        (9, True, (4, 1, 2)),
        (1, False, (8, 1, 1)),
    ],
)
def test_devices_are_laid_out_along_data_as_far_as_they_have_work(sounds, time_can_be_split, expected):
    assert best_shape(8, sounds, time_can_be_split=time_can_be_split) == expected


def test_each_process_would_decide_by_itself_and_so_none_does():
    several = Processes(count=2)
    several.refuse(**{"--rank": False})
    with pytest.raises(UsageError, match="--rank cannot be had from 2 processes"):
        several.refuse(**{"--rank": True})
    dataclasses.replace(several, count=1).refuse(**{"--rank": True})
