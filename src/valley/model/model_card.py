"""The README of a checkpoint: what it is, what it was made of, under which licences, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCard, ModelCardData

from .configuration_valley import ValleyConfig

CARD_NAME = "README.md"
PIPELINE_TAG = "video-text-to-text"
LIMITS = """\
- It sees the frames that were sampled (see `num_frames`), and nothing between them; it hears nothing.
- It makes mistakes, also fluent ones: check what matters, and do not judge people by it.
- It knows what its data showed: languages, kinds of footage, kinds of questions.
"""
USAGE = """\
```python
import valley  # or trust_remote_code=True below
from transformers import AutoModelForImageTextToText, AutoProcessor

model = AutoModelForImageTextToText.from_pretrained("{name}")
processor = AutoProcessor.from_pretrained("{name}")
content = [{{"type": "video", "path": "clip.mp4"}}, {{"type": "text", "text": "What happens, and when?"}}]
inputs = processor.apply_chat_template(
    [{{"role": "user", "content": content}}], add_generation_prompt=True, tokenize=True, return_dict=True
)
said = model.generate(**inputs, max_new_tokens=128)[0, inputs["input_ids"].shape[1] :]
print(processor.decode(said, skip_special_tokens=True))
```
"""


@dataclass(frozen=True)
class Ingredient:
    """Something a checkpoint was made of.

    Attributes:
        name: of a dataset or a base model; a hub id where it has one.
        licence: an SPDX id or a name; None where nobody said.
    """

    name: str
    licence: str | None = None


@dataclass(frozen=True)
class Provenance:
    """What is known of how a checkpoint came to be.

    Attributes:
        bases: models it began with.
        datasets: what it was trained on.
        strictest: the licence among all of these that allows least; None where one of them is not known.
        notes: further lines, such as the recipe and hashes.
    """

    bases: tuple[Ingredient, ...] = ()
    datasets: tuple[Ingredient, ...] = ()
    strictest: str | None = None
    notes: tuple[str, ...] = ()


def make_card(
    config: ValleyConfig, provenance: Provenance | None = None, *, name: str = "FOLDER"
) -> ModelCard:
    """Write a checkpoint's card.

    Args:
        config: of the checkpoint.
        provenance: what is known of its making; without it the card says that nothing is.
        name: the folder or hub id under which it is loaded.
    """
    known = provenance or _from_parts(config)
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=PIPELINE_TAG,
        tags=["valley", "video", "multimodal", "custom_code"],
        license=known.strictest,
        base_model=[b.name for b in known.bases if _is_hub_id(b.name)] or None,
    )
    body = "\n".join(
        [
            f"# {name}\n",
            "A Valley video assistant: it takes clips, pictures and text, and answers in words.\n",
            _table(config),
            "\n## Use\n",
            USAGE.format(name=name),
            "## Data and licences\n",
            *(_ingredients("Base model", known.bases) or ["Base models: not recorded."]),
            *(_ingredients("Data", known.datasets) or ["Data: not recorded; ask whoever trained it."]),
            f"\nStrictest of these terms: {known.strictest or 'not known'}.",
            *known.notes,
            "\n## Limits\n",
            LIMITS,
        ]
    )
    return ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}")


def complete_card(folder: Path, config: ValleyConfig, *, name: str) -> None:
    """Make sure that a folder which is about to be published has a card that says what it is.

    The card of the folder the model was loaded from goes along; one that transformers made up is replaced.
    """
    path, own = folder / CARD_NAME, Path(config.name_or_path or ".") / CARD_NAME
    card: Any = ModelCard.load(path) if path.is_file() else None
    if card is not None and card.data.pipeline_tag is not None:
        return
    kept: Any = ModelCard.load(own) if config.name_or_path and own.is_file() else make_card(config, name=name)
    for tag in [] if card is None else card.data.tags or []:
        kept.data.tags = list(dict.fromkeys([*(kept.data.tags or []), tag]))
    kept.save(path)


def _from_parts(config: ValleyConfig) -> Provenance:
    parts = (config.vision_config._name_or_path, config.text_config._name_or_path)
    return Provenance(bases=tuple(Ingredient(name) for name in parts if name))


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def _ingredients(kind: str, of: tuple[Ingredient, ...]) -> list[str]:
    return [f"- {kind}: {i.name} (licence: {i.licence or 'not known'})" for i in of]


def _table(config: ValleyConfig) -> str:
    rows: list[tuple[str, Any]] = [
        ("vision tower", f"{config.vision_config.model_type}, {config.num_patches} patches"),
        ("projector", config.projector_type),
        ("temporal pooling", f"{config.temporal_pooling} {config.temporal_pooling_config or ''}".strip()),
        ("language model", config.text_config.model_type),
        ("frames of a clip", config.num_frames),
    ]
    return "\n".join(["| part | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
