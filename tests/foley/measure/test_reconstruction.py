"""The measures of what the VAE and the vocoder lose."""

import numpy as np
import pytest

from examples.foley.measure.reconstruction import buzz_in_db, strongest_line
from tests.support.foley import (
    noise,
    tone,
)


def test_a_clean_tone_has_less_buzz_than_one_with_lines_beside_it():
    pure = tone(440.0)
    harmonic = pure + 0.1 * tone(880.0)
    buzzing = pure + 0.1 * tone(540.0) + 0.1 * tone(340.0)
    noisy = pure + noise(len(pure), level=0.01)
    assert buzz_in_db(pure, 440.0) < -80.0
    assert buzz_in_db(harmonic, 440.0) < -80.0
    assert buzz_in_db(buzzing, 440.0) == pytest.approx(10.0 * np.log10(0.02), abs=0.5)
    assert -40.0 < buzz_in_db(noisy, 440.0) < -15.0


def test_the_strongest_line_is_found_to_a_hertz():
    assert strongest_line(tone(523.0) + 0.5 * tone(700.0)) == pytest.approx(523.0, abs=1.0)


def test_a_sound_too_short_to_measure_is_an_error():
    with pytest.raises(ValueError, match="waveform has 100 samples; expected at least 16000"):
        buzz_in_db(np.zeros(100), 440.0)
