"""All judges on one set of sounds."""

import math

import numpy as np

from litefocus_jax.checkpoint.judges import load_aisfx, load_cnn14, load_vggish
from litefocus_jax.evaluation.comparison import Judges, evaluate
from litefocus_jax.evaluation.judges import AisfxJudge, Cnn14Judge, LogMelJudge, VggishJudge
from litefocus_jax.evaluation.sounds import open_sounds
from tests.support.judges import aisfx_file, cnn14_file, vggish_file
from tests.support.sounds import tone, write_sound


def test_silence_that_a_model_made_is_judged_and_named(tmp_path):
    for number in range(3):
        write_sound(tmp_path / "recorded" / f"{number}.wav", tone(1.0, hertz=200 + 100 * number))
        write_sound(tmp_path / "made" / f"{number}.wav", tone(1.0, hertz=220 + 100 * number))
    write_sound(tmp_path / "made" / "1.wav", np.zeros(16000, np.float32))
    judges = Judges(
        vggish=VggishJudge(load_vggish(vggish_file())),
        cnn14=Cnn14Judge(load_cnn14(cnn14_file())),
        embedders={"aisfx": AisfxJudge(load_aisfx(aisfx_file())), "log-mel": LogMelJudge()},
    )
    made = open_sounds(tmp_path / "made", silence_is_usable=True)
    found = evaluate(judges, made, open_sounds(tmp_path / "recorded"), bootstrap=None)
    assert all(math.isfinite(figure.value) for figure in found.figures)
    assert {figure.judge for figure in found.figures} == {"VGGish", "Cnn14", "aisfx", "log-mel"}
    assert found.notes[0].endswith("made: 1 of 3 sounds are silent, and judged as that: 1")
