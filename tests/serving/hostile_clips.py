"""Clips that nobody makes by accident: real ones whose boxes were rewritten."""

import struct

_HOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf"}


def boxes(data, start=0, end=None):
    """Yield kind, beginning, beginning of the content and end of each box."""
    at, end = start, len(data) if end is None else end
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at, at + 8, at + size
        at += size


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def rewritten(data, changes, start=0, end=None):
    """Copy boxes; `changes` gives the new content for a kind, or None to leave it out."""
    made = b""
    for kind, at, inside, stop in boxes(data, start, end):
        if kind in changes:
            content = changes[kind]
            made += b"" if content is None else box(kind, content)
        elif kind in _HOLDERS:
            made += box(kind, rewritten(data, changes, inside, stop))
        else:
            made += data[at:stop]
    return made


def full(*numbers, flags=0):
    """Make the content of a full box from numbers of four bytes."""
    return struct.pack(f">{1 + len(numbers)}I", flags, *numbers)


def many_frames(clip, num_frames):
    """Let an mp4 promise so many frames of one byte each, without growing."""
    start = next(inside for kind, _, inside, _ in boxes(clip) if kind == b"mdat")
    changes = {
        b"stts": full(1, num_frames, 1),
        b"stsz": full(1, num_frames),
        b"stsc": full(1, 1, num_frames, 1),
        b"stco": full(1, start),
        b"ctts": None,
        b"stss": None,
        b"edts": None,
        b"sgpd": None,
        b"sbgp": None,
    }
    # The media data come first in these clips, so that their place does not move with the index.
    return rewritten(clip, changes)


def external_reference(clip, path):
    """Make an mp4 without media data whose track says that they are in another file (a Macintosh alias)."""
    where = str(path).encode()
    alias = bytes(10) + bytes([1]) + b"x".ljust(27, b"\0") + bytes(12)
    alias += bytes([len(path.name)]) + path.name.encode().ljust(63, b"\0") + bytes(16)
    alias += struct.pack(">HH", 0, 0) + bytes(16)  # no levels: only the absolute path helps
    where += b"\0" * (len(where) % 2)
    alias += struct.pack(">HH", 2, len(where)) + where
    alias += struct.pack(">Hh", 0xFFFF, 0) + bytes(64)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    return rewritten(clip, {b"dref": full(1) + entry, b"mdat": None})
