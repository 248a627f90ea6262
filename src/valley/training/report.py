"""What a run was, to look at: report.html with curves and a few answers before and after, and report.png."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from valley.conversation import Conversation, Text
from valley.errors import ValleyError
from valley.model.processing_valley import ValleyProcessor
from valley.training.dataset import Source, uncounted
from valley.training.labelling import typed_messages
from valley.training.media import Sample

MAX_NEW_TOKENS = 48
_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#222;background:#fff}table{border-collapse:collapse;width:100%}
td,th{border:1px solid #ccc;padding:.4rem;text-align:left;vertical-align:top}
img{max-width:100%}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}td,th{border-color:#444}}"""


@torch.inference_mode()
def sample_answers(
    model: Any,  # noqa: ANN401
    processor: ValleyProcessor,
    sources: Sequence[Source],
    *,
    num_samples: int,
) -> list[dict[str, str]]:
    """Ask the first question of a few samples of all sources; greedy, so that runs can be compared."""
    was_training = model.training
    model.eval()
    told = []
    for number in range(num_samples if sources else 0):
        source = uncounted(sources[number % len(sources)])
        index = (number // len(sources)) * max(1, len(source) // max(1, num_samples))
        if index >= len(source):
            continue
        try:
            asked = _question(source.sample(index))
        except ValleyError:
            continue  # a bad medium is the run's to count
        if asked is None:
            continue
        sample, question, wanted = asked
        inputs = processor.apply_chat_template(
            typed_messages(sample.conversation, sample),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
        ).to(model.device)
        ids = model.generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False, use_cache=True)
        said = processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        told.append({"question": question, "wanted": wanted, "said": said.strip()})
    model.train(was_training)
    return told


def _question(sample: Sample) -> tuple[Sample, str, str] | None:
    """Cut a sample behind its first question; None where it has none."""
    messages = sample.conversation.messages
    first = next((i for i, m in enumerate(messages) if m.role == "assistant"), None)
    if not first or sample.unreadable:
        return None
    asked = Conversation(messages[:first], sample.conversation.language, sample.conversation.id)
    if len(asked.media) < len(sample.media):
        sample = Sample(asked, sample.media[: len(asked.media)], sample.subtitles[: len(asked.media)])
    words = " ".join(p.text for m in asked.messages for p in m.parts if isinstance(p, Text))
    return Sample(asked, sample.media, sample.subtitles), words.strip(), messages[first].text


def write_report(
    folder: Path,
    *,
    curve: Sequence[Mapping[str, Any]],
    record: Mapping[str, Any],
    before: Sequence[Mapping[str, str]],
    after: Sequence[Mapping[str, str]],
) -> None:
    """Write report.png and report.html into a run's folder."""
    picture = _draw(curve)
    (folder / "report.png").write_bytes(picture)
    rows = "".join(
        f"<tr><td>{html.escape(old['question'])}</td><td>{html.escape(old['wanted'])}</td>"
        f"<td>{html.escape(old['said'])}</td><td>{html.escape(new['said'])}</td></tr>"
        for old, new in zip(before, after, strict=False)
    )
    facts = {
        "steps": record["num_steps"],
        "seconds": round(record["seconds"], 1),
        "loss": f"{record['first_loss']} → {record['last_loss']}",
        "media that could not be read": f"{record['media']['unreadable']} of {record['media']['read']}",
        "trained numbers": json.dumps(record["trained"]),
    }
    table = "".join(
        f"<tr><th>{html.escape(k)}</th><td>{html.escape(str(v))}</td></tr>" for k, v in facts.items()
    )
    answers = (
        "<h2>Answers</h2><table><tr><th>question</th><th>in the data</th><th>before</th><th>after</th></tr>"
        f"{rows}</table>"
        if rows
        else ""
    )
    recipe = html.escape(json.dumps(record["config"], indent=1, ensure_ascii=False))
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(folder.name.removesuffix('.unfinished'))}</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(folder.name.removesuffix('.unfinished'))}</h1><table>{table}</table>"
        f"<h2>Curves</h2><img alt='loss, learning rates and tokens per second over the steps' "
        f"src='data:image/png;base64,{base64.b64encode(picture).decode()}'>{answers}"
        f"<h2>Recipe</h2><pre>{recipe}</pre></html>"
    )
    (folder / "report.html").write_text(page, encoding="utf-8")


def _draw(curve: Sequence[Mapping[str, Any]]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.4), layout="constrained")
    loss, rates, speed = figure.subplots(1, 3)
    steps = [line["step"] for line in curve]
    loss.plot(steps, [line["loss"] for line in curve])
    loss.set_title("loss")
    for part in sorted({p for line in curve for p in line["learning_rates"]}):
        rates.plot(steps, [line["learning_rates"].get(part) for line in curve], label=part)
    rates.set_title("learning rates")
    if curve:
        rates.legend(fontsize=7)
    for name, label in (("tokens_per_s", "all"), ("visual_tokens_per_s", "visual")):
        speed.plot(steps, [line.get(name) for line in curve], label=label)
    speed.set_title("tokens per second")
    speed.legend(fontsize=7)
    for axes in (loss, rates, speed):
        axes.set_xlabel("step")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    return file.getvalue()
