"""WebDataset shards: a tar file, or a folder of them, whose members of one name are one sample.

A shard holds ``000001.mp4`` and ``000001.json``, ``000002.jpg`` and ``000002.json``, and so on. Its JSON has
`conversations` or `messages`, whose tags stand for the sample's media as the archive orders them. Or there is
a `caption`, in it or in ``000001.txt`` (video2dataset, img2dataset): then the medium is the user's turn, the
caption the answer. Media are written to a folder, under the shard's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from valley.conversation import Conversation, Image, Text, Video, assistant, user
from valley.errors import ConfigError
from valley.importers.columns import tagged_turns
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item
from valley.importers.shards import Sample, read_shards

# What video2dataset and img2dataset note beside a caption.
_NOTES = (
    "key",
    "status",
    "error_message",
    "url",
    "width",
    "height",
    "original_width",
    "original_height",
    "exif",
    "sha256",
    "md5",
    "clips",
    "clip_subtitles",
    "yt_meta_dict",
    "video_metadata",
)


def _samples(path: Path, options: ImportOptions) -> Iterator[Item]:
    if options.media_out is None:
        raise ConfigError(
            "the format webdataset needs a folder for the media of the shards: give --media-out"
        )
    for sample in read_shards(path, options.media_out):
        yield Item(sample, sample.where, sample.id)


def _convert(item: Item, options: ImportOptions) -> Conversation:
    sample: Sample = item.value
    if sample.fault is not None:
        raise sample.fault
    fields = Fields(sample.record or {}, item.where)
    if sample.others:
        fields.fail(f"does not know the member .{sample.others[0]}: want .json, .txt, pictures and clips")
    if "conversations" in fields or "messages" in fields:
        if sample.caption is not None:
            fields.fail("a .txt stands beside a dialogue: leave one of them out")
        for kind, members in (("image", sample.images), ("video", sample.videos)):
            named = fields.paths(kind, f"{kind}s")
            if named and len(named) != len(members):
                fields.fail(
                    f"its .json names {len(named)} {kind}s, the shard holds {len(members)}: pack it anew"
                )
        messages = tagged_turns(fields, sample.images, sample.videos)
        return close(fields, messages, item, options)
    return _captioned(sample, fields, item, options)


def _captioned(sample: Sample, fields: Fields, item: Item, options: ImportOptions) -> Conversation:
    caption = fields.take("caption")
    if caption is not None and sample.caption is not None and caption.strip() != sample.caption.strip():
        fields.fail("the captions of its .json and .txt differ: leave one of them out")
    caption = sample.caption if caption is None else caption
    if not isinstance(caption, str):
        fields.fail("want conversations, messages or a caption in its .json, or a .txt")
    media = [*(Image(path) for path in sample.images), *(Video(path) for path in sample.videos)]
    if len(media) != 1:
        fields.fail(f"want one picture or clip beside a caption, got {len(media)}")
    return close(fields, (user(*media), assistant(Text(caption.strip()))), item, options, known=_NOTES)


IMPORTER = ItemImporter("webdataset", "WebDataset shards", _convert, options=("media_out",), items=_samples)
