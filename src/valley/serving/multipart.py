"""An upload's bytes as they come: the part of a form that is named "file", block by block."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field

from valley.errors import MissingExtraError
from valley.serving.errors import RequestError

_MOST_HEADER_BYTES = 4096
_MOST_PARTS = 20


@dataclass
class _Form:
    """What the parser has told."""

    headers: dict[bytes, bytes] = field(default_factory=dict)
    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    num_parts: int = 0
    is_file: bool = False
    filename: str | None = None
    waiting: list[bytes] = field(default_factory=list)

    def begin_part(self) -> None:
        self.headers, self.is_file = {}, False
        self.num_parts += 1
        if self.num_parts > _MOST_PARTS:
            raise RequestError(f"want at most {_MOST_PARTS} parts in the form", code="form")

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self.name += data[start:end]
        self._bound()

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]
        self._bound()

    def end_header(self) -> None:
        self.headers[bytes(self.name).lower()] = bytes(self.value)
        self.name.clear()
        self.value.clear()

    def end_headers(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        if options.get(b"name") != b"file":
            return
        if self.filename is not None:
            raise RequestError("want one file in the form", code="form", param="file")
        self.is_file = True
        self.filename = options.get(b"filename", b"file").decode("utf-8", "replace")

    def data(self, data: bytes, start: int, end: int) -> None:
        if self.is_file:
            self.waiting.append(data[start:end])

    def _bound(self) -> None:
        if len(self.name) + len(self.value) > _MOST_HEADER_BYTES or len(self.headers) > _MOST_PARTS:
            raise RequestError("the headers of a part of the form are too long", code="form")


class Upload:
    """The file in a form."""

    def __init__(self, content_type: str, body: AsyncIterable[bytes]) -> None:
        """Take a request.

        Raises:
            RequestError: it is no form.
            MissingExtraError: the parser is absent.
        """
        try:
            from python_multipart import MultipartParser
            from python_multipart.multipart import parse_options_header
        except ImportError as error:
            raise MissingExtraError(
                wanted_by="the server", package="python-multipart", extra="serve"
            ) from error
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise RequestError(
                "want a form (multipart/form-data) with a part named 'file'", code="form", param="file"
            )
        self._body = body
        self._form = form = _Form()
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": form.begin_part,
                "on_header_field": form.header_name,
                "on_header_value": form.header_value,
                "on_header_end": form.end_header,
                "on_headers_finished": form.end_headers,
                "on_part_data": form.data,
            },
        )

    async def name(self) -> str:
        """Read up to the file, and give the name that it has with the client.

        Raises:
            RequestError: there is none, or the form is damaged.
        """
        async for _ in self._read(until_file=True):
            pass
        if self._form.filename is None:
            raise RequestError("want a part named 'file' in the form", code="form", param="file")
        return self._form.filename

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the file's bytes.

        Raises:
            RequestError: the form is damaged.
        """
        for block in self._taken():
            yield block
        async for _ in self._read(until_file=False):
            for block in self._taken():
                yield block

    async def _read(self, *, until_file: bool) -> AsyncIterator[None]:
        from python_multipart.exceptions import FormParserError

        if until_file and self._form.filename is not None:
            return
        async for chunk in self._body:
            try:
                self._parser.write(chunk)
            except FormParserError as error:
                raise RequestError(f"the form is damaged: {error}", code="form") from error
            yield
            if until_file and self._form.filename is not None:
                return

    def _taken(self) -> list[bytes]:
        blocks, self._form.waiting = self._form.waiting, []
        return blocks
