"""Checkpoints on disk: native and diffusers folders without PyTorch, whole and damaged."""

import shutil
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from litefocus_jax.checkpoint import safetensors_files, saving, store
from litefocus_jax.checkpoint import weights as modules
from litefocus_jax.checkpoint.digests import digests_of, verify
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.store import load_components, open_checkpoint
from litefocus_jax.models.components import NETWORKS, AudioLDM2Components, Components
from litefocus_jax.system.files import replacement_folder
from litefocus_jax.system.json_config import ConfigError
from tests.support.models import tiny_checkpoint
from tests.support.stored_models import (
    assert_same_model,
    change_json,
    change_tensors,
    tiny_diffusers_checkpoint,
    write_json,
)

SHARDED = "text_encoder_2"  # the sub-model that the tests of shards cut in two


@pytest.fixture(scope="module")
def native_source() -> Path:
    return tiny_checkpoint()


@pytest.fixture(scope="module")
def components(native_source: Path) -> Components:
    return load_components(native_source)


@pytest.fixture
def native_folder(native_source: Path, tmp_path: Path) -> Path:
    return shutil.copytree(native_source, tmp_path / "native")


@pytest.fixture
def diffusers_folder(tmp_path: Path) -> Path:
    return shutil.copytree(tiny_diffusers_checkpoint(), tmp_path / "diffusers")


def error_of(folder: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        load_components(folder)
    return str(error.value)


def shard(folder: Path) -> Path:
    """Cut a sub-model's safetensors in two; returns the index."""
    tensors = load_file(folder / SHARDED / "model.safetensors")
    (folder / SHARDED / "model.safetensors").unlink()
    weight_map = {}
    for number in (1, 2):
        file = f"model-0000{number}-of-00002.safetensors"
        part = {name: tensors[name] for name in sorted(tensors)[number - 1 :: 2]}
        save_file(part, folder / SHARDED / file)
        weight_map |= dict.fromkeys(part, file)
    write_json(folder / SHARDED / "model.safetensors.index.json", {"weight_map": weight_map})
    return folder / SHARDED / "model.safetensors.index.json"


def test_a_native_folder_holds_what_was_saved(components: Components, tmp_path: Path) -> None:
    save_native(components, tmp_path / "copy")
    copy = AudioLDM2Components.of(load_components(tmp_path / "copy"))
    assert_same_model(copy, components)
    assert copy.tokenizer == tmp_path / "copy" / "tokenizer"
    assert any(copy.tokenizer_2.iterdir())


def test_a_diffusers_folder_gives_the_same_model(components: Components, diffusers_folder: Path) -> None:
    assert_same_model(load_components(str(diffusers_folder)), components)


def test_sharded_weights_give_the_same_model(components: Components, diffusers_folder: Path) -> None:
    shard(diffusers_folder)
    assert_same_model(load_components(diffusers_folder), components)


def test_the_fp16_variant_is_read_where_it_is_alone(components: Components, diffusers_folder: Path) -> None:
    for name, network in NETWORKS.items():
        path = diffusers_folder / name / f"{network.weights}.safetensors"
        halves = {name: tensor.astype(np.float16) for name, tensor in load_file(path).items()}
        save_file(halves, path.with_name(f"{network.weights}.fp16.safetensors"))
        path.unlink()
    loaded = modules.to_numpy(load_components(diffusers_folder).unet)
    for name, array in modules.to_numpy(components.unet).items():
        np.testing.assert_allclose(loaded[name], array, rtol=1e-3, atol=1e-6)


def test_bfloat16_is_half_the_size_and_remembered_save_for_vae_and_vocoder(
    components: Components, native_folder: Path, tmp_path: Path
) -> None:
    save_native(components, tmp_path / "small", dtype="bfloat16")
    sizes = [(folder / "unet" / "model.safetensors").stat().st_size for folder in (tmp_path / "small", native_folder)]
    assert sizes[0] < 0.75 * sizes[1]  # names and shapes stay
    small = load_components(tmp_path / "small")
    dtypes = {name: {leaf.dtype.name for leaf in modules.leaves(part).values()} for name, part in small.modules.items()}
    float32 = {name for name, found in dtypes.items() if found == {"float32"}}
    assert float32 == {"vae", "vocoder"}
    assert all(found == {"bfloat16"} for name, found in dtypes.items() if name not in float32)
    assert small.dtype == "bfloat16"
    assert load_components(tmp_path / "small", "float32").dtype == "float32"


def test_bfloat16_sources_are_read(diffusers_folder: Path) -> None:
    path = diffusers_folder / "unet" / "diffusion_pytorch_model.safetensors"
    change_tensors(path, lambda t: t.update({k: v.astype(ml_dtypes.bfloat16) for k, v in t.items()}))
    assert open_checkpoint(diffusers_folder).networks["unet"].stored_bytes == 2 * modules.parameter_count(
        load_components(diffusers_folder).unet
    )


def test_opening_reads_no_values(native_source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safetensors_files.LazyArray, "__array__", None)
    checkpoint = open_checkpoint(native_source)
    assert (checkpoint.format, checkpoint.dtype) == ("native", "float32")
    assert all(4 * stored.parameters == stored.stored_bytes for stored in checkpoint.networks.values())


def test_problems_of_all_sub_models_are_listed_at_once(native_folder: Path) -> None:
    change_tensors(native_folder / "unet" / "model.safetensors", lambda t: t.pop("conv_in.kernel"))
    change_tensors(native_folder / "vae" / "model.safetensors", lambda t: t.update(stray=np.zeros(3, np.float32)))
    change_json(native_folder / "scheduler" / "scheduler_config.json", trained_betas=[0.1])
    (native_folder / "projection_model" / "config.json").unlink()
    message = error_of(native_folder)
    assert "missing parameters (1):\n    conv_in.kernel [3, 3, 4, 8]" in message
    assert "stray [3]" in message
    assert "trained_betas" in message
    assert "projection_model/config.json does not exist" in message


def test_a_misshapen_tensor_is_named_with_both_shapes(native_folder: Path) -> None:
    path = native_folder / "vocoder" / "model.safetensors"
    change_tensors(path, lambda t: t.update({"conv_pre.bias": np.zeros(5, np.float32)}))
    assert "conv_pre.bias [5] becomes conv_pre.bias [5]; expected [32]" in error_of(native_folder)


@pytest.mark.parametrize("folder", ["native_folder", "diffusers_folder"])
def test_weights_that_are_not_finite_are_named(folder: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(folder)
    weights = next((path / "vocoder").glob("*.safetensors"))
    change_tensors(weights, lambda t: t["conv_pre.bias"].fill(np.nan))
    message = error_of(path)
    assert str(path / "vocoder") in message
    assert "conv_pre.bias [32]: 32 of 32" in message


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_file_is_named(native_folder: Path, length: int) -> None:
    path = native_folder / "unet" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    assert f"{path} is not a complete safetensors file" in error_of(native_folder)


def test_a_git_lfs_pointer_is_recognised(native_folder: Path) -> None:
    path = native_folder / "unet" / "model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert f"{path} is a Git LFS pointer" in error_of(native_folder)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "other"}, "format = 'other'; expected 'litefocus-jax'"),
        ({"format_version": 99}, "format_version = 99, written by litefocus-jax .*; this version reads 1"),
        ({"dtype": "int4"}, "dtype = 'int4'; expected float32, bfloat16, float16"),
        ({"sub_models": ["unet"]}, r"sub_models = \['unet'\]; expected"),
    ],
)
def test_another_native_format_is_refused(native_folder: Path, values: dict[str, object], message: str) -> None:
    change_json(native_folder / "model.json", **values)
    with pytest.raises(CheckpointError, match=message):
        load_components(native_folder)


def test_missing_folders_are_all_named(diffusers_folder: Path) -> None:
    for name in ("vae", "tokenizer_2"):
        shutil.rmtree(diffusers_folder / name)
    assert "it lacks the folders vae, tokenizer_2" in error_of(diffusers_folder)


def test_missing_weights_are_named(diffusers_folder: Path) -> None:
    (diffusers_folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    assert "unet has no weights; expected diffusion_pytorch_model.safetensors" in error_of(diffusers_folder)


def test_pickles_alone_are_referred_to_the_converter(diffusers_folder: Path) -> None:
    path = diffusers_folder / "vocoder" / "model.safetensors"
    path.rename(path.with_name("pytorch_model.bin"))
    assert (
        "only as PyTorch pickles (pytorch_model.bin); convert them once with `python -m convert SRC DST`"
        in error_of(diffusers_folder)
    )


def test_unsupported_classes_are_all_named(diffusers_folder: Path) -> None:
    change_json(
        diffusers_folder / "model_index.json",
        _class_name="StableAudioPipeline",
        text_encoder_2=["transformers", "VitsModel"],
        vae=[None, None],
        control=["diffusers", "ControlNet"],
    )
    message = error_of(diffusers_folder)
    assert "_class_name = 'StableAudioPipeline'; expected 'AudioLDM2Pipeline' or 'AudioLDMPipeline' or" in message
    assert "text_encoder_2 is a VitsModel; expected T5EncoderModel" in message
    assert "vae is a None; expected AutoencoderKL" in message
    assert "control (ControlNet) is not a sub-model" in message


def test_tied_tensors_that_differ_are_refused_with_their_folder(diffusers_folder: Path) -> None:
    path = diffusers_folder / "text_encoder_2" / "model.safetensors"
    change_tensors(path, lambda t: t.update({"encoder.embed_tokens.weight": t["shared.weight"] + 1}))
    assert f"{path.parent}: shared.weight" in error_of(diffusers_folder)


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/passwd", "..", "a/b", r"..\model", "C:model", ""])
def test_a_shard_index_must_not_point_outside_its_folder(diffusers_folder: Path, name: str) -> None:
    index = shard(diffusers_folder)
    change_json(index, weight_map={"shared.weight": name})
    assert f"{index} names the shard {name!r}, outside its folder" in error_of(diffusers_folder)


def test_a_shard_must_not_be_a_link_out_of_its_folder(diffusers_folder: Path) -> None:
    path = shard(diffusers_folder).with_name("model-00001-of-00002.safetensors")
    outside = path.rename(diffusers_folder.parent / "outside.safetensors")
    path.symlink_to(outside)
    assert "'model-00001-of-00002.safetensors', outside its folder" in error_of(diffusers_folder)


def test_shards_in_the_layout_of_the_hub_cache_are_read(diffusers_folder: Path, components: Components) -> None:
    shard(diffusers_folder)
    cache = diffusers_folder.parent / "models--org--name"
    snapshot = shutil.copytree(diffusers_folder, cache / "snapshots" / "0123abc")
    (cache / "blobs").mkdir()
    for path in (snapshot / SHARDED).glob("*.safetensors"):
        path.symlink_to(path.rename(cache / "blobs" / path.name))
    assert_same_model(load_components(snapshot), components)


def test_a_missing_shard_is_named(diffusers_folder: Path) -> None:
    shard(diffusers_folder).with_name("model-00002-of-00002.safetensors").unlink()
    assert "'model-00002-of-00002.safetensors', which is missing" in error_of(diffusers_folder)


def test_shards_that_disagree_with_their_index_are_listed(diffusers_folder: Path) -> None:
    second = shard(diffusers_folder).with_name("model-00002-of-00002.safetensors")
    first = load_file(second.with_name("model-00001-of-00002.safetensors"))
    doubled = next(iter(first))
    gone = "encoder.block.0.layer.0.SelfAttention.o.weight"
    change_tensors(second, lambda t: (t.pop(gone), t.update({doubled: first[doubled]})))
    message = error_of(diffusers_folder)
    assert f"{doubled} {list(first[doubled].shape)} is stored twice" in message
    assert f"{gone} is not in model-00002-of-00002.safetensors" in message


def test_a_destination_that_exists_is_refused(components: Components, native_folder: Path) -> None:
    before = sorted(native_folder.rglob("*"))
    with pytest.raises(FileExistsError, match="exists; choose another destination, or overwrite it"):
        save_native(components, native_folder)
    assert sorted(native_folder.rglob("*")) == before


def test_overwriting_replaces_a_model_even_by_itself(native_folder: Path) -> None:
    (native_folder / "stale.txt").write_text("old")
    save_native(load_components(native_folder), native_folder, overwrite=True)
    load_components(native_folder)
    assert not (native_folder / "stale.txt").exists()
    assert list(native_folder.parent.iterdir()) == [native_folder]


def test_a_folder_that_is_no_model_is_never_replaced(components: Components, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="never replaced"):
        save_native(components, tmp_path, overwrite=True)
    with pytest.raises(FileExistsError, match="is not a folder"):
        save_native(components, tmp_path / "thesis.tex", overwrite=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError("disk full")])
def test_an_interrupted_save_leaves_nothing(
    components: Components, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    def interrupted(path: Path, arrays: dict[str, np.ndarray]) -> None:
        path.write_bytes(b"half")
        raise interruption

    monkeypatch.setattr(safetensors_files, "write_file", interrupted)
    with pytest.raises((KeyboardInterrupt, OSError)):
        save_native(components, tmp_path / "new" / "parents" / "model")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_overwrite_keeps_the_old_model(
    components: Components, native_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saving, "write_json", lambda path, values: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save_native(components, native_folder, overwrite=True)
    assert_same_model(load_components(native_folder), components)
    assert list(native_folder.parent.iterdir()) == [native_folder]


def test_a_destination_made_in_the_meantime_is_not_replaced(tmp_path: Path) -> None:
    destination = tmp_path / "model"

    def write() -> None:
        with replacement_folder(destination, overwrite=False, marker="model.json"):
            destination.mkdir()
            (destination / "theirs").touch()

    with pytest.raises(FileExistsError):
        write()
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "theirs"]


def test_a_folder_that_is_no_checkpoint_says_what_was_looked_for(tmp_path: Path) -> None:
    assert "neither model.json (native) nor model_index.json (diffusers)" in error_of(tmp_path)


def test_json_that_is_broken_is_named(native_folder: Path) -> None:
    (native_folder / "model.json").write_text("{")
    with pytest.raises(ConfigError, match=r"model\.json is not valid JSON"):
        load_components(native_folder)


@pytest.mark.parametrize("source", ["no/such/folder/at/all", "missing", Path("some/where")])
def test_what_is_neither_folder_nor_hub_id_is_an_error(source: str | Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist; expected a folder, or a hub id such as"):
        load_components(source)


def test_a_hub_id_that_cannot_be_fetched_names_both_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> str:
        raise OSError("outgoing traffic has been disabled")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(CheckpointError) as error:
        load_components("org/name")
    assert "As a folder: " in str(error.value)
    assert "As a hub id: OSError: outgoing traffic has been disabled" in str(error.value)


def test_from_the_hub_only_what_is_needed_is_asked_for(
    native_source: Path, monkeypatch: pytest.MonkeyPatch, components: Components
) -> None:
    asked = {}

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.update(name=name, revision=revision, patterns=allow_patterns)
        return str(native_source)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert_same_model(load_components("org/name", revision="v1"), components)
    assert (asked["name"], asked["revision"]) == ("org/name", "v1")
    assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in asked["patterns"])


def test_a_revision_is_for_the_hub(native_source: Path) -> None:
    with pytest.raises(ValueError, match="revision = 'v1' is for models on the hub"):
        store.load_components(native_source, revision="v1")


def test_names_with_escape_sequences_are_shown_and_not_obeyed(tmp_path):
    folder = shutil.copytree(tiny_checkpoint(), tmp_path / "model")
    path = folder / "projection_model" / "model.safetensors"
    change_tensors(path, lambda tensors: tensors.update({"\x1b[31mred\n": np.zeros(2, np.float32)}))
    with pytest.raises(CheckpointError, match="unknown tensors") as caught:
        load_components(folder)
    assert "\x1b" not in str(caught.value)
    assert "x1b[31mred" in str(caught.value)


def test_many_and_long_names_are_refused_soon_and_in_few_words(tmp_path):
    folder = shutil.copytree(tiny_checkpoint(), tmp_path / "model")
    path = folder / "projection_model" / "model.safetensors"
    safetensors_files.write_file(path, {f"{number}": np.zeros(0, np.float32) for number in range(30_000)})
    with pytest.raises(CheckpointError, match=r"model\.safetensors names 30,001 tensors"):
        load_components(folder)
    safetensors_files.write_file(path, {f"{number}" * 20_000: np.zeros(0, np.float32) for number in range(90)})
    with pytest.raises(CheckpointError, match="tensors without a parameter") as caught:
        load_components(folder)
    assert len(str(caught.value)) < 20_000


def test_more_layers_than_there_are_weights_for_are_refused_before_they_are_built(tmp_path):
    folder = shutil.copytree(tiny_checkpoint(), tmp_path / "model")
    change_json(folder / "text_encoder_2" / "config.json", num_layers=900)
    with pytest.raises(CheckpointError, match=r"text_encoder_2: config\.json describes a network of more than"):
        load_components(folder)


def test_networks_of_other_widths_are_named_before_anything_is_read(tmp_path):
    folder = shutil.copytree(tiny_checkpoint(), tmp_path / "model")
    change_json(folder / "vae" / "config.json", out_channels=2)
    change_json(folder / "scheduler" / "scheduler_config.json", num_train_timesteps="many")
    change_json(folder / "model.json", generation={"guidance_scale": 1e30})
    with pytest.raises(CheckpointError) as caught:
        load_components(folder)
    for fault in ("num_train_timesteps = 'many'", "guidance_scale = 1e+30", "vae"):
        assert fault in str(caught.value)


def test_a_flipped_bit_in_any_file_is_found_by_its_digest(tmp_path):
    folder = shutil.copytree(tiny_checkpoint(), tmp_path / "model")
    assert verify(folder) == len(digests_of(folder)) > 15
    for name in ("unet/model.safetensors", "vae/config.json", "tokenizer_2/tokenizer.json"):
        whole = (folder / name).read_bytes()
        damaged = bytearray(whole)
        damaged[-9] ^= 1
        (folder / name).write_bytes(damaged)
        with pytest.raises(CheckpointError, match=f"not as it was written:\n  {name} is damaged"):
            verify(folder)
        (folder / name).write_bytes(whole)
    (folder / "vocoder" / "more.bin").write_bytes(b"")
    (folder / "vae" / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"vae/config\.json is missing\n  vocoder/more\.bin was not written"):
        verify(folder)


def test_the_bundled_model_is_as_its_digests_say():
    assert verify(store.BUNDLED_FOLDER)


def test_a_folder_of_another_origin_has_no_digests():
    assert verify(tiny_diffusers_checkpoint()) is None
