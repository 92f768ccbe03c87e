"""``litefocus-jax generate`` for many sounds: seeds, waveforms, names, batches, and what the shell makes of prompts."""

from pathlib import Path

import pytest

from litefocus_jax.cli.names import checked_name
from litefocus_jax.cli.seeds import parse_seeds
from tests.support.command_line import FakePipeline, generate, written

SUFFIXES = (".wav", ".flac")


@pytest.fixture
def fake(monkeypatch, tmp_path):
    return FakePipeline.put_in_place(monkeypatch, tmp_path)


def waveforms_of(fake):
    return [(request.seed, request.prompts, request.waveforms) for request in fake.requests]


def in_one_line(text):
    return " ".join(text.replace("│", "").split())


@pytest.mark.parametrize(("text", "expected"), [
    ("3", [3]), ("0-3", [0, 1, 2, 3]), ("1,5,9", [1, 5, 9]), (" 0-1, 7 ,1", [0, 1, 7]), ("4294967295", [2**32 - 1]),
    ("random", [None]),
])  # fmt: skip
def test_seeds_are_read_as_people_write_them(text, expected):
    assert parse_seeds(text) == expected


@pytest.mark.parametrize("text", ["", "3-1", "1,,2", "1.5", "a", "4294967296", "0-99999", "-2", "1-2-3", "9" * 5000])
def test_what_are_no_seeds_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        parse_seeds(text)


def test_each_prompt_is_made_with_each_seed(fake):
    assert generate("rain", "wind", "--seeds", "0-1").exit_code == 0
    assert written() == ["rain-seed0.wav", "rain-seed1.wav", "wind-seed0.wav", "wind-seed1.wav"]
    assert [request.batch_size for request in fake.requests] == [1] * 4


def test_batches_hold_sounds_of_one_seed_and_one_length(fake):
    Path("a.csv").write_text("prompt,seed,duration,negative_prompt\nrain,,,\nwind,5,,\ndog,,1,\ncat,,,noise\n")
    generate("--prompts", "a.csv", "--batch-size", "4", "--negative", "hum")
    assert [(request.seed, request.prompts, request.negative_prompts) for request in fake.requests] == [
        (0, ("rain", "cat"), ("hum", "noise")),
        (5, ("wind",), ("hum",)),
        (0, ("dog",), ("hum",)),
    ]
    assert fake.requests[2].audio_length_in_s == 1.0


def test_the_batch_size_counts_sounds_so_that_it_splits_waveforms(fake):
    generate("rain", "wind", "--waveforms", "3", "--batch-size", "2")
    assert waveforms_of(fake) == [
        (0, ("rain",), (0, 1)), (0, ("rain", "wind"), (2, 0)), (0, ("wind",), (1, 2)),
    ]  # fmt: skip


def test_a_prompt_given_twice_gets_another_noise(fake):
    generate("rain", "rain")
    assert waveforms_of(fake) == [(0, ("rain",), (0,)), (0, ("rain",), (1,))]
    assert written() == ["rain-2-seed0.wav", "rain-seed0.wav"]


def test_one_of_several_waveforms_is_made_alone(fake):
    generate("rain", "--waveform", "2")
    assert waveforms_of(fake) == [(0, ("rain",), (2,))]
    assert written() == ["rain-seed0-2.wav"]


@pytest.mark.parametrize("seed", ["-1", "random"])
def test_a_random_seed_is_told_and_named(fake, seed):
    result = generate("rain", "--seed", seed)
    drawn = fake.requests[0].seed
    assert f"Random seed: {drawn}" in result.stderr
    assert written() == [f"rain-seed{drawn}.wav"]
    assert "a random seed is another one" in generate("rain", "--seed", seed, "--resume").stderr


@pytest.mark.parametrize(("name", "expected"), [
    ("thunder", ("thunder", None)), ("Thunder.FLAC", ("Thunder", ".FLAC")), ("weather/rain", ("weather/rain", None)),
    ("take.1", ("take.1", None)), ("雨", ("雨", None)),
])  # fmt: skip
def test_names_of_files_may_be_chosen(name, expected):
    assert checked_name(name, SUFFIXES) == expected


@pytest.mark.parametrize("name", [
    "../x", "a/../../x", "/etc/x", "C:\\x", "a\\b", "..", ".", "a//b", "CON", "con.wav", "nul.txt", "lpt1", "x" * 300,
    "雨" * 90, "a\0b", "a\nb", "what?", "x.", "x/ y", ".wav", "x.aiff",
])  # fmt: skip
def test_names_that_lead_elsewhere_or_that_some_system_refuses_are_errors(name):
    with pytest.raises(ValueError, match="expected"):
        checked_name(name, SUFFIXES)


def test_names_from_a_file_are_used_and_told_apart_from_those_made_of_prompts(fake):
    Path("a.csv").write_text("prompt,name\nrain,Wind-seed0\nwind,\ndog,barks.flac\n")
    assert generate("--prompts", "a.csv", "-o", "out").exit_code == 0
    assert written("out") == ["Wind-seed0.wav", "barks.flac", "wind-2-seed0.wav"]


def test_a_name_for_several_sounds_gets_seed_and_waveform(fake):
    Path("a.csv").write_text("prompt,name\nrain,drops\n")
    generate("--prompts", "a.csv", "--seeds", "1,2", "-o", "out")
    assert written("out") == ["drops-seed1.wav", "drops-seed2.wav"]


@pytest.mark.parametrize(("names", "message"), [
    (("one", "ONE"), "a.csv, line 3, column name: 'ONE' is taken by a.csv, line 2"),
    (("../x", "y"), "a.csv, line 2, column name: '../x' leads outside the output folder"),
])  # fmt: skip
def test_bad_names_are_found_before_anything_runs(fake, names, message):
    Path("a.csv").write_text(f"prompt,name\nrain,{names[0]}\nwind,{names[1]}\n")
    result = generate("--prompts", "a.csv", "-o", "out")
    assert (result.exit_code, fake.opened) == (1, [])
    assert message in result.stderr


def test_a_length_that_the_model_cannot_make_is_named_by_its_line(fake):
    Path("a.csv").write_text("prompt,duration\nrain,0.01\n")
    result = generate("--prompts", "a.csv")
    assert "a.csv, line 2, column duration = 0.01 is too short" in result.stderr


@pytest.mark.parametrize(("prompts", "quoted"), [
    ("rain on a tin roof", '"rain on a tin roof"'),
    ("dog barking", '"dog barking"'),
    ("rain, thunder", '"rain, thunder"'),
    ("old car engine starting twice", '"old car engine starting twice"'),
    ("it costs $5", "'it costs $5'"),
])  # fmt: skip
def test_forgotten_quotes_are_noticed(fake, prompts, quoted):
    result = generate(*prompts.split())
    assert (result.exit_code, fake.opened) == (2, [])
    assert f"litefocus-jax generate {quoted}\n" in result.stderr
    assert generate("--each", *prompts.split()).exit_code == 0


@pytest.mark.parametrize(
    "prompts", [("rain", "wind", "dog"), ("a", "b", "c"), ("a dog", "Rain!"), ("typing", "knocking")]
)
def test_several_prompts_that_are_meant_are_made(fake, prompts):
    assert generate(*prompts).exit_code == 0
    assert len(fake.requests) == len(prompts)


@pytest.mark.parametrize(("prompts", "message"), [
    (("rain", "10"), "seconds are given by -d: -d 10"),
    (("rain", "10s"), "seconds are given by -d: -d 10"),
    (("rain", "out.wav"), "a file to write is given by -o: -o out.wav"),
    (("rain", "dpm++"), "it is a value of --scheduler"),
    (("rain", "true"), "an option such as --overwrite takes no value"),
    (("rain", "sounds/"), "-o sounds/"),
    (("rain", "—steps"), "its dash is not the hyphen of an option: --steps"),
])  # fmt: skip
def test_values_of_options_are_not_taken_for_prompts(fake, prompts, message):
    result = generate(*prompts)
    assert (result.exit_code, fake.opened) == (2, [])
    assert message in result.stderr


@pytest.mark.parametrize(("arguments", "message"), [
    (("rain", "--seed", "1", "--seeds", "2"), "cannot stand beside --seeds"),
    (("rain", "--seed", "-3"), "'-3' is no seed; expected a whole number from 0 to 4294967295, or random"),
    (("rain", "--seeds", "3-1"), "goes backwards"),
    (("rain", "--stesp", "20"), "Did you mean '--steps'?"),
    (("rain", "--scheduler", "dpmpp"), "Did you mean 'dpm++'?"),
])  # fmt: skip
def test_mistyped_options_are_usage_errors_with_advice(fake, arguments, message):
    result = generate(*arguments)
    assert (result.exit_code, fake.opened) == (2, [])
    assert message in in_one_line(result.stderr)


@pytest.mark.parametrize("target", ["new", "new/"])
def test_what_has_no_suffix_is_a_folder_for_one_sound_too(fake, target):
    assert generate("rain", "-o", target).exit_code == 0
    assert written() == ["new/rain-seed0.wav"]


@pytest.mark.parametrize("prompts", [("rain",), ("rain", "wind")])
def test_an_unknown_suffix_is_an_error_that_lists_what_can_be_written(fake, prompts):
    result = generate(*prompts, "-o", "x.aiff")
    assert result.exit_code == 1
    assert "has the suffix '.aiff'; expected .wav, .flac, .mp3, .ogg or .opus" in result.stderr
    assert "or a folder: x.aiff/" in result.stderr
