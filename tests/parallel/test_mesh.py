"""Sounds spread over the devices of a mesh are those of one device."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.sharding import AbstractMesh, Mesh

from litefocus_jax.parallel.mesh import check_frames, check_mesh
from tests.support.models import small_pipeline
from tests.support.xla_flags import with_devices

EIGHT_DEVICES = with_devices(8)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder = tmp_path_factory.mktemp("devices")
    worker = subprocess.run(
        [sys.executable, "-m", "tests.support.devices", folder],
        env=os.environ | EIGHT_DEVICES,
        capture_output=True,
        text=True,
        check=False,
    )
    assert worker.returncode == 0, worker.stderr
    with np.load(folder / "sounds.npz") as arrays:
        return dict(arrays)


def mesh(shape: tuple[int, ...], *names: str) -> Mesh:
    return Mesh(np.array(jax.devices()[:1]).reshape(shape), names)


def test_six_sounds_on_four_devices_equal_one(sounds: dict[str, np.ndarray]) -> None:
    assert sounds["guided_on_4"].shape == sounds["guided_on_1"].shape == (6, 10240)
    np.testing.assert_allclose(sounds["guided_on_4"], sounds["guided_on_1"], atol=1e-4)
    assert np.abs(np.diff(sounds["guided_on_1"], axis=0)).max(axis=1).min() > 1e-3  # no two are the same


def test_fewer_sounds_than_devices_equal_one_without_guidance(sounds: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(sounds["unguided_on_8"], sounds["unguided_on_1"], atol=1e-4)


def test_a_run_that_was_ended_on_several_devices_goes_on_to_the_same_bytes(sounds: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(sounds["resumed_on_4"], sounds["guided_on_4"])


def test_devices_along_both_axes_equal_one_device(sounds: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(sounds["guided_on_2x4"], sounds["guided_on_1"], atol=1e-4)


def test_a_branch_of_guidance_on_each_of_two_groups_of_devices_equals_one_device(sounds: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(sounds["guided_on_2x2x2"], sounds["guided_on_1"], atol=1e-4)


def test_a_guidance_axis_without_guidance_is_refused(sounds: dict[str, np.ndarray]) -> None:
    assert "two groups of devices along 'guidance', and guidance is off" in str(sounds["refusal_of_no_guidance"])


@pytest.mark.parametrize("mesh", ["2x4", "2x2x2", "1x8"])
def test_what_devices_exchange_in_a_step_is_what_is_worked_out(sounds: dict[str, np.ndarray], mesh: str) -> None:
    operations, received, *worked_out = sounds[f"exchange_on_{mesh}"]
    np.testing.assert_array_equal([operations, received], worked_out)
    assert received[:3].min() > 0


def test_dense_attention_over_time_equals_one_device(sounds: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(sounds["unguided_on_1x8"], sounds["unguided_on_1"], atol=1e-4)


def test_focus_on_a_frequency_for_each_device_equals_one_device(sounds: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(sounds["guided_on_1x8"], sounds["guided_on_1"], atol=1e-4)


def test_a_loop_over_devices_some_of_which_have_no_frames_equals_one_device(sounds: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(sounds["looped_on_1x8"], sounds["looped_on_1"], atol=1e-4)


@pytest.mark.parametrize("how", ["evenly", "unevenly"])
def test_tokens_drawn_from_all_devices_are_those_that_were_asked_for(sounds: dict[str, np.ndarray], how: str) -> None:
    found, asked = sounds[f"drawn_{how}"]
    np.testing.assert_array_equal(found, asked)


def test_frames_that_do_not_divide_evenly_equal_one_device_in_linear_attention(sounds: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(sounds["uneven_on_1x8"], sounds["uneven_on_1"], atol=1e-4)


@pytest.mark.parametrize("attention", ["dense", "sparse"])
def test_each_of_eight_devices_along_time_holds_at_most_a_sixth_of_the_activations(
    sounds: dict[str, np.ndarray], attention: str
) -> None:
    on_one, on_each_of_eight = sounds[f"{attention}_memory"]
    assert on_each_of_eight <= on_one / 6


def test_windows_along_time_are_refused_with_what_to_do(sounds: dict[str, np.ndarray]) -> None:
    assert "all devices along 'data', or windowed = None" in str(sounds["refusal_of_windows"])


def test_a_mesh_of_other_axes_is_refused_with_one_that_fits() -> None:
    with pytest.raises(ValueError, match=r"mesh has the axes \('data',\); expected \('data', 'time'\)"):
        small_pipeline()("rain", mesh=mesh((1,), "data"))


def test_what_is_no_mesh_is_refused() -> None:
    with pytest.raises(TypeError, match="mesh is a int"):
        small_pipeline()("rain", mesh=8)  # pyright: ignore[reportArgumentType]


def test_an_explicit_mesh_is_left_to_the_compiler() -> None:
    explicit = jax.make_mesh((1, 1), ("data", "time"))
    assert check_mesh(explicit) == mesh((1, 1), "data", "time")


def test_a_sound_with_fewer_frames_than_devices_is_an_error() -> None:
    eight = AbstractMesh((1, 8), ("data", "time"))
    check_frames(eight, 8)
    with pytest.raises(ValueError, match=r"mesh has 8 devices along 'time', and .* 7 frames of this sound"):
        check_frames(eight, 7)
