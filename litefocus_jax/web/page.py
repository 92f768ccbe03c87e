"""The page itself: what is on it, and what its buttons do. It needs the extra ``web``."""

import dataclasses
import functools
import html
import threading
from collections.abc import Iterator
from typing import Any

import gradio

from litefocus_jax.models.generation_defaults import QUALITIES
from litefocus_jax.web.studio import Made, Refused, Step, Stopped, Studio, duration
from litefocus_jax.web.wish import Wish

TITLE = "litefocus-jax"
_FIELDS = tuple(field.name for field in dataclasses.fields(Wish))
_HIGHEST_SEED = 2**32 - 1
_STYLE = """
#status {min-height: 2.2em} #status progress {width: 100%; height: .8em} #status .refused {color: #b00020}
.gradio-container {max-width: 1100px !important; margin: auto}
@media (prefers-color-scheme: dark) {#status .refused {color: #ff8a80}}
"""


class Page:
    """The page of a studio; each browser that opens it has a gallery of its own.

    Args:
        studio: what makes the sounds.
    """

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._stops: dict[str, threading.Event] = {}

    def begin(self, request: gradio.Request) -> str:
        """A click on Make: whatever was stopped before is no longer, and the wish stands in the queue."""
        self._stops[str(request.session_hash)] = threading.Event()
        return said("Waiting for the device")

    def stop(self, request: gradio.Request) -> str:
        """A click on Stop: what the session makes ends after the step at hand, and what waits is not begun."""
        self._stops.setdefault(str(request.session_hash), threading.Event()).set()
        return said("Stopping after this step")

    def make(self, request: gradio.Request, gallery: list[Made], *values: Any) -> Iterator[tuple[Any, ...]]:
        """Make what the page says: status, gallery, and its list, again and again."""
        kept = gradio.skip()
        stop = self._stops.setdefault(str(request.session_hash), threading.Event())
        try:
            for news in self.studio.make(wish_of(values), stop):
                if isinstance(news, Step):
                    yield progress(news), kept, kept
                    continue
                gallery = [*gallery, *news]
                yield said(f"Made {len(news)} sound{'s' if len(news) > 1 else ''}"), gallery, listed(gallery)
        except Refused as error:
            yield refused(str(error)), kept, kept
        except Stopped:
            yield said("Stopped"), kept, kept

    def estimate(self, *values: Any) -> str:
        """What the wish would take."""
        try:
            return said(self.studio.estimate(wish_of(values)))
        except Refused as error:
            return refused(str(error))

    def show(self, gallery: list[Made], chosen: int | None) -> tuple[Any, ...]:
        """The sound of a line of the gallery, its picture, files, command and program."""
        if chosen is None or not 0 <= chosen < len(gallery):
            return (gradio.skip(),) * 5
        made, studio = gallery[chosen], self.studio
        program = made.wish.program(studio.model, studio.training_length_in_s, studio.heads)
        sound, picture = str(made.sound), str(made.picture)
        return sound, picture, [sound, picture], made.wish.command(studio.model, studio.heads), program

    def mark(self, audio: str | None, use: str, spans: str) -> tuple[Any, str]:
        """The picture of the sound that is given, with what is to be filled."""
        if audio is None:
            return None, ""
        try:
            return str(self.studio.picture_of(audio, spans if use == "Fill" else "")), ""
        except Refused as error:
            return None, refused(str(error))

    def again(self, gallery: list[Made], chosen: int | None, use: str | None) -> tuple[Any, ...]:
        """The fields of a sound of the gallery: those that make it again, or others that vary or continue it."""
        if chosen is None or not 0 <= chosen < len(gallery):
            return (gradio.skip(),) * (len(_FIELDS) + 2)
        made = gallery[chosen]
        wish = made.wish
        if use is not None:
            wish = dataclasses.replace(wish, audio=str(made.sound), use=use, seconds=None, spans="", first_waveform=0)  # pyright: ignore[reportArgumentType]
        usual = {"quality": "default", "seconds": 0}
        values = [usual[name] if name in usual and value is None else value for name, value in vars(wish).items()]
        notice = f"{'As' if use is None else use} {made.title}: press Make"
        return *values, gradio.Accordion(open=wish.audio is not None), said(notice)


def build(studio: Studio) -> gradio.Blocks:
    """The page of a studio."""
    page = Page(studio)
    length = studio.training_length_in_s
    with gradio.Blocks(title=TITLE, analytics_enabled=False, fill_width=False) as blocks:
        gradio.Markdown(f"# {TITLE}\n{html.escape(studio.model)}, {html.escape(studio.pipeline.dtype)}")
        gallery = gradio.State([])
        fields: dict[str, Any] = {}
        with gradio.Row():
            with gradio.Column(min_width=320):
                fields["prompt"] = gradio.Textbox(label="Prompt", info="What to hear", lines=2, autofocus=True)
                fields["negative_prompt"] = gradio.Textbox(label="Negative prompt", info="What not to hear")
                with gradio.Row():
                    fields["seconds"] = gradio.Number(
                        label="Seconds",
                        info=f"0: {length:g}, or all that is given" if length else None,
                        value=0,
                        minimum=0,
                    )
                    fields["quality"] = gradio.Dropdown(["default", *QUALITIES], value="default", label="Quality")
                with gradio.Row():
                    fields["seed"] = gradio.Number(label="Seed", value=0, precision=0, minimum=0, maximum=_HIGHEST_SEED)
                    fields["waveforms"] = gradio.Number(label="Waveforms", value=1, precision=0, minimum=1, maximum=16)
                    fields["first_waveform"] = gradio.Number(label="First waveform", value=0, precision=0, minimum=0)
                fields["loop"] = gradio.Checkbox(label="Loop: the end runs on into the beginning")
                with gradio.Accordion("Several prompts along the sound", open=False):
                    fields["timeline"] = gradio.Textbox(
                        label="Timeline", info="0:rain, 20:rain and thunder, 40:birds; in the place of the prompt"
                    )
                with gradio.Accordion("A sound to begin with", open=False) as beginning:
                    fields["audio"] = gradio.Audio(
                        label="Sound", type="filepath", sources=["upload", "microphone"], editable=False
                    )
                    fields["use"] = gradio.Radio(["Vary", "Fill", "Continue"], value="Vary", label="What to do with it")
                    fields["strength"] = gradio.Slider(
                        0.0, 1.0, 0.6, step=0.05, label="Strength", info="of Vary: 0 leaves it, 1 makes all anew"
                    )
                    fields["spans"] = gradio.Textbox(label="Seconds to fill", info="of Fill: 3:7 or 3:7,9:12")
                    given = gradio.Image(label="The sound, and what is filled", interactive=False, buttons=[])
                    trouble = gradio.HTML()
            with gradio.Column(min_width=320):
                with gradio.Row():
                    make = gradio.Button("Make", variant="primary", min_width=80)
                    stop = gradio.Button("Stop", variant="stop", min_width=80)
                    estimate = gradio.Button("Estimate", min_width=80)
                status = gradio.HTML(elem_id="status")
                chosen = gradio.Radio([], label="Made so far", type="value")
                sound = gradio.Audio(label="Sound", interactive=False, type="filepath", buttons=["download"])
                picture = gradio.Image(
                    label="Waveform and spectrogram", interactive=False, buttons=["download", "fullscreen"]
                )
                with gradio.Row():
                    buttons = {
                        gradio.Button("Make again", min_width=80): None,
                        gradio.Button("Vary it", min_width=80): "Vary",
                        gradio.Button("Continue it", min_width=80): "Continue",
                    }
                files = gradio.File(label="Files, with what they were made of", interactive=False)
                with gradio.Accordion("The same elsewhere", open=False):
                    command = gradio.Code(label="Command line", language="shell", interactive=False)
                    program = gradio.Code(label="Python", language="python", interactive=False)
        inputs = [fields[name] for name in _FIELDS]
        device = {"concurrency_id": "device", "concurrency_limit": 1}

        waiting = make.click(page.begin, None, status, queue=False, api_name="begin")
        waiting.then(page.make, [gallery, *inputs], [status, gallery, chosen], api_name="make", **device)
        stop.click(page.stop, None, status, queue=False, api_name="stop")
        estimate.click(page.estimate, inputs, status, api_name="estimate", **device)
        results = [sound, picture, files, command, program]
        chosen.change(page.show, [gallery, chosen], results, api_name="show")
        for button, use in buttons.items():
            button.click(
                functools.partial(page.again, use=use),
                [gallery, chosen],
                [*inputs, beginning, status],
                api_visibility="private",
            )
        for event in (fields["audio"].change, fields["spans"].change, fields["use"].change):
            event(
                page.mark, [fields["audio"], fields["use"], fields["spans"]], [given, trouble], api_visibility="private"
            )
    return blocks


def wish_of(values: tuple[Any, ...]) -> Wish:
    """The wish that the fields of the page say, in their order.

    Raises:
        Refused: when a field holds what it cannot.
    """
    named = dict(zip(_FIELDS, values, strict=True))
    named["quality"] = named["quality"] if named["quality"] in QUALITIES else None
    try:
        for name in ("seed", "waveforms", "first_waveform"):
            named[name] = int(named[name] or 0)
        seconds = named["seconds"]
        named["seconds"] = float(seconds) if seconds not in (None, "", 0) else None
        named["strength"] = float(named["strength"])
        for name in ("prompt", "negative_prompt", "timeline", "spans"):
            named[name] = str(named[name] or "")
    except (TypeError, ValueError) as error:
        raise Refused(str(error)) from None
    return Wish(**named)


def listed(gallery: list[Made]) -> Any:
    """The lines of the gallery, the last one chosen."""
    choices = [(f"{number + 1}. {made.title}", number) for number, made in enumerate(gallery)]
    return gradio.Radio(choices=choices, value=len(gallery) - 1)


def said(text: str) -> str:
    """A line of the status."""
    return f'<div role="status">{html.escape(text)}</div>'


def refused(text: str) -> str:
    """A line that says why not."""
    return f'<div role="alert" class="refused">{html.escape(text)}</div>'


def progress(step: Step) -> str:
    """A line and a bar."""
    left = "" if step.seconds_left is None else f", {duration(step.seconds_left)} left, then decoding"
    left = ", decoding" if step.done == step.steps else left
    return (
        f'<div role="status">Step {step.done} of {step.steps}{left}'
        f'<progress value="{step.done}" max="{step.steps}"></progress></div>'
    )


def serve(studio: Studio, *, port: int | None = None, inbrowser: bool = False) -> str:
    """Open the page on this machine alone.

    Args:
        studio: what makes the sounds.
        port: to listen at; the first free one from 7860 on unless given.
        inbrowser: open it in the user's browser.

    Returns:
        Its address.

    Raises:
        OSError: when the port is taken.
    """
    blocks = build(studio)
    theme = gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    _, address, _ = blocks.queue(default_concurrency_limit=4, max_size=32).launch(
        server_name="127.0.0.1",
        server_port=port,
        share=False,
        inbrowser=inbrowser,
        quiet=True,
        prevent_thread_lock=True,
        show_error=False,
        allowed_paths=[],
        max_file_size="200mb",
        footer_links=[],
        ssr_mode=False,
        theme=theme,
        css=_STYLE,
    )
    return address
