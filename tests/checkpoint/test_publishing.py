"""What is put on the hub, by a client that only remembers it."""

import shlex
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from litefocus_jax.checkpoint.publishing import (
    CARD,
    Publication,
    PublishingError,
    check_licence,
    check_login,
    check_repo_id,
    licence_of,
    model_card,
    publish,
)
from tests.support.hub import Hub
from tests.support.models import tiny_checkpoint

BASE = "cvssp/audioldm2"


def publication(**changes: Any) -> Publication:
    facts = {"Sounds": "3 | of them", "Updates": 100}
    return Publication(**{
        "repo_id": "jane/tents", "base": BASE, "licence": "cc-by-nc-sa-4.0", "is_adapter": False, "facts": facts,
        "prompt": "rain on a tent's roof", **changes,
    })  # fmt: skip


def test_weights_and_a_card_are_put_on_the_hub(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    hub = Hub()
    assert publish(tmp_path, publication(), hub) == "https://huggingface.co/jane/tents"
    assert hub.repositories == ["jane/tents"]
    assert hub.files.keys() == {CARD, "model.json"}


@pytest.mark.parametrize("is_adapter", [False, True])
def test_the_card_names_base_licence_training_and_a_command(is_adapter: bool) -> None:
    card = ModelCard(model_card(publication(is_adapter=is_adapter)))
    assert (card.data.get("license"), card.data.get("base_model")) == ("cc-by-nc-sa-4.0", BASE)
    assert "**cc-by-nc-sa-4.0**" in card.text
    assert "| Sounds | 3 \\| of them |" in card.text
    assert ("lora" in card.data.get("tags")) is is_adapter
    use = f"--model {BASE} --lora tents" if is_adapter else "--model jane/tents"
    prompt = shlex.quote("rain on a tent's roof")
    assert f"litefocus-jax generate {prompt} {use}" in card.text


def test_where_a_folder_lies_is_not_in_the_card(tmp_path: Path) -> None:
    base = tmp_path / "my-base"
    base.mkdir()
    card = model_card(publication(base=str(base), is_adapter=True))
    assert "--model my-base --lora tents" in card
    assert str(tmp_path) not in card
    assert ModelCard(card).data.get("base_model") is None


def test_the_licence_is_that_of_the_base(tmp_path: Path) -> None:
    assert licence_of("foley") == "apache-2.0"
    assert licence_of(BASE, Hub({"license": "cc-by-nc-sa-4.0"})) == "cc-by-nc-sa-4.0"
    (tmp_path / CARD).write_text("---\nlicense: mit\n---\n# A model\n")
    assert licence_of(str(tmp_path)) == "mit"


def test_a_base_without_a_licence_is_asked_for_it(tmp_path: Path) -> None:
    (tmp_path / CARD).write_text("---\nlicense: [1\n---\n")
    with pytest.raises(PublishingError, match="is no model card"):
        licence_of(str(tmp_path))
    for source, hub in ((str(tiny_checkpoint()), None), (BASE, Hub()), (BASE, Hub({})), ("nowhere", None)):
        with pytest.raises(PublishingError, match=r"does not say under which licence.*--license"):
            licence_of(source, hub)


@pytest.mark.parametrize("name", ["tents", "jane/", "/tents", "jane/tents/more", "jane/../tents", "jane/a b"])
def test_what_is_no_name_on_the_hub_is_refused(name: str) -> None:
    with pytest.raises(PublishingError, match="expected USER/NAME"):
        check_repo_id(name)


def test_a_licence_is_spelt_as_on_the_hub() -> None:
    assert check_licence("cc-by-4.0") == "cc-by-4.0"
    with pytest.raises(PublishingError, match=r"licence = 'CC BY 4\.0'; expected the hub's spelling"):
        check_licence("CC BY 4.0")


def test_without_the_hub_what_was_made_stays_and_the_message_says_how_to_go_on(tmp_path: Path) -> None:
    """The tests are offline, and so is the hub's own client."""
    with pytest.raises(PublishingError, match=r"does not know who publishes: .*`hf auth login`, or set HF_TOKEN"):
        check_login()
    with pytest.raises(PublishingError, match="--license"):
        licence_of(BASE)
    with pytest.raises(PublishingError, match=rf"try again with: hf upload jane/tents {tmp_path}"):
        publish(tmp_path, publication())
