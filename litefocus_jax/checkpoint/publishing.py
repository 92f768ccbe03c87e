"""A model of one's own on the Hugging Face hub, with a card that says what it was made of and under which licence."""

import dataclasses
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.hub import hub_model
from litefocus_jax.checkpoint.store import BUNDLED_FOLDER, BUNDLED_MODEL
from litefocus_jax.system.files import expanded

CARD = "README.md"
"""Name of the card in a folder, as the hub has it."""

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")
_BUNDLED_LICENCE = "apache-2.0"  # of this package, which the bundled model is a part of


class PublishingError(CheckpointError):
    """A model cannot be put on the hub."""


@dataclasses.dataclass(frozen=True)
class Publication:
    """Where a model is to be published, and what its card says.

    Attributes:
        repo_id: ``user/name`` on the hub.
        base: the model that it was trained from, as it was asked for.
        licence: its licence, in the hub's spelling, such as ``"cc-by-nc-sa-4.0"``: that of the base, unless another one
            was given.
        is_adapter: whether it is a low-rank adapter alone.
        facts: of the training, by name, for a table.
        prompt: a text that it was trained on, for an example.
    """

    repo_id: str
    base: str
    licence: str
    is_adapter: bool
    facts: Mapping[str, Any]
    prompt: str


def check_repo_id(repo_id: str) -> None:
    """Check that a name is one that the hub can have.

    Raises:
        PublishingError: when it is not ``user/name``.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo_id)
        is_name = "/" in repo_id  # the hub's own models have no user
    except HFValidationError:
        is_name = False
    if not is_name:
        raise PublishingError(f"{repo_id!r} is no name on the hub; expected USER/NAME, as in jane/rain-on-tents")


def check_login(client: Any = None) -> None:
    """Check, before hours of training, that somebody is logged in to the hub.

    Args:
        client: a ``huggingface_hub.HfApi``; a new one unless given.

    Raises:
        PublishingError: when nobody is, or the hub cannot be asked.
    """
    try:
        (client or _client()).whoami()
    except Exception as error:  # the hub's client passes on the errors of its transport, whichever that is
        raise PublishingError(
            f"the hub does not know who publishes: {type(error).__name__}: {_first_line(error)}. Log in with "
            "`hf auth login`, or set HF_TOKEN, and see that HF_HUB_OFFLINE is not set"
        ) from error


def licence_of(base: str, client: Any = None) -> str:
    """The licence of a model, as its card names it.

    Args:
        base: ``"foley"``, a folder, or an id on the hub.
        client: a ``huggingface_hub.HfApi``; a new one unless given.

    Raises:
        PublishingError: when its card does not say, or there is none.
    """
    folder = expanded(base)
    is_bundled = folder.resolve() == BUNDLED_FOLDER.resolve() if folder.exists() else base == BUNDLED_MODEL
    if is_bundled:
        return _BUNDLED_LICENCE
    if folder.is_dir():
        licence = _licence_of_folder(folder)
    elif (model := hub_model(base)) is not None:
        try:
            card = (client or _client()).model_info(model.repo_id, revision=model.revision).card_data
        except Exception as error:
            raise PublishingError(
                f"{base}: its licence cannot be read from the hub: {type(error).__name__}: {_first_line(error)}. Say "
                "which it is (licence, --license)"
            ) from error
        licence = None if card is None else card.get("license")
    else:
        licence = None
    if not isinstance(licence, str):
        raise PublishingError(
            f"{base} does not say under which licence it stands, which holds for what is trained from it; say which it "
            "is (licence, --license), as in cc-by-nc-sa-4.0"
        )
    return check_licence(licence)


def check_licence(licence: str) -> str:
    """The licence itself, where it is spelt as the hub does.

    Raises:
        PublishingError: when it is not.
    """
    if not _LICENCE.fullmatch(licence):
        raise PublishingError(f"licence = {licence!r}; expected the hub's spelling, as in cc-by-4.0 or apache-2.0")
    return licence


def model_card(publication: Publication) -> str:
    """The card: what the hub indexes, the base with its licence, what was trained, and how to make sound."""
    from huggingface_hub import ModelCardData

    folder = expanded(publication.base)
    base = None if folder.exists() or publication.base == BUNDLED_MODEL else hub_model(publication.base)
    data = ModelCardData(
        license=publication.licence,
        base_model=None if base is None else base.repo_id,
        library_name="litefocus-jax",
        pipeline_tag="text-to-audio",
        tags=["audioldm2", "jax", *(["lora"] if publication.is_adapter else [])],
    )
    name = publication.repo_id.partition("/")[2]
    what = "A low-rank adapter (LoRA) for" if publication.is_adapter else "A model trained further from"
    # Of a folder its name alone: where it lies is nobody's business.
    base_name = base.repo_id if base else folder.absolute().name
    origin = f"[{base_name}]({base.address})" if base else base_name
    rows = "\n".join(f"| {label} | {_cell(value)} |" for label, value in publication.facts.items())
    use = f"--lora {name}" if publication.is_adapter else f"--model {publication.repo_id}"
    download = f"hf download {publication.repo_id} --local-dir {name}\n" if publication.is_adapter else ""
    model = f" --model {base_name}" if publication.is_adapter else ""
    prompt = shlex.quote(re.sub(r"[^\w .,'-]", " ", publication.prompt))
    return f"""---
{data.to_yaml().strip()}
---

# {name}

{what} {origin}, which makes sound from text.

The base stands under the licence **{publication.licence}**, which holds for this too unless its owners say otherwise.

## Use

```bash
{download}litefocus-jax generate {prompt}{model} {use}
```

## Training

| | |
| --- | --- |
{rows}
"""


def publish(folder: Path, publication: Publication, client: Any = None) -> str:
    """Put a folder on the hub, with its card; a repository that exists gets another commit.

    Args:
        folder: of the model, or of the adapter.
        publication: where, and what the card says.
        client: a ``huggingface_hub.HfApi``; a new one unless given.

    Returns:
        The address of its page.

    Raises:
        PublishingError: when that fails; the folder is as it was, and the message says how to try again.
    """
    client = client or _client()
    try:
        address = str(client.create_repo(publication.repo_id, exist_ok=True))
        client.upload_file(
            path_or_fileobj=model_card(publication).encode(),
            path_in_repo=CARD,
            repo_id=publication.repo_id,
            commit_message="Say what this is",
        )
        client.upload_folder(repo_id=publication.repo_id, folder_path=folder, commit_message="Add the weights")
    except Exception as error:
        raise PublishingError(
            f"{folder} could not be published as {publication.repo_id}: {type(error).__name__}: {_first_line(error)}. "
            f"It is whole on this disk; try again with: hf upload {publication.repo_id} {folder}"
        ) from error
    return address


def _client() -> Any:
    from huggingface_hub import HfApi  # slow to import

    return HfApi(library_name="litefocus-jax")


def _licence_of_folder(folder: Path) -> Any:
    from huggingface_hub import ModelCard

    if not (folder / CARD).exists():
        return None
    try:
        return ModelCard.load(folder / CARD, ignore_metadata_errors=True).data.get("license")
    except Exception as error:  # the errors of its YAML library too
        raise PublishingError(f"{folder / CARD} is no model card: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0].rstrip(".")


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
