"""What is published says what it is: the card that `push_to_hub` writes, without a hub."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import transformers.modeling_utils
import transformers.utils.hub as hub
from huggingface_hub import ModelCard
from huggingface_hub.errors import EntryNotFoundError

from valley.model.model_card import Ingredient, Provenance, make_card
from valley.model.modeling_valley import ValleyForConditionalGeneration


class FakeHub:
    """Keeps what is committed to it."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def create_repo(self, repo_id: str, **_: object) -> SimpleNamespace:
        return SimpleNamespace(repo_id=repo_id)

    def create_commit(self, operations, **_: object) -> str:
        self.files |= {o.path_in_repo: Path(o.path_or_fileobj).read_bytes() for o in operations}
        return "done"


@pytest.fixture
def fake_hub(monkeypatch) -> FakeHub:
    fake = FakeHub()

    def no_card(*_: object, **__: object) -> ModelCard:
        raise EntryNotFoundError("the repository is new")

    for module in (hub, transformers.modeling_utils):
        monkeypatch.setattr(module, "hf_api", lambda: fake)
    monkeypatch.setattr(
        hub, "ModelCard", SimpleNamespace(load=no_card, from_template=ModelCard.from_template)
    )
    return fake


@pytest.mark.parametrize("way", ["push_to_hub", "save_pretrained"])
def test_a_published_model_has_a_card(way: str, fake_hub, tiny_model, tmp_path: Path) -> None:
    if way == "push_to_hub":
        tiny_model.push_to_hub("somebody/tiny", tags=["mine"])
    else:
        tiny_model.save_pretrained(tmp_path / "tiny", push_to_hub=True, repo_id="somebody/tiny")
    assert {"config.json", "model.safetensors", "modeling_valley.py"} <= fake_hub.files.keys()
    card = ModelCard(fake_hub.files["README.md"].decode())
    assert card.data.pipeline_tag == "video-text-to-text"
    assert "valley" in card.data.tags
    assert ("mine" in card.data.tags) == (way == "push_to_hub")
    for heading in ("# somebody/tiny", "## Use", "## Data and licences", "## Limits"):
        assert heading in card.text


def test_the_card_of_the_folder_goes_along(fake_hub, tiny_checkpoint: Path, tmp_path: Path) -> None:
    model = ValleyForConditionalGeneration.from_pretrained(tiny_checkpoint)
    model.save_pretrained(tmp_path)
    known = Provenance((Ingredient("a/tower", "MIT"),), (Ingredient("my clips", "CC-BY-4.0"),), "CC-BY-4.0")
    make_card(model.config, known).save(tmp_path / "README.md")
    ValleyForConditionalGeneration.from_pretrained(tmp_path).push_to_hub("somebody/tiny")
    card = ModelCard(fake_hub.files["README.md"].decode())
    assert "Data: my clips (licence: CC-BY-4.0)" in card.text
    assert card.data.license == "CC-BY-4.0"
    assert card.data.base_model == ["a/tower"]
