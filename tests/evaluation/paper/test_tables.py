"""The tables that the judges' figures make."""

import json

from litefocus_jax.evaluation.comparison import Figure
from litefocus_jax.evaluation.paper.sounds import Plan
from litefocus_jax.evaluation.paper.tables import Row, table, too_few, write_tables
from litefocus_jax.evaluation.paper.variants import LITEFOCUS, TABLES, variants_of

ROWS = [
    Row(1, "original", (Figure("KAD", "log-mel", 2.0, (1.5, 2.5), "less"),), 4.0),
    Row(1, "LiteFocus", (Figure("KAD", "log-mel", 1.0, None, "less"),), 2.0),
    Row(1, "Token Merging", (), None),
    Row(1, "same frequency alone", (), 1.0),
]
PLAN = Plan((1,), 96, 2, 4, {})


def test_a_table_holds_its_own_variants_with_intervals_and_speed():
    lines = table(1, ROWS).splitlines()
    assert lines[-3:] == [
        "| 1x | original | 2 (1.5 to 2.5) | 4 | 1.00x |",
        "| 1x | LiteFocus | 1 | 2 | 2.00x |",
        "| 1x | Token Merging |  | not measured |  |",
    ]
    assert lines[2] == "| length | attention | KAD (log-mel) | seconds per sound | speed |"


def test_few_sounds_are_marked(tmp_path):
    few = Plan((1,), 12, 1, 4, {})
    assert too_few(PLAN) is None
    assert too_few(few) == "Too few to conclude from: 12 sounds of 1 seed; expected 96 of 2 or more."
    text = write_tables(tmp_path, (1, 3), ROWS, few, {"machine": "a slow one"}, ["a note"])
    assert "**Too few to conclude from" in text
    assert "- machine: a slow one" in text
    assert text.endswith("- a note\n")
    assert (tmp_path / "tables.md").read_text(encoding="utf-8") == text
    assert json.loads((tmp_path / "tables.json").read_text(encoding="utf-8"))["rows"][0]["seconds_per_sound"] == 4.0


def test_what_several_tables_share_is_made_once_and_lies_in_folders_of_its_own():
    variants = variants_of((1, 2, 3))
    assert len(variants) == len(set(variants)) == 9
    assert len({variant.folder for variant in variants}) == 9
    assert all(set(variant.folder) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.") for variant in variants)
    assert LITEFOCUS in TABLES[1]
    assert LITEFOCUS in TABLES[3]


def test_batches_stay_within_their_seed():
    assert Plan((1,), 3, 2, 2, {}).batches == [(0, 0, 2), (0, 2, 3), (1, 3, 5), (1, 5, 6)]
