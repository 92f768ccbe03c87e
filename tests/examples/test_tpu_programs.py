"""Programs for TPUs that are not there; left out where ``jax[tpu]`` is not installed."""

import functools
import importlib.util
from typing import Any

import jax
import numpy as np
import pytest

from examples.tpu_programs import ATTENTIONS, denoising_program, devices_of, main
from litefocus_jax.checkpoint.random_model import sub_model_configs
from litefocus_jax.generation.length import sound_length
from litefocus_jax.models.components import LatentGeometry
from litefocus_jax.models.unet.exchange import exchange_along_time
from litefocus_jax.ops.litefocus.layout import DENSE

pytestmark = pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="needs libtpu, as of jax[tpu]")

SECONDS = 5.2  # 130 frames of the small model: not a multiple of what eight chips have room for


@functools.cache
def chips() -> np.ndarray:
    try:
        return devices_of("v5e:2x4")
    except jax.errors.JaxRuntimeError as error:  # libtpu serves one process at a time
        pytest.skip(str(error))


@pytest.mark.parametrize("attention", ["dense", "everywhere"])
def test_chips_along_time_exchange_what_is_worked_out(attention: str) -> None:
    configs: dict[str, Any] = sub_model_configs("tiny")
    geometry, litefocus = LatentGeometry.from_configs(**configs), ATTENTIONS[attention]
    program = denoising_program(configs, chips().reshape(1, 8), SECONDS, litefocus, straight=True)
    expected = exchange_along_time(
        configs["unet"],
        sound_length(SECONDS, None, geometry, None, loop=False).frames,
        geometry.frequencies,
        devices=8,
        batch=2,
        bytes_per_number=2,
        attention=DENSE if litefocus is None else litefocus.layout(geometry.frame_in_s),
    )
    assert program.exchange is not None
    kinds = ("all-to-all", "collective-permute")
    assert [program.exchange.operations[kind] for kind in kinds] == [expected.operations[kind] for kind in kinds]
    assert [program.exchange.received[kind] for kind in kinds] == [expected.received[kind] for kind in kinds]


def test_loops_over_transformers_make_the_program_small() -> None:
    configs = sub_model_configs("tiny")
    looped, straight = (
        denoising_program(configs, chips().reshape(1, 8), SECONDS, None, straight=straight).code
        for straight in (False, True)
    )
    assert looped < 0.8 * straight


def test_a_line_for_each_program(capsys: pytest.CaptureFixture[str]) -> None:
    chips()
    main(["--mesh", "2x4", "--program", "dense", "--size", "tiny", "--duration", "5"])
    assert "| v5e:2x4 2x4 | dense |" in capsys.readouterr().out
