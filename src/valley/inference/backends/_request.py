"""The body of a chat request in the words of its server; what that does not take is said otherwise."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from valley.conversation import Conversation, Text
from valley.errors import BackendError
from valley.inference.backend import GenerationParams, MediaUse
from valley.inference.backends._listing import Listed
from valley.inference.backends._sending import SendVideo, SentMedium, said_frames
from valley.inference.backends._server_errors import RefusedError

# vLLM keeps so many of the frames that it is sent, the first ones, unless a request may say otherwise.
_VLLM_FRAMES = 32
_FORMATS = ("json_schema", "json_object", None)

_logger = logging.getLogger(__name__)


class RequestWriter:
    """Writes requests to one server, and remembers what it does not take."""

    def __init__(self, url: str, listed: Listed, *, send_video: SendVideo, structured_output: bool) -> None:
        """Take the server's address, what it lists, how clips are sent, and whether it knows schemas."""
        self._url, self._listed, self._send_video = url, listed, send_video
        self._lock = threading.Lock()
        self.format_number = 0 if structured_output else len(_FORMATS) - 1
        """Which of the forms of a schema the server takes: the first, until it was refused."""
        self._limit_name = "max_tokens"
        self._times_are_taken = True
        self._warned: set[str] = set()

    def gives_way(self, error: RefusedError, body: Mapping[str, Any]) -> bool:
        """Change how this server is asked, after a refusal; false where nothing is left to change."""
        words = str(error)
        with self._lock:
            if "frames_indices" in _video_options(body) and "media_io_kwargs" in words:
                self._times_are_taken = False
                self._warn("times", "does not take the times of frames (--trust-request-mm-kwargs)")
                return True
            if "max_tokens" in body and "max_completion_tokens" in words:
                self._limit_name = "max_completion_tokens"
                return True
        return False

    def takes(self, format_number: int) -> None:
        """Remember that the server took this form of a schema, and none of those before it."""
        with self._lock:
            if format_number > self.format_number:
                self.format_number = format_number
                self._warn("format", f"does not take response_format {_FORMATS[format_number - 1]}")

    def body(
        self,
        conversation: Conversation,
        params: GenerationParams,
        sent: Sequence[SentMedium],
        format_number: int,
    ) -> dict[str, Any]:
        """Write it, with a schema in one of the forms that servers know.

        Raises:
            BackendError: the server cannot be asked for this.
        """
        body: dict[str, Any] = {
            "model": self._listed.model,
            "messages": _messages(conversation, sent),
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": params.temperature,
            self._limit_name: params.max_new_tokens,
        }
        if params.temperature > 0 and params.top_p < 1:
            body["top_p"] = params.top_p
        if params.temperature > 0 and params.seed is not None:
            body["seed"] = params.seed
        if params.stop:
            body["stop"] = list(params.stop)
        form = _FORMATS[format_number] if params.response_schema is not None else None
        if form == "json_schema":
            schema = {"name": "answer", "schema": dict(params.response_schema or {}), "strict": True}
            body["response_format"] = {"type": form, "json_schema": schema}
        elif form is not None:
            body["response_format"] = {"type": form}
        return body | self._frames_said(params, sent) | self._language_said(params)

    def _frames_said(self, params: GenerationParams, sent: Sequence[SentMedium]) -> dict[str, Any]:
        clips = [m for m in sent if m.use.kind == "video"]
        said = {k: v for k, v in said_frames(params.sampling).items() if v is not None}
        if self._listed.kind == "valley":
            # All frames that were read here are taken.
            num_read = max((len(m.use.timestamps_s) for m in clips if not m.is_file), default=0)
            return said if any(m.is_file for m in clips) or not num_read else {"num_frames": num_read}
        if any(m.is_file for m in clips):
            return {"media_io_kwargs": {"video": said}} if said else {}
        if self._listed.kind != "vllm" or self._send_video == "images" or not clips:
            return {}
        return self._times_said([m.use for m in clips])

    def _times_said(self, clips: Sequence[MediaUse]) -> dict[str, Any]:
        """Tell vLLM the times of frames, where it lets a request do so and all clips have the same ones."""
        times = {clip.timestamps_s for clip in clips}
        if len(times) == 1 and self._times_are_taken:
            return {"media_io_kwargs": {"video": _as_numbers(clips[0])}}
        self._warn("apart", "takes frames that were read here as one second apart")
        if max(map(len, times)) > _VLLM_FRAMES:
            self._warn("many", f"may keep only the first {_VLLM_FRAMES} frames of a clip that it is sent")
        return {}

    def _language_said(self, params: GenerationParams) -> dict[str, Any]:
        if params.answer_language is None:
            return {}
        if self._listed.kind == "valley":
            return {"language": params.answer_language}
        if self._listed.kind == "vllm":
            self._warn("language", "asks for a language only where the model's chat template can")
            return {"chat_template_kwargs": {"answer_language": params.answer_language}}
        raise BackendError(
            f"language {params.answer_language!r}: {self._url} cannot be asked for one; say it in --system"
        )

    def _warn(self, what: str, words: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            _logger.warning("%s %s", self._url, words)


def _messages(conversation: Conversation, sent: Sequence[SentMedium]) -> list[dict[str, Any]]:
    remaining = iter(sent)
    messages = []
    for message in conversation.messages:
        parts: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, Text):
                parts.append({"type": "text", "text": part.text})
            else:
                parts += next(remaining).parts
        # Words alone go as a text: not every server takes a list in every role.
        content = parts if message.media else message.text
        messages.append({"role": message.role, "content": content})
    return messages


def _video_options(body: Mapping[str, Any]) -> Mapping[str, Any]:
    return body.get("media_io_kwargs", {}).get("video", {})


def _as_numbers(clip: MediaUse) -> dict[str, Any]:
    """Write times as vLLM takes them: numbers of frames at a thousand a second."""
    numbers = [round(1000 * t) for t in clip.timestamps_s]
    total = max(round(1000 * clip.duration_s), numbers[-1] + 1)
    return {
        "num_frames": len(numbers),
        "fps": 1000,
        "frames_indices": numbers,
        "total_num_frames": total,
        "duration": clip.duration_s,
    }
