"""Tables of captions, of ours and of AudioCaps."""

import pytest

from litefocus_jax.evaluation import MetricError
from litefocus_jax.evaluation.captions import captions_of

AUDIOCAPS = """audiocap_id,youtube_id,start_time,caption
97151,vfY_TJq7n_U,130,"Rustling occurs, ducks quack"
97152,vfY_TJq7n_U,130,"Ducks quack, then rustling"
108945,tdWhHV3X25Q,60,An audience gives applause
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("97151", "108945"),
        ("vfY_TJq7n_U", "tdWhHV3X25Q"),
        ("YvfY_TJq7n_U", "YtdWhHV3X25Q"),
        ("vfY_TJq7n_U_130", "tdWhHV3X25Q_60"),
    ],
)
def test_sounds_of_audiocaps_go_by_caption_or_by_video(first, second, tmp_path):
    table = tmp_path / "test.csv"
    table.write_text(
        AUDIOCAPS if first != "97151" else AUDIOCAPS.replace('97152,vfY_TJq7n_U,130,"Ducks quack, then rustling"\n', "")
    )
    assert captions_of(table, [second, first]) == {
        second: "An audience gives applause",
        first: "Rustling occurs, ducks quack",
    }


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,words\na,b\n", "the columns are name, words; expected file_name,text or AudioCaps'"),
        ("file_name,text\n", "has no rows"),
        ("file_name,text\nrain.wav,rain, heavy\n", "line 2: .*double quotes"),
        ("file_name,text\nrain.wav,\n", "line 2"),
        ("", "the columns are missing"),
        ('file_name,text\n"rain.wav,rain\n', "no table of comma-separated values"),
    ],
)
def test_malformed_tables_are_an_error(table, message, tmp_path):
    (tmp_path / "captions.csv").write_text(table)
    with pytest.raises(MetricError, match=message):
        captions_of(tmp_path / "captions.csv", ["rain"])


def test_names_may_lie_in_folders_and_have_no_suffix(tmp_path):
    (tmp_path / "captions.csv").write_text("file_name,text\nday\\rain.wav,rain\nwind v1.5,wind\n")
    assert captions_of(tmp_path / "captions.csv", ["day/rain", "wind v1.5"]) == {
        "day/rain": "rain",
        "wind v1.5": "wind",
    }
