"""``litefocus-jax evaluate`` with small random judges."""

import json
from pathlib import Path

import numpy as np
import pytest

from litefocus_jax.audio.reading import read_sound
from litefocus_jax.checkpoint.judges import load_cnn14
from litefocus_jax.evaluation import kernel_distance, kl_divergence
from litefocus_jax.evaluation.judges import Cnn14Judge, LogMelJudge
from tests.support.command_line import run
from tests.support.judges import aisfx_file, clap_folder, cnn14_file, vggish_file
from tests.support.models import tiny_checkpoint
from tests.support.sounds import tone, write_sound

NAMES = [f"sound{number:02}" for number in range(10)]


def folder_of(folder: Path, names=NAMES, *, offset: float = 0.0, rate: int = 16000) -> Path:
    """Tones of a second, each of its own pitch, with a little noise."""
    noise = np.random.default_rng(int(offset)).normal(size=(len(names), rate)).astype(np.float32)
    for number, name in enumerate(names):
        write_sound(
            folder / f"{name}.wav",
            tone(1.0, hertz=200 + 150 * number + offset, rate=rate) + 0.01 * noise[number],
            rate=rate,
        )
    return folder


def captions_file(path: Path, names=NAMES) -> Path:
    path.write_text("file_name,text\n" + "".join(f'{name}.wav,"a tone, {name}"\n' for name in names), encoding="utf-8")
    return path


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "generated")


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "recorded", offset=70.0)


def figures(folder: Path) -> dict[tuple[str, str], dict]:
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {(figure["metric"], figure["judge"]): figure for figure in report["figures"]}


def test_every_judge_says_its_part(sounds, recordings, tmp_path):
    captions = captions_file(tmp_path / "captions.csv")
    judges = ["--vggish", vggish_file(), "--cnn14", cnn14_file(), "--clap", clap_folder()]
    result = run(
        "evaluate", sounds, "-r", recordings, "-c", captions, "-o", tmp_path / "report", "--bootstrap", 20, *judges
    )
    assert result.exit_code == 0, result.output
    found = figures(tmp_path / "report")
    assert list(found) == [
        ("KAD", "Cnn14"),
        ("KAD, pairs apart", "Cnn14"),
        ("KAD", "CLAP"),
        ("KAD, pairs apart", "CLAP"),
        ("FAD", "VGGish"),
        ("FAD, endless sounds", "VGGish"),
        ("FD", "Cnn14"),
        ("KL", "Cnn14"),
        ("KL of sigmoids", "Cnn14"),
        ("IS", "Cnn14"),
        ("CLAP score", "CLAP"),
    ]
    assert found["FAD", "VGGish"]["interval"] is not None
    document = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert f"| KL | Cnn14 | {found['KL', 'Cnn14']['value']:.4g} |" in document
    assert "10 at 16000 Hz of 10 sounds are resampled to 8000 Hz for CLAP" in document
    judge = Cnn14Judge(load_cnn14(cnn14_file()))
    heard = [
        np.stack([judge.listen(_read(folder / f"{name}.wav")).logits for name in NAMES])
        for folder in (sounds, recordings)
    ]
    assert found["KL", "Cnn14"]["value"] == pytest.approx(kl_divergence(*heard), rel=1e-5)

    again = run("evaluate", sounds, "-o", tmp_path / "report", "--cnn14", cnn14_file())
    assert again.exit_code == 1
    assert "--overwrite" in again.stderr


def _read(path: Path) -> np.ndarray:
    import soundfile

    return soundfile.read(path, dtype="float32")[0]


def test_the_same_sounds_are_no_distance_apart(sounds, tmp_path):
    result = run("evaluate", sounds, "-r", sounds, "-o", tmp_path / "report", "--cnn14", cnn14_file(), "--bootstrap", 0)
    assert result.exit_code == 0, result.output
    found = figures(tmp_path / "report")
    assert found["FD", "Cnn14"]["value"] == pytest.approx(0.0, abs=1e-4)
    assert found["FD", "Cnn14"]["interval"] is None


def test_aisfx_and_log_mels_compare_without_anything_else(sounds, recordings, tmp_path):
    judges = ("--aisfx", aisfx_file(), "--log-mel", "--bootstrap", 20)
    result = run("evaluate", sounds, "-r", recordings, "-o", tmp_path / "report", *judges)
    assert result.exit_code == 0, result.output
    found = figures(tmp_path / "report")
    assert list(found) == [(metric, judge) for judge in ("aisfx", "log-mel") for metric in ("KAD", "KAD, pairs apart")]
    assert (
        "10 at 16000 Hz of 10 sounds are resampled to 44100 Hz for aisfx" in (tmp_path / "report/report.md").read_text()
    )


def test_a_baseline_is_held_against_the_sounds(sounds, recordings, tmp_path):
    farther = folder_of(tmp_path / "farther", offset=2000.0)
    options = ("-r", recordings, "--log-mel", "--bootstrap", 20)
    for name, given, baseline in ("there", farther, sounds), ("back", sounds, farther):
        result = run("evaluate", given, "-b", baseline, "-o", tmp_path / name, *options)
        assert result.exit_code == 0, result.output
    there, back = (figures(tmp_path / name)["KAD against the baseline", "log-mel"] for name in ("there", "back"))
    assert there["value"] == pytest.approx(-back["value"])
    assert back["value"] < 0 < there["interval"][0]
    assert f"- Baseline: {sounds}, 10 of 10 s together" in (tmp_path / "there" / "report.md").read_text()


def test_a_baseline_without_something_to_hold_it_by_is_refused(sounds, recordings, tmp_path):
    others = folder_of(tmp_path / "others", NAMES[:-1])
    for options, expected in (
        (("-b", sounds, "--clap", clap_folder(), "-c", captions_file(tmp_path / "captions.csv")), "give --reference"),
        (("-b", sounds, "-r", recordings, "--vggish", vggish_file()), "by KAD; give --cnn14"),
        (("-b", others, "-r", recordings, "--log-mel"), "sound for sound09"),
    ):
        assert expected in " ".join(evaluate_error(tmp_path, sounds, *options).split())


def evaluate_error(tmp_path: Path, *arguments) -> str:
    """The message of an evaluation that must fail, and leave nothing behind."""
    result = run("evaluate", *arguments, "-o", tmp_path / "report")
    assert result.exit_code == 1, result.output
    assert not (tmp_path / "report").exists()
    return result.stderr


def test_missing_weights_are_told_with_where_they_are_from(sounds, recordings, tmp_path):
    message = evaluate_error(tmp_path, sounds, "-r", recordings)
    for part in (
        "vggish-10086976.pth",
        "Apache 2.0",
        "Cnn14_16k_mAP=0.438.pth",
        "zenodo.org",
        "CC BY 4.0",
        "--clap",
        "aisfx==0.1.2",
    ):
        assert part in message
    message = evaluate_error(tmp_path, sounds, "-r", recordings, "--vggish", tmp_path / "none.safetensors")
    assert "none.safetensors does not exist" in message
    assert "vggish-10086976.pth" in message
    message = evaluate_error(tmp_path, sounds, "-r", recordings, "--cnn14", vggish_file())
    assert "holds no conv_block1.conv1.weight" in message
    (tmp_path / "vggish.pth").write_bytes(b"pickle")
    message = evaluate_error(tmp_path, sounds, "-r", recordings, "--vggish", tmp_path / "vggish.pth")
    assert "python -m convert" in message
    message = evaluate_error(tmp_path, sounds, "-r", recordings, "--clap", tiny_checkpoint())
    assert "native format, which has no tower of CLAP for sound" in message


def test_judges_without_anything_to_compare_with_are_an_error(sounds, tmp_path):
    assert "--reference" in evaluate_error(tmp_path, sounds, "--vggish", vggish_file())
    assert "--captions or --reference" in evaluate_error(tmp_path, sounds, "--clap", clap_folder())
    captions = captions_file(tmp_path / "captions.csv")
    assert "judged by CLAP" in evaluate_error(tmp_path, sounds, "-c", captions, "--cnn14", cnn14_file())


def test_folders_that_are_no_set_of_sounds_are_an_error(sounds, tmp_path):
    judge = ("--cnn14", cnn14_file())
    (tmp_path / "empty").mkdir()
    assert "holds no sounds" in evaluate_error(tmp_path, tmp_path / "empty", *judge)
    assert "does not exist" in evaluate_error(tmp_path, tmp_path / "missing", *judge)
    assert "holds one sound, only.wav" in evaluate_error(tmp_path, folder_of(tmp_path / "one", ["only"]), *judge)
    write_sound(sounds / "quiet.wav", np.zeros(16000, np.float32))
    write_sound(sounds / "broken.wav", np.full(16000, np.nan, np.float32))
    message = evaluate_error(tmp_path, sounds, *judge)
    assert "quiet.wav is silent" in message
    assert "broken.wav holds NaN" in message


def test_recordings_that_are_no_partners_are_named(sounds, recordings, tmp_path):
    (recordings / "sound03.wav").unlink()
    folder_of(recordings, ["other"])
    judge = ("--cnn14", cnn14_file(), "--bootstrap", 0)
    message = evaluate_error(tmp_path, sounds, "-r", recordings, *judge)
    assert "no recording for sound03" in message
    assert "no sound for other" in message
    result = run("evaluate", sounds, "-r", recordings, *judge, "--unpaired", "-o", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert ("KL", "Cnn14") not in figures(tmp_path / "report")
    assert "no KL divergence" in result.stderr


def test_captions_that_do_not_fit_the_sounds_are_named(sounds, tmp_path):
    captions = captions_file(tmp_path / "captions.csv", [*NAMES[1:], "spare"])
    message = evaluate_error(tmp_path, sounds, "-c", captions, "--clap", clap_folder())
    assert "sounds without a caption: sound00" in message
    assert "captions without a sound: spare (line 11)" in message


def test_other_rates_are_resampled_and_told(tmp_path):
    sounds = folder_of(tmp_path / "generated", rate=44100)
    recordings = folder_of(tmp_path / "recorded", rate=8000)
    arguments = ["--vggish", vggish_file(), "--bootstrap", 0, "-o", tmp_path / "report"]
    result = run("evaluate", sounds, "-r", recordings, *arguments)
    assert result.exit_code == 0, result.output
    assert "10 at 44100 Hz of 10 sounds are resampled to 16000 Hz for VGGish" in result.stderr
    assert "10 at 8000 Hz of 10 sounds are resampled to 16000 Hz for VGGish" in result.stderr
    assert "what the lower rate cannot hold is a difference to VGGish" in result.stderr


def test_statistics_of_log_mels_need_no_weights_but_recordings(sounds, recordings, tmp_path):
    result = run("evaluate", sounds, "-r", recordings, "-o", tmp_path / "report", "--bootstrap", 0, "--log-mel")
    assert result.exit_code == 0, result.output
    assert list(figures(tmp_path / "report")) == [("KAD", "log-mel"), ("KAD, pairs apart", "log-mel")]
    judge = LogMelJudge()
    heard = [
        np.stack([judge.listen(read_sound(folder / f"{name}.wav", 16000).waveform) for name in NAMES])
        for folder in (sounds, recordings)
    ]
    assert heard[0].shape == (10, 192)
    assert figures(tmp_path / "report")["KAD", "log-mel"]["value"] == pytest.approx(kernel_distance(*heard), rel=1e-6)
    alone = run("evaluate", sounds, "-o", tmp_path / "other", "--log-mel")
    assert "log-mel compares sounds with recordings; give --reference too" in alone.stderr
