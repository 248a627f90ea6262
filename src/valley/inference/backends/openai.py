"""A model behind any OpenAI-compatible server: `valley serve`, vLLM, OpenAI, Ollama and others.

How clips are sent, unless told: whole to `valley serve`, which samples as it is asked; as frames read here to
vLLM, whose own sampling a request may not change by default; as pictures with their times to all others.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Literal

from valley.conversation import Conversation, Image, Video
from valley.errors import BackendError, ContextLengthError, DamagedError, MediaError
from valley.inference.backend import Capabilities, Finish, GenerationParams, MediaUse, Piece, Timing
from valley.inference.backends._listing import Kind, Listed, find_model, identity_of, sampling_of, version_of
from valley.inference.backends._reply import Reply
from valley.inference.backends._request import RequestWriter
from valley.inference.backends._sending import MediaSender, SendVideo, SentMedium
from valley.inference.backends._server import Patience, Server
from valley.inference.backends._server_errors import LostError, RefusedError
from valley.inference.media import MediaReader
from valley.video.frames import Frames

# Servers answer several at once; what they cannot take they queue, or send away to come again.
MAX_CONCURRENCY = 8
# What a server answers to a wish that it does not know.
_OTHERWISE = (400, 415, 422, 501)
_USUAL: dict[Kind, SendVideo] = {"valley": "file", "vllm": "frames", "other": "images"}


class OpenAIBackend:
    """Asks a server. Streams may run at once, each over a connection of its own."""

    def __init__(
        self,
        server: Server,
        listed: Listed,
        *,
        send_video: SendVideo | Literal["auto"] = "auto",
        max_concurrency: int = MAX_CONCURRENCY,
    ) -> None:
        """Take a server and what it lists; see `connect`."""
        self._server = server
        told = listed.fields.get("capabilities")
        told = told if isinstance(told, dict) else {}
        sampling = sampling_of(told.get("default_sampling"))
        context = told.get("max_context_tokens", listed.fields.get("max_model_len"))
        self.capabilities = Capabilities(
            model=listed.model,
            media=tuple(kind for kind in ("image", "video") if kind in told.get("media", ("image", "video"))),
            max_context_tokens=context if isinstance(context, int) else None,
            default_sampling=sampling,
            max_concurrency=max_concurrency,
            structured_output=told.get("structured_output") is not False,
        )
        self._reader = MediaReader(sampling)
        self._sender = MediaSender(
            server,
            self._reader,
            send_video=_USUAL[listed.kind] if send_video == "auto" else send_video,
            to_valley=listed.kind == "valley",
        )
        self._writer = RequestWriter(
            server.url,
            listed,
            send_video=self._sender.send_video,
            structured_output=self.capabilities.structured_output,
        )
        self._listed = listed
        self._version: str | None = None
        self._server_identity: dict[str, Any] | None = None

    @classmethod
    def connect(
        cls,
        base_url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        send_video: SendVideo | Literal["auto"] = "auto",
        max_concurrency: int = MAX_CONCURRENCY,
        patience: Patience | None = None,
    ) -> OpenAIBackend:
        """Ask a server what it has.

        Args:
            base_url: such as http://localhost:8000/v1.
            model: its name there; None takes the only one that the server lists.
            api_key: sent as `Authorization: Bearer`; it is in no message and no record.
            send_video: "file": whole; "frames": as one list of pictures that were read here, which
                `valley serve` and vLLM take; "images": as pictures with their times before each, which every
                model with eyes takes; "auto": see the module.
            max_concurrency: how many are asked at once, by those who ask many.
            patience: how long it is waited for.

        Raises:
            ConfigError: this is no address, or the server has several models.
            BackendError: it does not answer.
        """
        server = Server(base_url, api_key=api_key, patience=patience or Patience())
        try:
            listed = find_model(server, model)
        except BaseException:
            server.close()
            raise
        return cls(server, listed, send_video=send_video, max_concurrency=max_concurrency)

    def look(self, medium: Image | Video, params: GenerationParams) -> Frames:
        """Give the frames that the model is shown of a medium, read here."""
        return self._reader.shown(medium, params).frames

    def stream(self, conversation: Conversation, params: GenerationParams) -> Generator[Piece, None, None]:
        """Yield the answer; see `Backend.stream`."""
        started_s = time.perf_counter()
        sent = self._sender.sent(conversation.media, params)
        prepared_s, first_s = time.perf_counter(), None
        reply = Reply()
        try:
            with closing(self._texts(conversation, params, sent, reply)) as texts:
                for text in texts:
                    first_s = first_s or time.perf_counter()
                    yield Piece(text)
        except RefusedError as error:
            raise _more_exact(error, sent) from error
        media = _seen(sent, reply.media)
        damaged = [m for m in media if m.missing_s]
        if damaged and params.on_damage == "raise":
            raise DamagedError(damaged[0].path, f"frames at {damaged[0].missing_s} s cannot be decoded")
        ended_s = time.perf_counter()
        timing = Timing(prepared_s - started_s, (first_s or ended_s) - started_s, ended_s - started_s)
        yield Piece("", Finish(reply.reason or "stop", reply.usage, timing, media))

    def identity(self) -> dict[str, Any]:
        """Say what decides the answers, as far as the server tells; see `Backend.identity`."""
        if self._version is None:
            self._server_identity = identity_of(self._server, self._listed)
            self._version = version_of(self._server)
        return {
            "engine": "openai",
            "model": self.capabilities.model,
            "server": self._server.url,
            "server_version": self._version or None,
            "server_identity": self._server_identity,
            "send_video": self._sender.send_video,
        }

    def close(self) -> None:
        """Let the server delete what was sent to be kept, and end the connections."""
        self._sender.delete_uploads()
        self._reader.clear()
        self._server.close()

    def _texts(
        self,
        conversation: Conversation,
        params: GenerationParams,
        sent: Sequence[SentMedium],
        reply: Reply,
    ) -> Generator[str, None, None]:
        """Yield the words; once more from the start where the connection broke before the first."""
        for is_last in (False, True):
            response = self._answered(conversation, params, sent)
            try:
                for event in self._server.events(response):
                    text = reply.take(event)
                    if text:
                        yield text
                if reply.reason is None:
                    raise LostError(f"{self._server.url}: the stream ended before the answer did")
                return
            except LostError as error:
                if reply.num_characters:
                    raise LostError(f"{error} after {reply.num_characters} characters") from error
                if is_last:
                    raise
            finally:
                response.close()

    def _answered(
        self, conversation: Conversation, params: GenerationParams, sent: Sequence[SentMedium]
    ) -> Any:  # noqa: ANN401
        """Send the request; leave out, one after another, wishes that this server does not take."""
        is_again, form = False, self._writer.format_number
        while True:
            body = self._writer.body(conversation, params, sent, form)
            try:
                response = self._server.send("POST", "chat/completions", body)
            except RefusedError as error:
                if error.status == 404 and not is_again and self._sender.forget(sent):
                    is_again = True  # the server has deleted an upload: it gets another
                    sent = self._sender.sent(conversation.media, params)
                elif error.status not in _OTHERWISE:
                    raise
                elif not self._writer.gives_way(error, body):
                    if "response_format" not in body:
                        raise
                    form += 1
            else:
                self._writer.takes(form)
                return response


def _seen(sent: Sequence[SentMedium], told: Sequence[MediaUse]) -> tuple[MediaUse, ...]:
    """Join what was sent with what the server says that it saw."""
    if len(told) != len(sent):
        return tuple(replace(m.use, timestamps_s=()) if m.is_file else m.use for m in sent)
    return tuple(
        replace(said, path=m.use.path) if m.is_file else m.use for m, said in zip(sent, told, strict=True)
    )


def _more_exact(error: RefusedError, sent: Sequence[SentMedium]) -> BackendError | MediaError:
    """Name the files where a server says that one of them is at fault."""
    if error.code.startswith("media_"):
        return MediaError(", ".join(m.use.path for m in sent), str(error))
    return ContextLengthError(str(error)) if error.code == "context_length_exceeded" else error


BACKEND = OpenAIBackend
