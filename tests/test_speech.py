"""An AudioLDM2 for speech on the way of the others: what is to be said, its files, and what cannot be done."""

import dataclasses
import functools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.random_model import random_model, save_random_model, sub_model_configs
from litefocus_jax.checkpoint.store import load_components, open_checkpoint
from litefocus_jax.generation import pronunciation, speech
from litefocus_jax.generation.pronunciation import cleaned, phonemes_of
from litefocus_jax.generation.recipe import Recipe
from litefocus_jax.models.components import differences_in_width
from litefocus_jax.models.unet.heads import doubt, with_heads
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.system.extras import MissingExtraError
from litefocus_jax.training.batches import AudioBatches
from litefocus_jax.training.data import open_dataset
from tests.support.command_line import run
from tests.support.folders import new_path
from tests.support.models import tiny_pipeline
from tests.support.sounds import sound_folder
from tests.support.tolerance import deviation

BRIEF: Any = {"audio_length_in_s": 0.4, "num_inference_steps": 2, "litefocus": None, "progress": False}
FEW = ("-d", 0.4, "--steps", 2, "--litefocus", "off")
HELLO, MORNING = "həlˈoʊ wˈɜːld", "ɡˈʊd mˈɔːnɪŋ"


@functools.cache
def small_speech() -> Path:
    """A native folder with a random model for speech, whose UNet has two levels: a third of the time to compile."""
    folder = new_path("small-speech")
    save_random_model(folder, size="tiny-speech")
    components = load_components(folder)
    unet = dataclasses.replace(
        components.unet.config,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 16),
        cross_attention_dim=((None, 16),) * 2,
    )
    save_native(dataclasses.replace(components, unet=random_model(UNet, unet)), folder, overwrite=True)
    return folder


@functools.cache
def pipeline() -> AudioLDM2Pipeline:
    return AudioLDM2Pipeline.from_pretrained(small_speech())


@pytest.fixture
def espeak(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of the library, whose phonemes are the text itself."""
    monkeypatch.setattr(speech, "phonemes_of", cleaned)


def output_of(*arguments: Any) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def error_of(*arguments: Any) -> str:
    result = run(*arguments)
    assert result.exit_code != 0, result.output
    return " ".join(result.stderr.split())


def test_what_is_said_is_heard_and_the_prompt_too() -> None:
    hello, morning = (pipeline()("a woman", phonemes=said, seed=3, **BRIEF).audios for said in (HELLO, MORNING))
    man = pipeline()("a man, far away", phonemes=HELLO, seed=3, **BRIEF).audios
    assert deviation(morning, hello) > 1e-4
    assert deviation(man, hello) > 1e-4


def test_a_neighbour_that_says_more_changes_nothing() -> None:
    both = pipeline()(["a woman", "a man"], phonemes=[HELLO, MORNING * 2], seed=3, **BRIEF).audios
    alone = pipeline()("a woman", phonemes=HELLO, seed=3, **BRIEF).audios
    assert deviation(both[:1], alone) < 1e-4


def test_a_transcription_is_pronounced(espeak: None) -> None:
    request = pipeline().request("a woman", transcription="Good morning, Dr. Who!")
    assert request.speech == speech.Speech(("good morning, doctor who!",), ("Good morning, Dr. Who!",))
    assert pipeline().request("a woman", transcription="Hi", phonemes=HELLO).speech == speech.Speech((HELLO,), ("Hi",))
    assert pipeline().request("a woman", transcription="", phonemes="").speech == speech.Speech(("",), ("",))


def test_one_prompt_that_says_other_things_is_not_the_same_sound_again() -> None:
    request = pipeline().request(["a woman"] * 3, phonemes=[HELLO, MORNING, HELLO])
    assert request.first_waveforms == (0, 0, 1)


def test_vectors_hold_what_is_said() -> None:
    words = pipeline()("a woman", phonemes=HELLO, seed=3, negative_prompt="wind", **BRIEF).audios
    embeddings = pipeline().encode_prompt("a woman", phonemes=HELLO)
    vectors = pipeline()(seed=3, negative_prompt="wind", **(BRIEF | embeddings._asdict())).audios
    assert deviation(vectors, words) < 1e-4
    with pytest.raises(ValueError, match="phonemes is given beside prompts as vectors"):
        pipeline().request(phonemes=HELLO, **embeddings._asdict())


def test_litefocus_windows_and_the_authors_sampling_serve_it_too() -> None:
    options: dict[str, Any] = {**BRIEF, "audio_length_in_s": 1.3, "output_type": "latent", "phonemes": HELLO}
    changes: tuple[dict[str, Any], ...] = ({}, {"litefocus": "on"}, {"windowed": "average"})
    dense, *others = (pipeline()("a woman", **{**options, **each}).audios for each in changes)
    assert all(deviation(each, dense) > 1e-5 for each in others)
    authors = {**BRIEF, "sampling": "authors", "num_waveforms_per_prompt": 1, "eta": 0.0}
    request = pipeline().request("a woman", phonemes=HELLO, **{k: v for k, v in authors.items() if k != "progress"})
    assert request.force_zeros_for_empty_prompt
    assert np.isfinite(pipeline().run(request, progress=False).audios).all()


@pytest.mark.parametrize(("options", "message"), [
    ({}, "transcription is missing: the model is an AudioLDM2-Speech"),
    ({"phonemes": [HELLO, HELLO]}, "phonemes has 2 texts for 1 prompts"),
    ({"transcription": [HELLO, HELLO], "phonemes": HELLO}, "transcription has 2 texts for 1 prompts"),
    ({"phonemes": HELLO, "max_new_tokens": 7}, "max_new_tokens is not taken here"),
])  # fmt: skip
def test_what_is_missing_or_too_much_is_one_clear_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline().request("a woman", **options)
    number: Any = 3
    with pytest.raises(TypeError, match="phonemes is a int; expected a string"):
        pipeline().request("a woman", phonemes=number)


def test_a_timeline_does_not_speak() -> None:
    with pytest.raises(ValueError, match="timeline is for models that do not speak"):
        pipeline().request(timeline=[(0.0, "a"), (5.0, "b")], phonemes=HELLO)


@pytest.mark.parametrize("name", ["transcription", "phonemes"])
def test_a_model_that_does_not_speak_is_not_told_what_to_say(name: str) -> None:
    options: Any = {name: "hello"}
    with pytest.raises(ValueError, match=rf"{name} is for a model that speaks.*this one is an AudioLDM2:"):
        tiny_pipeline().request("rain", **options)


def test_symbols_that_the_model_does_not_know_are_named() -> None:
    with pytest.raises(ValueError, match=r"'#' \(U\+0023\), 'õ' \(U\+00F5\), which the model has no number for"):
        pipeline()("a woman", phonemes="h#õ#", **BRIEF)


def test_what_is_too_long_is_cut_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    pipeline().encode_prompt("a woman", phonemes=MORNING * 4)
    assert "What is to be said is cut to 40 phonemes" in caplog.text
    assert MORNING[-8:] in caplog.text


def test_without_the_library_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    pronunciation._pronounce.cache_clear()
    monkeypatch.setitem(sys.modules, "phonemizer", None)
    with pytest.raises(MissingExtraError, match=r"transcription.* needs the package phonemizer.*pip install.*--pho"):
        phonemes_of("hello")
    assert "Or write it in the phonetic alphabet" in error_of(
        "generate", "a", "--transcription", "b", "-m", small_speech()
    )


def test_symbols_of_the_library_that_no_model_knows_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    assert pronunciation.sayable("seɪ (ok) _", "say (ok)") == "seɪ ok"
    assert "Of the transcription 'say (ok)', '(' (U+0028), ')' (U+0029), '_' (U+005F) is left out" in caplog.text


@pytest.mark.parametrize("text", [
    "Wish you  have a good day, Dr. Smith!\n25 dogs.",
    "C'est la vie: naïve façade (ok) & co. 50% @ 3:30 of a \u201cnew\u201d; day",
])  # fmt: skip
def test_espeak_pronounces_as_the_authors_have_it(text: str) -> None:
    phonemizer = pytest.importorskip("phonemizer")
    pytest.importorskip("espeakng_loader")
    pronunciation._pronounce.cache_clear()
    found = phonemes_of(text)
    theirs = {"language": "en-us", "backend": "espeak", "strip": True, "preserve_punctuation": True}
    expected = phonemizer.phonemize(cleaned(text), **theirs, with_stress=True, language_switch="remove-flags")
    assert found == " ".join(expected.replace("(", "").replace(")", "").split())
    assert pipeline().tokenizer_2.unknown(found) == ()
    if "Smith" in text:
        assert found == "wˈɪʃ juː hæv ɐ ɡˈʊd dˈeɪ, dˈɑːktɚ smˈɪθ! twˈɛnti fˈaɪv dˈɑːɡz."


def test_a_sound_is_made_again_from_its_recipe_without_the_library(tmp_path: Path, espeak: None) -> None:
    first, second, other = (tmp_path / f"{name}.wav" for name in ("first", "second", "other"))
    said = ("--transcription", "Hello.")
    output_of("generate", "a woman", *said, "-m", small_speech(), *FEW, "--seed", 4, "-o", first)
    shown = output_of("info", first)
    assert "Says       Hello." in shown
    assert "Phonemes   hello." in shown
    output_of("generate", "--from", first, "-o", second)
    assert first.read_bytes() == second.read_bytes()
    output_of("generate", "--from", first, "--phonemes", MORNING, "-o", other)
    assert first.read_bytes() != other.read_bytes()
    assert f"Phonemes   {MORNING}" in output_of("info", other)
    assert "Says" not in output_of("info", other)
    output_of("generate", "a man", "--from", first, "-o", tmp_path / "man.wav")
    assert "Says       Hello." in output_of("info", tmp_path / "man.wav")


def test_a_recipe_of_a_batch_holds_what_its_neighbours_say() -> None:
    result = pipeline()(["a woman", "a man"], phonemes=[HELLO, MORNING], seed=3, **BRIEF)
    recipe = Recipe.from_json(result.recipes[1].to_json())
    assert recipe.phonemes == MORNING
    prompts, options = recipe.request_options()
    again = pipeline()(prompts, progress=False, **options)
    np.testing.assert_array_equal(again.audios[1], result.audios[1])
    silent = json.loads(tiny_pipeline().recipes(tiny_pipeline().request(["a", "b"]))[0].to_json())
    assert "phonemes" not in silent
    assert "phonemes" not in silent["neighbours"]


def test_a_file_of_prompts_says_what_is_said(tmp_path: Path, espeak: None) -> None:
    (tmp_path / "lines.csv").write_text("prompt,transcript,name\na woman,Hello.,hello\na man,,man\n")
    table = ("--prompts", tmp_path / "lines.csv", "-m", small_speech(), *FEW, "-o", f"{tmp_path}/out")
    output_of("generate", *table, "--transcription", "Good morning.", "--batch-size", 2)
    assert "Says       Hello." in output_of("info", tmp_path / "out" / "hello.wav")
    assert "Says       Good morning." in output_of("info", tmp_path / "out" / "man.wav")
    message = error_of("generate", *table, "--overwrite", "--batch-size", 2)
    assert "lines.csv, line 3, column transcription: empty; expected what is said" in message
    assert "--transcription is missing: the model is an AudioLDM2-Speech" in error_of("generate", *table, "--overwrite")


def test_many_hosts_say_the_same(tmp_path: Path, espeak: None) -> None:
    (tmp_path / "lines.csv").write_text("prompt,transcription\na woman,Hello.\na woman,Bye.\n")
    few = ("-m", small_speech(), "-d", 0.4, "--steps", 2)
    output_of("batch", tmp_path / "lines.csv", tmp_path / "out", *few)
    report = (tmp_path / "out" / "report.csv").read_text()
    assert "a-woman-seed0.wav,a woman,,Hello.,0,0,made," in report
    assert "a-woman-2-seed0.wav,a woman,,Bye.,0,0,made," in report


def test_a_run_that_said_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    from litefocus_jax import PartialRun

    path = tmp_path / "run.safetensors"
    pipeline()("a woman", phonemes=HELLO, partial_run=PartialRun(path, every=1, keep=True), **BRIEF)
    with pytest.raises(ValueError, match="belongs to another request: phonemes"):
        pipeline()("a woman", phonemes=MORNING, partial_run=PartialRun(path, resume=True), **BRIEF)


def test_it_is_not_trained(tmp_path: Path) -> None:
    folder = sound_folder(tmp_path)
    with pytest.raises(ValueError, match="the model is an AudioLDM2-Speech, which is not trained here"):
        AudioBatches(open_dataset(folder), pipeline().components, batch_size=1)
    message = error_of("finetune", folder, "-m", small_speech(), "-o", tmp_path / "out", "--steps", 1)
    assert "an AudioLDM2-Speech, which is not trained here" in message


def test_it_is_described(tmp_path: Path) -> None:
    shown = output_of("info", small_speech())
    assert "native checkpoint of an AudioLDM2-Speech" in shown
    assert "text_encoder_2" in shown
    assert open_checkpoint(small_speech()).configs["text_encoder_2"].vocab_size == 183


def test_the_published_shape_fits_together_and_its_heads_are_in_doubt() -> None:
    configs = sub_model_configs("audioldm2-gigaspeech")
    assert differences_in_width(configs) == []
    assert differences_in_width(configs | {"text_encoder_2": configs["text_encoder_2"].tiny()}) == [
        "text_encoder_2: hidden_size = 24, but projection_model: text_encoder_1_dim = 192; these sub-models do not "
        "belong together"
    ]
    assert "(4, 8, 12, 20 by level)" in (doubt(configs["unet"]) or "")
    assert with_heads(configs["unet"], "trained").num_heads_per_level == (4, 8, 12, 20)


@pytest.mark.parametrize(("name", "changes", "message"), [
    ("tokenizer_config", {"add_blank": True}, "add_blank = True; expected False"),
    ("tokenizer_config", {"phonemize": False}, "phonemize = False; expected True"),
    ("tokenizer_config", {"pad_token": "<pad>"}, "pad_token = '<pad>'; expected the symbol of number 0"),
    ("tokenizer_config", {"model_max_length": 41}, "model_max_length = 41, but projection_model: max_seq_length = 40"),
    ("vocab", {"x": 183}, "a tokenizer of 184 tokens, but the text encoder knows 183"),
    ("vocab", {"x": "a"}, "is no vocabulary"),
])  # fmt: skip
def test_a_tokenizer_that_the_model_was_not_trained_with_is_refused(
    tmp_path: Path, name: str, changes: dict[str, Any], message: str
) -> None:
    folder = tmp_path / "model"
    pipeline().save_pretrained(folder)
    path = folder / "tokenizer_2" / f"{name}.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    (folder / "digests.json").unlink(missing_ok=True)
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        AudioLDM2Pipeline.from_pretrained(folder)
