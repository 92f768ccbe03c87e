"""Prompts from files, as people write and export them."""

from pathlib import Path

import pytest

from litefocus_jax.cli.prompt_files import PromptRow, read_prompts


def rows_of(folder: Path, name: str, text: str | bytes) -> list[PromptRow]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_prompts(path)


def test_a_table_gives_each_prompt_what_is_its_own(tmp_path):
    text = 'prompt,negative_prompt,seed,duration,name\nrain,wind,7,2.5,first\n"thunder, far",,,,\n'
    place = f"{tmp_path / 'sounds.csv'}, line"
    assert rows_of(tmp_path, "sounds.csv", text) == [
        PromptRow("rain", "wind", (7,), 2.5, "first", f"{place} 2"),
        PromptRow("thunder, far", place=f"{place} 3"),
    ]


@pytest.mark.parametrize(("name", "text"), [
    ("a.csv", "\ufeffText,Audio Length In S\r\n\r\nrain,2\r\n"),
    ("a.CSV", "caption;seconds\nrain;2\n"),
    ("a.csv", '"caption","seconds"\n"rain","2.0"'),
    ("a.tsv", "prompt\tduration\nrain\t2\n"),
    ("a.jsonl", '\ufeff{"text": "rain", "audio_length_in_s": 2, "seed": null, "name": ""}\r\n\r\n'),
    ("a.ndjson", '{"prompt": "rain", "duration": "2"}'),
])  # fmt: skip
def test_tables_and_json_lines_are_read_as_programs_write_them(tmp_path, name, text):
    [row] = rows_of(tmp_path, name, text)
    assert (row.prompt, row.audio_length_in_s, row.seeds, row.name) == ("rain", 2.0, (), None)


def test_a_text_of_several_lines_is_one_cell_and_lines_are_counted_on(tmp_path):
    rows = rows_of(tmp_path, "a.csv", 'prompt\n"rain\non a roof"\nwind\n')
    assert [row.place[-6:] for row in rows] == ["line 2", "line 4"]


def test_a_json_line_may_be_a_text(tmp_path):
    assert [row.prompt for row in rows_of(tmp_path, "a.jsonl", '"rain"\n"wind"\n')] == ["rain", "wind"]


@pytest.mark.parametrize("seed", ["random", "-1"])
def test_a_seed_may_be_random(tmp_path, seed):
    assert rows_of(tmp_path, "a.csv", f"prompt,seed\nrain,{seed}\n")[0].seeds == (None,)


@pytest.mark.parametrize(("name", "text", "message"), [
    ("a.csv", "prompt,ngative_prompt\nrain,wind\n", "line 1: unknown column 'ngative_prompt'.*mean 'negative_prompt'"),
    ("a.csv", "seed\n1\n", "line 1: no column prompt among 'seed'"),
    ("a.csv", "prompt,text\nrain,rain\n", "column 'text' gives prompt a second time"),
    ("a.csv", "prompt,seed\nrain,1.5\n", "line 2, column seed: '1.5'; expected a whole number from 0 to 4294967295"),
    ("a.csv", "prompt,seed\nrain,99999999999999999999\n", "line 2, column seed: '99999999999999999999'; expected"),
    ("a.csv", "prompt,seed\nrain,-2\n", "column seed: '-2'"),
    ("a.csv", "prompt,duration\nrain,-1\n", "line 2, column duration: '-1'; expected seconds above 0"),
    ("a.csv", "prompt,duration\nrain,nan\n", "column duration: 'nan'"),
    ("a.csv", "prompt,duration\nrain,inf\n", "column duration: 'inf'"),
    ("a.csv", "prompt,duration\nrain,ten\n", "column duration: 'ten'"),
    ("a.csv", "prompt,seed\n,1\n", "line 2, column prompt: ''; expected a text that says what to hear"),
    ("a.csv", "prompt,seed\nrain, on a roof,1\n", "line 2 has 3 cells for 2 columns"),
    ("a.csv", 'prompt\n"rain\n', "line 2: .*expected CSV"),
    ("a.csv", "prompt\n", "holds no prompts"),
    ("a.csv", "", "holds no prompts"),
    ("a.txt", "# nothing\n", "holds no prompts"),
    ("a.csv", b"prompt\n\xff\n", "is not UTF-8 text"),
    ("a.jsonl", '{"prompt": "rain"\n', "line 1 is not JSON"),
    ("a.jsonl", '["rain"]\n', "line 1 is .*; expected an object"),
    ("a.jsonl", '{"prompt": 5}\n', "line 1, column prompt: 5; expected a text"),
    ("a.jsonl", '{"prompt": "rain", "seed": true}\n', "column seed: True"),
    ("a.jsonl", '{"prompt": "rain", "duration": NaN}\n', "column duration: nan"),
    ("a.jsonl", '{"prompt": "rain", "prompt": "wind"}\n', "gives prompt a second time"),
    ("a.jsonl", '{"prompt": "rain", "duraton": 1}\n', "unknown column 'duraton'.*Did you mean 'duration'"),
])  # fmt: skip
def test_what_is_wrong_is_named_by_file_line_column_and_value(tmp_path, name, text, message):
    with pytest.raises(ValueError, match=rf"(?s){name}.*{message}"):
        rows_of(tmp_path, name, text)
