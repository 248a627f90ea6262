"""`valley serve`: answer over HTTP as OpenAI's API does, with the web page at /."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from valley.cli.opening import open_model
from valley.cli.options import AnyModel, BaseUrl, Device, Dtype
from valley.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable

    from valley.inference.backend import Backend
    from valley.serving.keys import Keys
    from valley.serving.limits import ServeSettings
    from valley.serving.media import MediaSettings

Count: TypeAlias = int | None
Seconds: TypeAlias = float | None
_BATCH = ("max_batch_size", "max_concurrency")  # as a model here calls it, and a server
_MIB = 2**20


def _limit(name: str, words: str) -> Any:  # noqa: ANN401
    return typer.Option(name, min=0, help=words)


def serve(
    model: AnyModel = None,
    base_url: BaseUrl = None,
    dtype: Dtype = None,
    device: Device = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")] = 8000,
    api_keys: Annotated[
        Path | None,
        typer.Option(
            "--api-keys",
            help="A file with a key a line, plain or as sha256:HEX; the variable VALLEY_API_KEYS adds some.",
        ),
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let everybody who reaches --host ask, without keys.")
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option("--allowed-host", help="Another name by which the server is asked; repeatable."),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option("--cors-origin", help="A page elsewhere that may ask, https://NAME; repeatable."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="Fetch media from this host, NAME or NAME:PORT; repeatable."),
    ] = None,
    allow_any_public_host: Annotated[
        bool, typer.Option("--allow-any-public-host", help="Fetch media from any host of the public network.")
    ] = False,
    media_root: Annotated[
        Path | None, typer.Option("--media-root", help="Read file:/// addresses below this folder.")
    ] = None,
    spool: Annotated[
        Path | None, typer.Option("--spool", help="Where media are kept while they are of use.")
    ] = None,
    page: Annotated[bool, typer.Option("--page/--no-page", help="Show the web page at /.")] = True,
    batch_size: Annotated[
        Count, _limit("--batch-size", "Answers that are made together (16; a server: 8).")
    ] = None,
    cache_mib: Annotated[
        Count, _limit("--cache-mib", "Frames, visual tokens, keys and values that are kept (2048).")
    ] = None,
    queue_size: Annotated[Count, _limit("--queue-size", "Requests that wait (32).")] = None,
    request_timeout: Annotated[Seconds, _limit("--request-timeout", "Seconds for an answer (300).")] = None,
    grace: Annotated[Seconds, _limit("--grace", "Seconds to finish when told to stop (30).")] = None,
    max_tokens: Annotated[Count, _limit("--max-tokens", "The most tokens of an answer (4096).")] = None,
    default_max_tokens: Annotated[
        Count, _limit("--default-max-tokens", "Where a request does not say (1024).")
    ] = None,
    max_messages: Annotated[Count, _limit("--max-messages", "Of a conversation (1000).")] = None,
    max_characters: Annotated[Count, _limit("--max-characters", "Of all its words (1000000).")] = None,
    max_media: Annotated[Count, _limit("--max-media", "Pictures and clips of a request (32).")] = None,
    max_frames: Annotated[Count, _limit("--max-frames", "Asked of one clip (256).")] = None,
    max_clip_seconds: Annotated[Seconds, _limit("--max-clip-seconds", "Length of a clip (7200).")] = None,
    max_pixels: Annotated[Count, _limit("--max-pixels", "Of one picture (9437184).")] = None,
    max_decodes: Annotated[Count, _limit("--max-decodes", "Files decoded at once (2).")] = None,
    decode_timeout: Annotated[Seconds, _limit("--decode-timeout", "Seconds for one file (30).")] = None,
    decode_mib: Annotated[Count, _limit("--decode-mib", "Memory for the frames of a request (1024).")] = None,
    body_mib: Annotated[Count, _limit("--body-mib", "JSON of a request (64).")] = None,
    all_bodies_mib: Annotated[Count, _limit("--all-bodies-mib", "JSON of all requests (512).")] = None,
    body_timeout: Annotated[Seconds, _limit("--body-timeout", "Seconds for a request to come (60).")] = None,
    upload_timeout: Annotated[
        Seconds, _limit("--upload-timeout", "Seconds for an upload to come (600).")
    ] = None,
    image_mib: Annotated[Count, _limit("--image-mib", "Bytes of a picture (32).")] = None,
    video_mib: Annotated[Count, _limit("--video-mib", "Bytes of a clip (512).")] = None,
    spool_mib: Annotated[Count, _limit("--spool-mib", "All media on the disk (8192).")] = None,
    fetch_timeout: Annotated[Seconds, _limit("--fetch-timeout", "Seconds to fetch from a host (30).")] = None,
    max_redirects: Annotated[Count, _limit("--max-redirects", "Of one fetch (5).")] = None,
) -> None:
    """Serve a model at http://HOST:PORT/v1, to any client of OpenAI's API, and the web page at /.

    Listens on this machine alone unless you say otherwise, and fetches nothing from the web. Ctrl-C finishes
    the answers that are being made; a second one does not. /docs describes the API.
    """
    from valley.serving.limits import UNTRUSTED, ServeSettings, with_given
    from valley.serving.media import MediaSettings

    decode = with_given(
        UNTRUSTED,
        max_duration_s=max_clip_seconds,
        max_pixels=max_pixels,
        timeout_s=decode_timeout,
        max_memory_bytes=_bytes(decode_mib),
        max_size_bytes=_bytes(video_mib),
    )
    settings = with_given(
        ServeSettings(host=host, port=port, decode=decode),
        allowed_hosts=tuple(allowed_host or ()),
        cors_origins=tuple(cors_origin or ()),
        queue_size=queue_size,
        request_timeout_s=request_timeout,
        grace_s=grace,
        max_tokens=max_tokens,
        default_max_tokens=default_max_tokens,
        max_messages=max_messages,
        max_characters=max_characters,
        max_media=max_media,
        max_frames=max_frames,
        max_decodes=max_decodes,
        max_body_bytes=_bytes(body_mib),
        max_held_bytes=_bytes(all_bodies_mib),
        body_timeout_s=body_timeout,
        upload_timeout_s=upload_timeout,
    )
    media = with_given(
        MediaSettings(),
        allow_hosts=frozenset(allow_host or ()),
        allow_any_public_host=allow_any_public_host,
        media_root=media_root,
        max_image_bytes=_bytes(image_mib),
        max_video_bytes=_bytes(video_mib),
        spool_bytes=_bytes(spool_mib),
        timeout_s=fetch_timeout,
        max_redirects=max_redirects,
    )
    keys = _keys(api_keys)
    if not settings.is_local and not keys and not insecure:
        raise ConfigError(
            f"--host {host}: everybody who reaches it could ask; give --api-keys FILE, or say --insecure"
        )
    engine = {"cache_bytes": _bytes(cache_mib), _BATCH[base_url is not None]: batch_size}
    given = {name: value for name, value in engine.items() if value is not None}
    _run(
        lambda: open_model(model, base_url, dtype, device, **given),
        settings,
        media,
        keys,
        spool=spool,
        page=page,
    )


def _bytes(mib: int | None) -> int | None:
    return None if mib is None else mib * _MIB


def _keys(file: Path | None) -> Keys:
    """Read the keys of a file and of the environment."""
    from valley.serving.keys import Keys

    texts = [] if file is None else [file.read_text(encoding="utf-8")]
    keys = Keys.from_text("\n".join([*texts, os.environ.get("VALLEY_API_KEYS", "").replace(",", "\n")]))
    if file is not None and not keys:
        raise ConfigError(f"--api-keys {file}: it holds no key")
    return keys


def _run(
    open_backend: Callable[[], Backend],
    settings: ServeSettings,
    media: MediaSettings,
    keys: Keys,
    *,
    spool: Path | None,
    page: bool,
) -> None:
    from valley.serving.app import create_app
    from valley.serving.media import MediaGate
    from valley.serving.running import Running

    with _requests_logged(), tempfile.TemporaryDirectory(prefix="valley-serve-") as own:
        gate = MediaGate(media, spool or Path(own))
        app = create_app(open_backend, settings, media=gate, keys=keys, page=_page() if page else None)
        running = Running(app, settings)
        _say(running.address, keys, media, page=page)
        running.run()


def _page() -> Any:  # noqa: ANN401
    from valley.ui.app import page_app

    try:
        return page_app()
    except MissingExtraError as error:  # the extra of the page alone would lack the server
        raise MissingExtraError(wanted_by="the server", package="starlette", extra="serve") from error


@contextmanager
def _requests_logged() -> Iterator[None]:
    """Write one line a request to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("valley.serving.access")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


def _say(address: str, keys: Keys, media: MediaSettings, *, page: bool) -> None:
    who = f"{len(keys)} keys" if keys else "nobody is asked for a key"
    hosts = "any public host" if media.allow_any_public_host else ", ".join(sorted(media.allow_hosts))
    print(f"base URL  {address}/v1   ({who})")
    if page:
        print(f"page      {address}/")
    print(f"about it  {address}/docs, /metrics, /health")
    print(f"media     uploads, data URLs{', from ' + hosts if hosts else ''}")
    if media.media_root is not None:
        print(f"          and files below {media.media_root}")
    print("the model is being loaded; stop with Ctrl-C", flush=True)
