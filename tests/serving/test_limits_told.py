"""What the docs and the help say about limits is what the server does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from valley.cli import serve as command
from valley.errors import ConfigError
from valley.inference.backends.transformers import TransformersBackend
from valley.serving.limits import UNTRUSTED, ServeSettings, with_given
from valley.serving.media import MediaSettings

PAGE = Path(__file__).parents[2] / "docs" / "serve.md"
MIB = 2**20
SETTINGS, MEDIA = ServeSettings(), MediaSettings()
ENGINE = {p.name: p.default for p in inspect.signature(TransformersBackend).parameters.values()}
DEFAULTS = {
    "--batch-size": ENGINE["max_batch_size"],
    "--cache-mib": ENGINE["cache_bytes"] / MIB,
    "--queue-size": SETTINGS.queue_size,
    "--request-timeout": SETTINGS.request_timeout_s,
    "--grace": SETTINGS.grace_s,
    "--max-tokens": SETTINGS.max_tokens,
    "--default-max-tokens": SETTINGS.default_max_tokens,
    "--max-messages": SETTINGS.max_messages,
    "--max-characters": SETTINGS.max_characters,
    "--max-media": SETTINGS.max_media,
    "--max-frames": SETTINGS.max_frames,
    "--max-decodes": SETTINGS.max_decodes,
    "--body-mib": SETTINGS.max_body_bytes / MIB,
    "--all-bodies-mib": SETTINGS.max_held_bytes / MIB,
    "--body-timeout": SETTINGS.body_timeout_s,
    "--upload-timeout": SETTINGS.upload_timeout_s,
    "--max-clip-seconds": UNTRUSTED.max_duration_s,
    "--max-pixels": UNTRUSTED.max_pixels,
    "--decode-timeout": UNTRUSTED.timeout_s,
    "--decode-mib": UNTRUSTED.max_memory_bytes / MIB,
    "--image-mib": MEDIA.max_image_bytes / MIB,
    "--video-mib": MEDIA.max_video_bytes / MIB,
    "--spool-mib": MEDIA.spool_bytes / MIB,
    "--fetch-timeout": MEDIA.timeout_s,
    "--max-redirects": MEDIA.max_redirects,
}


def test_the_table_has_every_limit_with_its_default():
    rows = re.findall(r"^\| `(--[a-z-]+)` \| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: float(value) for name, value in rows} == DEFAULTS


def test_the_help_says_the_same_defaults():
    told = {}
    for parameter in inspect.signature(command.serve, eval_str=True).parameters.values():
        option = parameter.annotation.__metadata__[0]
        found = re.search(r"\((?:[^()\d]*)(\d+)[^()]*\)\.$", option.help or "")
        name = option.default  # typer takes the first word for it until it reads the signature
        if found and name in DEFAULTS:
            told[name] = float(found[1])
    assert told == DEFAULTS


def test_only_what_is_given_changes():
    changed = with_given(SETTINGS, queue_size=0, max_tokens=None)
    assert (changed.queue_size, changed.max_tokens) == (0, SETTINGS.max_tokens)
    with pytest.raises(ConfigError, match="max_tokens"):
        with_given(SETTINGS, max_tokens=0)
    with pytest.raises(ConfigError, match="timeout_s"):
        with_given(UNTRUSTED, timeout_s=0)


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("127.9.9.9", True),
        ("0.0.0.0", False),
        ("h", False),
    ],
)
def test_what_is_of_this_machine(host, is_local):
    settings = ServeSettings(host=host)
    assert settings.is_local is is_local
    assert (settings.known_hosts is None) is not is_local
