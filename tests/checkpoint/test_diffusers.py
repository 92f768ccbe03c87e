"""Models written as diffusers folders, and read back; `tests/parity/test_export.py` has diffusers read them."""

import json
import shutil
from pathlib import Path

import jax.numpy as jnp
import pytest
from safetensors import safe_open

from litefocus_jax.checkpoint import saving
from litefocus_jax.checkpoint import weights as modules
from litefocus_jax.checkpoint.diffusers import DEFAULTS, save_diffusers
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.models.components import NETWORKS, AudioLDM2Components, Components
from tests.support.command_line import run
from tests.support.models import tiny_checkpoint
from tests.support.stored_models import assert_same_model, change_json, tiny_diffusers_checkpoint


@pytest.fixture(scope="module")
def components() -> Components:
    return load_components(tiny_checkpoint())


@pytest.fixture(scope="module")
def exported(components: Components, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "diffusers"
    save_diffusers(components, folder)
    return folder


def run_export(*arguments: object):
    return run("export", *arguments)


def stored_types(path: Path) -> set[str]:
    with safe_open(path, framework="numpy") as file:
        return {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118, no mapping


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_native_to_diffusers_and_back_changes_no_bit(components: Components, exported: Path, tmp_path: Path) -> None:
    returned = load_components(exported)
    assert_same_model(returned, components)
    for name in ("tokenizer", "tokenizer_2"):
        assert contents(exported / name) == contents(getattr(components, name))
    save_native(returned, tmp_path / "native")
    assert_same_model(load_components(tmp_path / "native"), components)


def test_every_part_in_the_index_has_its_folder_and_class(exported: Path) -> None:
    index = json.loads((exported / "model_index.json").read_text())
    assert index.pop("_class_name") == "AudioLDM2Pipeline"
    assert index.pop(DEFAULTS)["guidance_scale"] == 3.5
    assert set(index) == {path.name for path in exported.iterdir() if path.is_dir()}
    for name, network in NETWORKS.items():
        library, class_name = index[name]
        config = json.loads((exported / name / "config.json").read_text())
        assert class_name in network.class_names
        assert class_name in ([config["_class_name"]] if library != "transformers" else config["architectures"])
        assert ("model_type" in config) == (library == "transformers")


def test_a_diffusers_folder_is_exported_too(components: Components, tmp_path: Path) -> None:
    result = run_export(tiny_diffusers_checkpoint(), tmp_path / "copy")
    assert result.exit_code == 0, result.output
    assert_same_model(load_components(tmp_path / "copy"), components)


@pytest.mark.parametrize(("dtype", "stored"), [("bfloat16", "BF16"), ("float16", "F16")])
def test_half_precision_spares_the_vae_and_the_vocoder(tmp_path: Path, dtype: str, stored: str) -> None:
    result = run_export(tiny_checkpoint(), tmp_path / "half", "--dtype", dtype)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'half'}\n"
    for name, network in NETWORKS.items():
        found = stored_types(tmp_path / "half" / name / f"{network.weights}.safetensors")
        expected = {"F32"} if name in ("vae", "vocoder") else {stored}
        assert found - {"I64"} == expected, name
    assert_same_model(load_components(tmp_path / "half", dtype), load_components(tiny_checkpoint(), dtype))


def test_a_half_precision_model_is_exported_as_it_is(tmp_path: Path) -> None:
    save_native(load_components(tiny_checkpoint()), tmp_path / "native", dtype="bfloat16")
    assert run_export(tmp_path / "native", tmp_path / "diffusers").exit_code == 0
    assert "BF16" in stored_types(tmp_path / "diffusers" / "unet" / "diffusion_pytorch_model.safetensors")


def test_weights_too_large_for_float16_leave_nothing_behind(components: Components, tmp_path: Path) -> None:
    large = AudioLDM2Components.of(load_components(tiny_checkpoint()))
    kernel = large.projection_model.projection.kernel
    kernel.set_value(jnp.full_like(kernel.get_value(), 1e6))
    with pytest.raises(CheckpointError, match=r"projection\.kernel does not fit float16"):
        save_diffusers(large, tmp_path / "new" / "half", dtype="float16")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_kept_unless_told_otherwise(exported: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(exported, tmp_path / "diffusers")
    (folder / "note.txt").touch()
    result = run_export(tiny_checkpoint(), folder)
    assert result.exit_code == 1
    assert "--overwrite" in result.stderr
    assert (folder / "note.txt").exists()
    assert run_export(tiny_checkpoint(), folder, "--overwrite").exit_code == 0
    assert contents(folder) == contents(exported)


def test_other_folders_are_never_replaced(tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_checkpoint(), tmp_path / "native")
    before = contents(folder)
    result = run_export(tiny_checkpoint(), folder, "--overwrite")
    assert result.exit_code == 1
    assert "holds no model_index.json" in result.stderr
    assert contents(folder) == before


def test_an_interrupted_export_changes_nothing(
    components: Components, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(exported, tmp_path / "diffusers")

    def interrupt(path: Path, values: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "write_json", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_diffusers(components, folder, overwrite=True)
    assert list(tmp_path.iterdir()) == [folder]
    assert contents(folder) == contents(exported)


def test_tokenizers_that_diffusers_would_misread_are_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_checkpoint(), tmp_path / "native")
    change_json(folder / "tokenizer" / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    change_json(folder / "tokenizer_2" / "tokenizer_config.json", tokenizer_class="TokenizersBackend")
    result = run_export(folder, tmp_path / "diffusers")
    assert result.exit_code == 1
    assert "'BertTokenizer'; expected RobertaTokenizer or RobertaTokenizerFast" in result.stderr
    assert "'TokenizersBackend'; expected T5Tokenizer or T5TokenizerFast" in result.stderr
    assert list(tmp_path.iterdir()) == [folder]


def test_a_model_that_is_not_there_is_one_error(tmp_path: Path) -> None:
    result = run_export(tmp_path / "nowhere", tmp_path / "diffusers")
    assert result.exit_code == 1
    assert "does not exist" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_type_is_refused(components: Components, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected float32, bfloat16, float16"):
        save_diffusers(components, tmp_path / "diffusers", dtype="int8")
    assert list(tmp_path.iterdir()) == []


def test_no_parameter_is_lost_or_made_up(components: Components, exported: Path) -> None:
    for name, network in NETWORKS.items():
        with safe_open(exported / name / f"{network.weights}.safetensors", framework="numpy") as file:
            assert file.metadata() == {"format": "pt"}
            names = set(file.keys())
        if name == "text_encoder":
            names = {name for name in names if name.startswith("text_") and not name.endswith("_ids")}
        assert len(names) == len(modules.leaves(components.modules[name])), name
