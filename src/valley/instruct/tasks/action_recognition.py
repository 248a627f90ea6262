"""Action recognition: what somebody does, asked openly; and with four choices, three from other clips.

The three wrong choices are actions of other clips of the same run and language, so that nothing in their
wording tells them from the right one.
"""

from collections.abc import Mapping
from typing import Any

from valley.instruct.evidence import Evidence
from valley.instruct.task import ReplyError
from valley.instruct.tasks._written import WrittenTask, is_video_with_words


def _action(reply: Mapping[str, Any], evidence: Evidence) -> Mapping[str, Any]:
    del evidence
    action = reply.get("action")
    if not isinstance(action, str) or not action.strip():
        raise ReplyError("schema", '"action": want a short phrase')
    return {"action": action.strip().rstrip(".。")}


TASK = WrittenTask(
    __file__,
    "what somebody does, openly and with four choices",
    "one turn about the main action. The person asks what somebody or something in the video is doing; the "
    "assistant answers with one sentence. Give the action also as action: a phrase of two to six words in "
    "{language} that begins with the verb and names no person, such as one would put on a button.",
    is_video_with_words,
    properties={"action": {"type": "string"}},
    details=_action,
    max_tokens=400,
)
