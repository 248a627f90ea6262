"""Multi-shot caption: what each shot shows, with the times at which it begins and ends."""

from valley.instruct.evidence import Evidence
from valley.instruct.tasks._written import WrittenTask, has_words


def _has_shots(evidence: Evidence) -> bool:
    return evidence.clip.kind == "video" and len(evidence.of_kind("shot")) >= 2 and has_words(evidence)


TASK = WrittenTask(
    __file__,
    "what each shot shows, with its times",
    "one turn. The person asks what is shown shot by shot; the assistant tells the shots in their order, "
    "one sentence each, and begins each with the shot's times in seconds as the facts of kind shot give "
    "them, such as '0.0-3.2 s: ...'. Every shot about which something is known is told; nothing is said "
    "about one of which nothing is known. List the ids of the shots and of the facts used.",
    _has_shots,
    max_tokens=1200,
)
