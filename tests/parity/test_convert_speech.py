"""The converter on the authors' files for speech: CLAP's tokenizer is given, and that of phonemes is made."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.checkpoint.store import open_checkpoint
from tests.parity.test_convert_original import convert, words, write
from tests.support.command_line import run
from tests.support.models import tiny_checkpoint
from tests.support.originals import FULL, SPEECH, small


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("speech") / f"{SPEECH}.pth", small(SPEECH))


@pytest.fixture(scope="module")
def converted(original: Path) -> Path:
    folder = original.with_name("native")
    result = convert(original, folder, "--tokenizers", tiny_checkpoint(), "--variant", "audioldm2-speech-ljspeech")
    assert result.exit_code == 0, result.output
    assert "audioldm2-speech-ljspeech (2 transformers after each resnet, of 1 block each)" in words(result.stdout)
    return folder


def test_a_file_for_speech_becomes_a_native_folder_that_knows_phonemes(converted: Path) -> None:
    checkpoint = open_checkpoint(converted)
    assert checkpoint.model_type.speaks
    assert checkpoint.configs["language_model"].max_new_tokens == 512
    pipe = AudioLDM2Pipeline.from_pretrained(converted)
    assert pipe.tokenizer_2.model_max_length == 310
    assert pipe.tokenizer_2.ids(["ɐ"]) == [[70, 182]]
    found: Any = pipe.encode_prompt("a woman", phonemes="həlˈoʊ")
    assert found.generated_prompt_embeds.shape == (1, 512, 192)
    assert np.isfinite(found.generated_prompt_embeds).all()


def test_it_is_written_back_and_converted_again(converted: Path, tmp_path: Path) -> None:
    path = tmp_path / "speech.safetensors"
    result = run("export", converted, path, "--format", "original")
    assert result.exit_code == 0, result.output
    result = convert(path, tmp_path / "again", "--tokenizers", tiny_checkpoint() / "tokenizer")
    assert result.exit_code == 0, result.output
    for name in ("unet", "text_encoder_2", "language_model", "projection_model"):
        weights = [folder / name / "model.safetensors" for folder in (converted, tmp_path / "again")]
        assert weights[0].read_bytes() == weights[1].read_bytes(), name


def test_other_tokenizers_and_variants_are_one_clear_error(original: Path, tmp_path: Path) -> None:
    folder = tiny_checkpoint()
    two = f"{folder / 'tokenizer'},{folder / 'tokenizer_2'}"
    result = convert(original, tmp_path / "out", "--tokenizers", two)
    assert "expected for a model for speech CLAP's alone" in words(result.stderr)
    result = convert(original, tmp_path / "out", "--tokenizers", folder, "--variant", FULL)
    assert "is not audioldm2-full: it is an AudioLDM2 for speech" in words(result.stderr)
    (tmp_path / "empty").mkdir()
    result = convert(original, tmp_path / "out", "--tokenizers", tmp_path / "empty")
    assert "holds no tokenizer" in words(result.stderr)
    assert not (tmp_path / "out").exists()
