"""Models on the hub: what names one, and what a user is told where it cannot be had; nothing is downloaded."""

from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import errors

from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.hub import HubModel, hub_model
from litefocus_jax.checkpoint.store import local_folder

ADDRESS = "https://huggingface.co/cvssp/audioldm2"


@pytest.mark.parametrize(
    ("source", "revision"),
    [
        ("cvssp/audioldm2", None),
        (" cvssp/audioldm2 ", None),
        ("cvssp/audioldm2@v1", "v1"),
        (ADDRESS, None),
        (f"{ADDRESS}/", None),
        (f"{ADDRESS}?library=diffusers#files", None),
        (f"{ADDRESS}/tree/main", "main"),
        (f"{ADDRESS}/tree/main/unet", "main"),
        (f"{ADDRESS}/blob/0123abc/model_index.json", "0123abc"),
        (f"{ADDRESS}/tree/refs%2Fpr%2F3", "refs/pr/3"),
        (f"{ADDRESS}/tree/refs/pr/3", "refs/pr/3"),
        (f"{ADDRESS}/discussions", None),
        ("http://hf.co/cvssp/audioldm2", None),
        ("huggingface.co/cvssp/audioldm2", None),
        ("hf://cvssp/audioldm2@v1", "v1"),
    ],
)
def test_a_model_is_known_by_its_id_and_by_its_address(source: str, revision: str | None) -> None:
    assert hub_model(source) == HubModel("cvssp/audioldm2", revision)


@pytest.mark.parametrize("source", ["audioldm2", "a/b/c", "https://example.org/a/b", "", "C:\\models"])
def test_other_texts_name_no_model(source: str) -> None:
    assert hub_model(source) is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://huggingface.co/datasets/agkphysics/AudioSet", "is the address of a data set; expected that of a mod"),
        ("https://huggingface.co/cvssp", "is not the address of a model"),
        ("huggingface.co/cvssp", "is not the address of a model"),
    ],
)
def test_addresses_of_something_else_are_refused(source: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        local_folder(source)


def with_response(kind: type[Exception], status: int, message: str) -> Exception:
    """An error as the hub's client raises it for an answer of the server."""
    return kind(message, response=SimpleNamespace(status_code=status, headers={}, request=None))  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("error", "head", "advice"),
    [
        (with_response(errors.GatedRepoError, 403, "gated"), "is gated", "Ask for access at https://huggingface.co/o"),
        (
            with_response(errors.RepositoryNotFoundError, 404, "404"),
            "was not found",
            "Check the spelling; if it is pri",
        ),
        (with_response(errors.RevisionNotFoundError, 404, "404"), "has no revision 'v9'", "Its branches and tags"),
        (with_response(errors.HfHubHTTPError, 401, "no"), "may not be downloaded", "hf auth login"),
        (with_response(errors.HfHubHTTPError, 503, "busy"), "could not be downloaded", "Try again"),
        (errors.LocalEntryNotFoundError("no connection"), "could not be reached", "Check the connection"),
        (errors.OfflineModeIsEnabled("off"), "is not in the hub's cache", "Unset HF_HUB_OFFLINE"),
        (OSError("Consistency check failed"), "could not be downloaded", "goes on where it stopped"),
        (ConnectionResetError("peer closed"), "could not be downloaded", "goes on where it stopped"),
        (OSError(28, "No space left on device"), "could not be saved: the disk is full", "Make room"),
    ],
)
def test_errors_of_the_hub_are_told_apart_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, error: Exception, head: str, advice: str
) -> None:
    def download(*arguments: Any, **options: Any) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(CheckpointError) as raised:
        local_folder("org/name", revision="v9")
    message = str(raised.value)
    assert message.startswith(f"'org/name' {head}")
    assert advice in message


def test_an_address_is_downloaded_by_its_id_and_revision(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    asked = []

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((name, revision))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert local_folder(f"{ADDRESS}/tree/v1") == tmp_path
    local_folder(ADDRESS, revision="v2")
    assert asked == [("cvssp/audioldm2", "v1"), ("cvssp/audioldm2", "v2")]
    with pytest.raises(ValueError, match=r"revision = 'v2', but .* names the revision 'v1'"):
        local_folder(f"{ADDRESS}/tree/v1", revision="v2")
