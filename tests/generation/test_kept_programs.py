"""What a second process finds of the programs of a generation."""

import re

import jax
import numpy as np
import pytest

from litefocus_jax.decoding import whole
from litefocus_jax.generation import sampling
from litefocus_jax.models.circular import on_circle
from litefocus_jax.system.kept_jit import KeptJit
from tests.support.compilations import programs_kept_in
from tests.support.models import small_pipeline

KEPT = (sampling.encode, sampling.project_context, sampling.denoise, whole.decode_latents, whole.vocode)


@pytest.fixture
def fresh_folder(tmp_path):
    """An empty folder of compiled programs."""
    forget()
    with programs_kept_in(tmp_path) as folder:
        yield folder
    forget()


def forget() -> None:
    """As a new process begins."""
    for function in KEPT:
        function._programs.clear()


def test_a_second_process_traces_no_network_and_makes_the_same_bytes(fresh_folder, monkeypatch):
    options = {"audio_length_in_s": 0.64, "num_inference_steps": 2}
    first = small_pipeline()("rain", **options)
    for function in KEPT:
        assert [*fresh_folder.glob(f"{function.__name__}-*")] != []
    forget()
    monkeypatch.setattr(KeptJit, "_traced", lambda self, *of: pytest.fail(f"{self.__name__} is traced again"))
    assert np.array_equal(small_pipeline()("rain", **options).audios, first.audios)


def test_programs_that_are_kept_are_those_that_jax_makes(fresh_folder):
    options = {"audio_length_in_s": 0.64, "num_inference_steps": 2}
    kept = small_pipeline()("rain", **options)
    jax.config.update("jax_compilation_cache_dir", None)  # so that nothing is
    assert np.array_equal(small_pipeline()("rain", **options).audios, kept.audios)


def test_functions_within_networks_are_known_by_their_names():
    modules = small_pipeline().components.modules
    circular = [on_circle(modules[name]) for name in ("unet", "vae", "vocoder")]
    structures = repr([jax.tree.structure(network) for network in (*modules.values(), *circular)])
    functions = set(re.findall(r"<function ([\w.]+) at (0x\w+)>", structures))
    assert len(functions) > 2
    assert len({name for name, _ in functions}) == len(functions)
    assert re.sub(r"<function [\w.]+ at 0x\w+>", "", structures).count(" at 0x") == 0
