"""The clips that come with Valley, and what can be asked about them.

They lie in examples/ of a checkout; the wheel carries the same files as valley/assets/examples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from valley.conversation import Video, read_jsonl
from valley.errors import ConfigError

QUESTIONS = "questions.jsonl"


def examples_folder() -> Path | None:
    """Find the folder with questions.jsonl and clips; None where the package has none."""
    import valley

    package = Path(valley.__file__).parent
    for folder in (package / "assets" / "examples", package.parents[1] / "examples"):
        if (folder / QUESTIONS).is_file():
            return folder
    return None


def clip_files() -> list[Path]:
    """List the clips, by name."""
    folder = examples_folder()
    return sorted(folder.glob("clips/*.mp4")) if folder is not None else []


def page_examples() -> list[dict[str, Any]]:
    """List what the page offers: `{"id", "language", "clip": "push.mp4", "questions": [...]}`.

    Raises:
        ConfigError: the file of questions is not what this package was made with.
    """
    folder = examples_folder()
    if folder is None:
        return []
    offered = []
    for conversation in read_jsonl(folder / QUESTIONS):
        asked = [message for message in conversation.messages if message.role == "user"]
        clips = [Path(str(part.source)).name for part in asked[0].media if isinstance(part, Video)]
        if len(clips) != 1:
            raise ConfigError(f"{folder / QUESTIONS}: {conversation.id}: want one clip, got {len(clips)}")
        questions = [message.text.strip() for message in asked]
        offered.append(
            {
                "id": conversation.id,
                "language": conversation.language,
                "clip": clips[0],
                "questions": questions,
            }
        )
    return offered
