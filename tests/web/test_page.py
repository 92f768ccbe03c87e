"""The page, through its own client and in a browser."""

import asyncio
import gc
import json
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

gradio = pytest.importorskip("gradio", reason="the page needs the extra web")
gradio_client = pytest.importorskip("gradio_client")

from litefocus_jax.web.page import serve  # noqa: E402
from tests.support.sounds import tone, write_sound  # noqa: E402
from tests.web.studio import tone_studio  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # of gradio and what it runs on
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# The fields of the page in their order, as a client sends them.
WISH = ["rain", "", "", 0.4, "default", 0, 1, 0, False, None, "Vary", 0.6, ""]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    studio = tone_studio(0.06)
    yield serve(studio)
    gradio.close_all(verbose=False)
    studio.close()
    # Gradio never closes the event loops that it makes. Their warnings are to come here, and not at whatever test
    # the garbage collector next runs in.
    asyncio.set_event_loop(None)
    gc.collect()


def client(address: str) -> Any:
    return gradio_client.Client(address, verbose=False, analytics_enabled=False)


def wish(**changes: Any) -> list[Any]:
    names = ("prompt", "negative", "timeline", "seconds", "quality", "seed", "waveforms", "first", "loop", "audio")
    return [changes.get(name, value) for name, value in zip((*names, "use", "strength", "spans"), WISH, strict=True)]


def make(user: Any, **changes: Any) -> tuple[str, list[str]]:
    """The last status of a wish, and the lines of the gallery."""
    user.predict(api_name="/begin")
    status, listed = user.predict(*wish(**changes), api_name="/make")
    return status, [line for line, _ in listed.get("choices", [])]


def test_it_listens_to_this_machine_alone(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")


def test_two_users_at_a_time_both_get_their_sounds_and_a_gallery_of_their_own(address: str) -> None:
    found: dict[str, Any] = {}

    def use(prompt: str) -> None:
        found[prompt] = make(client(address), prompt=prompt, waveforms=2)

    users = [threading.Thread(target=use, args=(prompt,)) for prompt in ("rain", "wind")]
    for user in users:
        user.start()
    for user in users:
        user.join(60)
    for prompt in ("rain", "wind"):
        status, lines = found[prompt]
        assert "Made 2 sounds" in status
        assert lines == [f"1. {prompt} (seed 0)", f"2. {prompt} (seed 0, waveform 1)"]


def test_the_stop_button_stops_and_what_waits_for_it_is_not_begun(address: str) -> None:
    user = client(address)
    user.predict(api_name="/begin")
    jobs = [user.submit(*wish(prompt="rain"), api_name="/make")]
    while not jobs[0].outputs():
        time.sleep(0.05)
    jobs.append(user.submit(*wish(prompt="wind"), api_name="/make"))
    user.predict(api_name="/stop")
    assert all("Stopped" in job.result(timeout=30)[0] for job in jobs)
    assert len(jobs[0].outputs()) < 20
    assert "Made 1 sound" in make(user)[0]


def test_progress_is_told_with_the_time_that_is_left(address: str) -> None:
    user = client(address)
    user.predict(api_name="/begin")
    job = user.submit(*wish(), api_name="/make")
    job.result(timeout=30)
    told = [status for status, _ in job.outputs()]
    assert any("Step 12 of 20, 1 s left" in status for status in told)


def test_what_cannot_be_made_is_said_on_the_page(address: str) -> None:
    status, lines = make(client(address), prompt="<b>rain</b>", seconds=500)
    assert ('role="alert"' in status, "memory" in status, lines) == (True, True, [])
    assert "about 4 s" in client(address).predict(*wish(), api_name="/estimate")


def test_an_upload_is_used_and_no_other_file_of_the_machine_is(address: str, tmp_path: Path) -> None:
    write_sound(tmp_path / "in.wav", tone(0.64))
    user = client(address)
    uploaded = gradio_client.handle_file(str(tmp_path / "in.wav"))
    assert "Made 1 sound" in make(user, audio=uploaded, seconds=0)[0]
    for path in ("/etc/passwd", __file__, str(tmp_path / "in.wav")):
        for prefix in ("gradio_api/file=", "file=", "static/../../"):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(address + prefix + path)
        values = wish(audio={"path": path, "meta": {"_type": "gradio.FileData"}})
        body = json.dumps({"data": values}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(address + "gradio_api/call/estimate", body, headers)
        event = json.load(urllib.request.urlopen(request))["event_id"]
        told = urllib.request.urlopen(f"{address}gradio_api/call/estimate/{event}").read().decode()
        assert "event: error" in told
        assert "memory" not in told


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_sound_is_made_and_continued_by_keyboard_alone_in_a_browser_as_narrow_as_a_phone(
    address: str, tmp_path: Path
) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="drives the browser")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        errors: list[str] = []
        elsewhere: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: elsewhere.append(request.url))
        page.goto(address)
        page.get_by_role("button", name="Make", exact=True).wait_for()
        page.keyboard.type("rain on a roof")  # the prompt has the focus
        press(page, "Make")
        page.get_by_text("Made 1 sound").wait_for()
        page.get_by_text("1. rain on a roof (seed 0)").wait_for()
        press(page, "Continue it")
        page.get_by_text("Continue rain on a roof (seed 0): press Make").wait_for()
        press(page, "Make")
        page.get_by_text("2. rain on a roof (seed 0)").wait_for()
        page.screenshot(path=tmp_path / "page.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert errors == []
        assert [url for url in elsewhere if not url.startswith((address, "data:", "blob:"))] == []
        browser.close()


def press(page: Any, name: str) -> None:
    """Go from where the focus is to a button, and press it."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText.trim()") == name:
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"no way by Tab to {name}")
