"""VideoChat's 11,000 instructions, and VideoChat2-IT, which has the same form.

One item looks like this::

    {"video": "000051_000100/1029357692.mp4", "start": 1.0, "end": 9.5,
     "QA": [{"i": "Answer briefly.", "q": "What is she doing?", "a": "Stretching."}]}

`i`, of which VideoChat reads the first alone, becomes the system's words. `q` may be empty in the first turn:
then the clip stands alone, and the answer is its description.
"""

from __future__ import annotations

from valley.conversation import Conversation, Image, Message, Part, Text, Video
from valley.importers.fields import Fields, close
from valley.importers.importer import ImportOptions, ItemImporter
from valley.importers.items import Item
from valley.importers.turns import MediaQueue, tagged_messages


def _convert(item: Item, options: ImportOptions) -> Conversation:
    fields = Fields(item.value, item.where)
    messages: list[Message] = []
    medium = _medium(fields)
    first = ""
    for number, pair in enumerate(fields.listed("QA"), 1):
        words = Fields(pair, f"{item.where}, QA {number}")
        system, question, answer = words.text("i", default=""), words.text("q"), words.text("a")
        words.kept(())
        if number == 1:
            first = system
        elif system not in ("", first):
            words.fail("its 'i' differs from the first one: a conversation has one system turn, so split it")
        if number > 1 and not question.strip():
            words.fail("'q' is empty behind the first question: write it, or leave the pair out")
        shown: tuple[Part, ...] = (medium,) if number == 1 else ()
        asked = (Text(question),) if question.strip() else ()
        _refuse_tags(question, answer, where=words.where)
        messages += [Message("user", (*shown, *asked)), Message("assistant", (Text(answer),))]
    if first.strip() and messages:
        messages.insert(0, Message("system", (Text(first),)))
    return close(fields, tuple(messages), item, options)


def _medium(fields: Fields) -> Image | Video:
    start_s, end_s = fields.seconds("start"), fields.seconds("end")
    if "image" in fields:
        if "video" in fields or start_s is not None or end_s is not None:
            fields.fail("a picture has neither video nor start and end: leave one of them out")
        return Image(fields.path("image"))
    return Video(fields.path("video"), start_s, end_s)


def _refuse_tags(question: str, answer: str, *, where: str) -> None:
    """Raise where a text has tags: in this format the medium is named apart, and once."""
    tagged_messages([("user", question), ("assistant", answer)], MediaQueue((), (), where), where)


IMPORTER = ItemImporter("videochat", "VideoChat-11k, VideoChat2-IT", _convert)
