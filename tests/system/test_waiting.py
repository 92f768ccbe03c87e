"""Waiting for a device: Ctrl-C ends it, and a program that ends then does so in peace."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from litefocus_jax.system import waiting
from litefocus_jax.system.waiting import NonFiniteError, require_finite, wait_for


def test_ctrl_c_ends_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    finished = threading.Event()

    def compute_for_ever(arrays: Any) -> None:
        if arrays is not None:  # what is queued behind the result
            os.kill(os.getpid(), signal.SIGINT)
            finished.wait(timeout=60)

    monkeypatch.setattr(waiting.jax, "block_until_ready", compute_for_ever)
    try:
        with pytest.raises(KeyboardInterrupt):
            wait_for(jnp.zeros(2))
        assert not finished.is_set()
    finally:
        finished.set()


def test_a_program_that_ctrl_c_ends_waits_for_what_the_device_was_given() -> None:
    script = """
        import os, signal, threading
        from litefocus_jax.system import waiting

        finish = threading.Event()

        def say(line):  # as a whole, where two threads speak
            os.write(1, f"{line}\\n".encode())

        def compute(arrays):
            if arrays == "result":
                os.kill(os.getpid(), signal.SIGINT)
                finish.wait(60)
            say(f"computed {arrays}")

        waiting.jax.block_until_ready = compute
        try:
            waiting.wait_for("result", queued="queued")
        except KeyboardInterrupt:
            say("interrupted")
        threading.Timer(0.2, finish.set).start()
        say("the end")
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, text=True)
    lines = run.stdout.splitlines()
    assert sorted(lines) == ["computed queued", "computed result", "interrupted", "the end"]
    assert lines.index("interrupted") < lines.index("computed result")


def test_an_error_of_the_device_is_raised_where_its_result_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out_of_memory(arrays: Any) -> None:
        raise RuntimeError("RESOURCE_EXHAUSTED")

    monkeypatch.setattr(waiting.jax, "block_until_ready", run_out_of_memory)
    with pytest.raises(RuntimeError, match="RESOURCE_EXHAUSTED"):
        wait_for(jnp.zeros(2))


def test_a_result_is_there_after_the_wait() -> None:
    result = jax.jit(lambda x: x @ x)(jnp.ones((300, 300)))
    wait_for(result)
    assert result[0, 0] == 300


def test_what_is_not_finite_is_named_by_its_stage() -> None:
    require_finite("UNet", {"latents": jnp.ones(3), "mask": jnp.ones(3, bool)})
    with pytest.raises(NonFiniteError, match="the UNet returned NaN or infinity"):
        require_finite("UNet", (jnp.ones(3), jnp.array([1.0, jnp.nan])))


def test_advice_about_float16_is_given_to_float16_alone():
    with pytest.raises(NonFiniteError, match="Try fewer extremes") as caught:
        require_finite("UNet", jnp.full(2, jnp.nan), dtype="float32")
    assert "float16" not in str(caught.value)
    with pytest.raises(NonFiniteError, match="In float16 values overflow easily"):
        require_finite("UNet", jnp.full(2, jnp.nan), dtype="float16")
