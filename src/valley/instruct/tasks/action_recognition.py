"""Action recognition: what somebody does, asked openly; and with four choices, three from other clips.

The three wrong choices are actions of other clips of the same run and language, so that nothing in their
wording tells them from the right one.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from valley.instruct.evidence import Evidence
from valley.instruct.task import ReplyError
from valley.instruct.tasks._written import WrittenTask, is_video_with_words
from valley.language_id import primary


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

CHOICE_QUESTIONS: Mapping[str, str] = {
    "ar": "أي من هذه الأفعال يظهر في الفيديو؟",
    "de": "Welche dieser Handlungen ist im Video zu sehen?",
    "en": "Which of these actions is seen in the video?",
    "es": "¿Cuál de estas acciones se ve en el video?",
    "fr": "Laquelle de ces actions voit-on dans la vidéo ?",
    "hi": "वीडियो में इनमें से कौन सी क्रिया दिखती है?",
    "it": "Quale di queste azioni si vede nel video?",
    "ja": "動画に映っている動作は次のうちどれですか。",
    "ko": "영상에 나오는 동작은 다음 중 무엇인가요?",
    "pt": "Qual destas ações se vê no vídeo?",
    "ru": "Какое из этих действий видно на видео?",
    "zh": "视频中出现的是下列哪个动作？",
}


def choice_turn(choices: Sequence[str], right: int, language: str) -> tuple[str, str]:
    """Word a question with lettered choices, and its answer."""
    asked = CHOICE_QUESTIONS.get(primary(language), CHOICE_QUESTIONS["en"])
    lines = [f"{letter}. {choice}" for letter, choice in zip("ABCD", choices, strict=True)]
    return "\n".join([asked, *lines]), lines[right]
