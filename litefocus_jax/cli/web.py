"""``litefocus-jax web``: the page."""

from typing import Annotated

import typer

from litefocus_jax.cli.adapters import parse_adapter
from litefocus_jax.cli.console import messages, output, reporting_errors
from litefocus_jax.cli.models import open_model
from litefocus_jax.cli.options import attention, sound
from litefocus_jax.cli.options.checkpoint import Heads, Lora, Revision
from litefocus_jax.cli.start import find_devices


def web(
    *,
    model: sound.Model = None,
    revision: Revision = None,
    heads: Heads = None,
    lora: Lora = None,
    dtype: attention.NumberType = None,
    port: Annotated[
        int | None, typer.Option("--port", min=1, max=65535, help="To listen at; 7860 or the next free one.")
    ] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Open a page to make sound on, in the browser of this machine.

    It can be reached from this machine alone, and ends with Ctrl-C. It needs the extra web.
    """
    with reporting_errors():
        from litefocus_jax.system.extras import import_extra

        import_extra("gradio", extra="web", purpose="the page")
        adapters = [parse_adapter(text) for text in lora or ()]

        from litefocus_jax.checkpoint.store import BUNDLED_MODEL
        from litefocus_jax.pipeline import AudioLDM2Pipeline
        from litefocus_jax.web import page
        from litefocus_jax.web.studio import Studio

        find_devices()
        name = BUNDLED_MODEL if model is None else model
        messages.print(f"Loading {name}", markup=False)
        pipeline = AudioLDM2Pipeline.from_checkpoint(open_model(name, revision, heads), dtype=dtype)
        for adapter in adapters:
            pipeline.load_lora_weights(adapter.path, scale=adapter.scale)
        studio = Studio(pipeline, name, heads)
        address = page.serve(studio, port=port, inbrowser=browser)
        output.print(address, markup=False)
        messages.print("Ctrl-C ends it.")
        try:
            wait_for_end()
        finally:
            studio.close()


def wait_for_end() -> None:
    """Wait for Ctrl-C."""
    import threading

    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        messages.print("Closed.")
