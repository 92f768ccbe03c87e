"""The Hugging Face hub: what names a model there, and what went wrong where one cannot be had."""

import dataclasses
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from litefocus_jax.checkpoint.errors import CheckpointError

_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^@\s]+))?")
_HOSTS = ("huggingface.co", "hf.co", "www.huggingface.co")
_OTHER_KINDS = {"datasets": "a data set", "spaces": "a space", "collections": "a collection", "papers": "a paper"}
_VIEWS = ("tree", "blob", "resolve", "raw", "commit", "commits")  # in an address, before a revision


@dataclasses.dataclass(frozen=True)
class HubModel:
    """A model on the hub.

    Attributes:
        repo_id: such as ``"cvssp/audioldm2"``.
        revision: branch, tag or commit; None for the main branch.
    """

    repo_id: str
    revision: str | None = None

    @property
    def address(self) -> str:
        """Its page."""
        return f"https://huggingface.co/{self.repo_id}"


def hub_model(source: str) -> HubModel | None:
    """What a text names on the hub: an id, an id with ``@`` and a revision, or the address of a page.

    >>> hub_model("https://huggingface.co/cvssp/audioldm2/tree/main")
    HubModel(repo_id='cvssp/audioldm2', revision='main')

    Returns:
        None where it is none of these.

    Raises:
        CheckpointError: for an address of the hub that is not that of a model.
    """
    text = source.strip()
    if (match := _ID.fullmatch(text)) and match["id"].split("/")[0].lower() not in _HOSTS:
        return HubModel(match["id"], match["revision"])
    if text.startswith("hf://"):
        path = text.removeprefix("hf://").removeprefix("models/")
        return (match := _ID.fullmatch(path)) and HubModel(match["id"], match["revision"])
    address = urlsplit(text if "://" in text else f"https://{text}")
    if (address.hostname or "").lower() not in (*_HOSTS, _own_endpoint()):
        return None
    parts = [part for part in address.path.split("/") if part]
    if parts and parts[0] in _OTHER_KINDS:
        raise CheckpointError(f"{source} is the address of {_OTHER_KINDS[parts[0]]}; expected that of a model")
    if parts[:1] == ["models"]:
        parts = parts[1:]
    repo_id = "/".join(parts[:2])
    if not _ID.fullmatch(repo_id):
        raise CheckpointError(
            f"{source} is not the address of a model; expected one such as https://huggingface.co/cvssp/audioldm2"
        )
    if len(parts) < 4 or parts[2] not in _VIEWS:
        return HubModel(repo_id)
    # A branch of a pull request is refs/pr/1; others have no slash unless it is written %2F.
    revision = "/".join(parts[3:6]) if parts[3] == "refs" else parts[3]
    return HubModel(repo_id, unquote(revision))


def _own_endpoint() -> str | None:
    return urlsplit(os.environ.get("HF_ENDPOINT", "")).hostname


def download_error(model: HubModel, folder: Path, error: Exception) -> CheckpointError:
    """What to tell a user whose model could not be had, with what to do.

    Args:
        model: what was asked for.
        folder: the same text read as a folder, which does not exist.
        error: from the hub's client, which passes on those of its transport, whichever that is.
    """
    what, advice = _diagnosis(model, error)
    message = [
        f"{model.repo_id!r} {what}.",
        f"  As a folder: {folder.absolute()} does not exist.",
        f"  As a hub id: {type(error).__name__}: {str(error).strip()}",
    ]
    return CheckpointError("\n".join([*message, *([f"  {advice}"] if advice else [])]))


def _diagnosis(model: HubModel, error: Exception) -> tuple[str, str | None]:
    """What happened, and what to do about it."""
    from huggingface_hub import errors

    status = getattr(getattr(error, "response", None), "status_code", None)
    if any(isinstance(each, errors.OfflineModeIsEnabled) for each in _chain(error)):
        return "is not in the hub's cache, and downloads are turned off", "Unset HF_HUB_OFFLINE to download it."
    log_in = "log in with `hf auth login`, or set HF_TOKEN"
    if isinstance(error, errors.GatedRepoError):
        return "is gated: its owners ask you to agree first", f"Ask for access at {model.address}, then {log_in}."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"has no revision {model.revision or 'main'!r}", f"Its branches and tags stand at {model.address}."
    if isinstance(error, errors.RepositoryNotFoundError):
        return "was not found", f"Check the spelling; if it is private, {log_in}."
    if isinstance(error, errors.HFValidationError):
        return "was not found", "Expected an id such as 'cvssp/audioldm2'."
    if status in (401, 403):
        return "may not be downloaded", f"If you have access at {model.address}, {log_in}."
    if status == 404:
        return "was not found", f"Check the spelling; if it is private, {log_in}."
    if any(getattr(each, "errno", None) in (errno.ENOSPC, errno.EDQUOT) for each in _chain(error)):
        return "could not be saved: the disk is full", "Make room, or point HF_HOME to another disk."
    if any(isinstance(each, PermissionError) for each in _chain(error)):
        return "could not be saved", "Point HF_HOME to a folder that you may write."
    if isinstance(error, errors.LocalEntryNotFoundError):
        return "could not be reached", "Check the connection and try again; what is here already is kept."
    return "could not be downloaded", "Try again: a download that was cut goes on where it stopped."


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and those that it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
