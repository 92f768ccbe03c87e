"""``litefocus-jax exchange``."""

from tests.support.command_line import run
from tests.support.models import tiny_checkpoint


def test_a_table_has_a_row_for_each_mesh_and_sounds_along_data_cost_nothing():
    result = run("exchange", "-m", tiny_checkpoint(), "-d", 5.12, "--mesh", "8x1", "--mesh", "1x2x2", "--sounds", 8)
    assert result.exit_code == 0, result.output
    rows = {line.split("|")[1].strip(): line.split("|")[5].strip() for line in result.stdout.splitlines()[2:]}
    assert rows["8x1"] == "0.0"
    assert float(rows["1x2x2"]) > 0


def test_meshes_that_a_sound_is_too_short_for_are_named():
    result = run("exchange", "-m", tiny_checkpoint(), "-d", 0.64)
    assert "1x64 is left out: the network's last level has 2 frames" in " ".join(result.stderr.split())
    result = run("exchange", "-m", tiny_checkpoint(), "-d", 0.64, "--mesh", "1x64")
    assert result.exit_code == 2
    assert "make it longer with --duration" in " ".join(result.output.split())


def test_heads_as_trained_are_more_pairs_to_share_attention_by():
    common = ["exchange", "-d", 80, "--mesh", "1x64", "--litefocus", "off"]
    received = [run(*common, "--heads", heads).stdout.splitlines()[2].split("|")[2] for heads in ("stored", "trained")]
    assert float(received[1]) < float(received[0])


def test_litefocus_where_devices_divide_the_frequencies_exchanges_a_fraction_of_dense_attention():
    common = ["exchange", "-d", 80, "--mesh", "1x8", "--litefocus"]
    dense, sparse = (run(*common, choice).stdout.splitlines()[2].split("|") for choice in ("off", "on"))
    assert float(sparse[2]) < 0.5 * float(dense[2])
    assert float(sparse[4]) > float(dense[4])  # for the tokens that are drawn
