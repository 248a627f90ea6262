"""A local task of the harness: questions about rendered clips, the right answer counts."""

from typing import Any


def to_messages(doc: dict[str, Any], _: Any = None) -> list[dict[str, Any]]:
    video = {"type": "video", "url": doc["video"]}
    return [{"role": "user", "content": [video, {"type": "text", "text": doc["question"]}]}]


def to_visual(doc: dict[str, Any]) -> list[str]:
    return [doc["video"]]


def to_text(doc: dict[str, Any], _: Any = None) -> str:
    return doc["question"]


def results(doc: dict[str, Any], answers: list[str]) -> dict[str, float]:
    return {"right": float(answers[0].strip() == doc["answer"])}
