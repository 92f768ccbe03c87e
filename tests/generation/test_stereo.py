"""Left and right of a sound that is given, made next to each other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from litefocus_jax import PartialRun, StopGeneration, read_recipe
from litefocus_jax.audio.reading import UnusableSoundError
from tests.support.command_line import run
from tests.support.models import small_checkpoint, small_pipeline
from tests.support.sounds import RATE, tone
from tests.support.tolerance import deviation

ROUNDING = 1e-4
LEFT = tone(0.64) * np.linspace(0.2, 1.0, round(0.64 * RATE), dtype=np.float32)
RIGHT = LEFT[::-1].copy()
BOTH = np.stack([LEFT, RIGHT])
BRIEF: dict[str, Any] = {"num_inference_steps": 4, "litefocus": None}


def make(audio: np.ndarray, **options: Any) -> np.ndarray:
    asked: dict[str, Any] = {**BRIEF, "sampling_rate": RATE, **options}
    return small_pipeline()("rain", audio=audio, **asked).audios


@pytest.mark.parametrize("options", [{"strength": 0.5}, {"fill": [(0.2, 0.4)]}, {"strength": 0.0}])
def test_each_side_is_what_it_would_be_alone(options: dict[str, Any]) -> None:
    (made,) = make(BOTH, stereo=True, **options)
    assert made.shape == (len(LEFT), 2)
    for side, alone in enumerate((LEFT, RIGHT)):
        assert deviation(made[:, side], make(alone, **options)[0]) < ROUNDING


def test_equal_sides_stay_equal_and_several_sounds_differ() -> None:
    first, second = make(np.stack([LEFT, LEFT]), stereo=True, num_waveforms_per_prompt=2)
    np.testing.assert_array_equal(first[:, 0], first[:, 1])
    np.testing.assert_array_equal(second[:, 0], second[:, 1])
    assert deviation(first[:, 0], second[:, 0]) > 0.01


def test_what_is_kept_is_kept_of_both_sides_and_along_a_timeline() -> None:
    (made,) = make(BOTH[:, :5120], stereo=True, continue_for_s=0.32)
    np.testing.assert_array_equal(made[:5120], BOTH[:, :5120].T)
    timeline = small_pipeline()(
        None, timeline=[(0.0, "rain"), (0.32, "sea")], audio=BOTH, sampling_rate=RATE, stereo=True, **BRIEF
    )
    assert timeline.audios.shape == (1, len(LEFT), 2)


def test_a_stereo_run_is_resumed_to_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"

    def stop(step: int, steps: int, latents: Any) -> None:
        if step == 2:
            raise StopGeneration

    options: dict[str, Any] = {"stereo": True, "strength": 1.0}
    make(BOTH, partial_run=PartialRun(path, every=2), callback=stop, **options)
    resumed = make(BOTH, partial_run=PartialRun(path, resume=True), **options)
    assert resumed.tobytes() == make(BOTH, **options).tobytes()


def test_files_of_both_sides_are_made_again_from_themselves(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "in.wav", BOTH.T, RATE, subtype="FLOAT")
    common = ["-m", str(small_checkpoint()), "--steps", "4", "--litefocus", "off"]
    edit = ["--audio", str(tmp_path / "in.wav"), "--strength", "0.5", "--stereo"]
    made, again = tmp_path / "made.wav", tmp_path / "again.wav"
    assert (
        run("generate", "rain", *edit, *common, "-o", str(made), "--spectrogram", f"{tmp_path}/made.png").exit_code == 0
    )
    assert soundfile.info(made).channels == 2
    assert read_recipe(made).audio.stereo  # pyright: ignore[reportOptionalMemberAccess]
    assert run("generate", "--from", str(made), "-o", str(again)).exit_code == 0
    assert again.read_bytes() == made.read_bytes()
    assert "in stereo" in run("info", str(made)).stdout


def test_stereo_of_one_channel_and_of_no_sound_is_refused() -> None:
    with pytest.raises(UnusableSoundError, match="audio has 1 channel; expected two for stereo"):
        make(LEFT, stereo=True)
    with pytest.raises(ValueError, match="stereo = True needs a sound that is given: audio"):
        small_pipeline().request("rain", stereo=True)
    with pytest.raises(TypeError, match="stereo = 'yes'; expected True or False"):
        make(BOTH, stereo="yes")
    assert "needs --audio FILE or --continue FILE" in run("generate", "rain", "--stereo").stderr
