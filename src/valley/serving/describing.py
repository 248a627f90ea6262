"""The server's description: OpenAPI, and a page of it that needs nothing from elsewhere."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse

from valley.serving.schema import ChatCompletionRequest

if TYPE_CHECKING:
    from fastapi import FastAPI

_REF = "#/components/schemas/{model}"
CHAT_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": _REF.format(model="ChatCompletionRequest")}}},
    }
}
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string"},
                    },
                }
            }
        },
    }
}
_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    ":root{color-scheme:light dark}"
    "code,pre{font-family:ui-monospace,monospace}pre{overflow:auto;padding:.5rem;border:1px solid #8888}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;overflow-wrap:anywhere}"
    "@media(max-width:40rem){tr,td{display:block;padding:0}tr{margin-bottom:.6rem}}"
)


def describe(app: FastAPI) -> None:
    """Let an application describe itself at /openapi.json and /docs."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _schema(app)
        return app.openapi_schema

    async def docs(request: Request) -> HTMLResponse:
        del request
        return HTMLResponse(_page(openapi()), headers={"content-security-policy": _CSP})

    app.openapi = openapi
    app.add_route("/docs", docs, include_in_schema=False)


_CSP = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


def _schema(app: FastAPI) -> dict[str, Any]:
    from fastapi.openapi.utils import get_openapi

    schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
    for path, methods in schema["paths"].items():
        named = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in re.findall(r"{(\w+)}", path)
        ]
        for about in methods.values():
            about.update({"parameters": named} if named else {})
    request = ChatCompletionRequest.model_json_schema(ref_template=_REF)
    parts = request.pop("$defs")
    components = schema.setdefault("components", {})
    components.setdefault("schemas", {}).update({**parts, "ChatCompletionRequest": request})
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{}, {"key": []}]
    return schema


def _page(schema: dict[str, Any]) -> str:
    """Write every address with what it does, and every record with its fields."""
    lines = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Valley: the API</title>",
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>",
        "<h1>The API</h1><p>As OpenAI has it; for programs: <a href=openapi.json>openapi.json</a>.</p>",
    ]
    for path, methods in schema["paths"].items():
        for method, found in methods.items():
            lines.append(f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>")
            lines.append(f"<p>{html.escape(found.get('description', ''))}</p>")
    for name, record in schema["components"]["schemas"].items():
        lines.append(f"<h2 id='{html.escape(name)}'>{html.escape(name)}</h2>")
        lines.append(f"<p>{html.escape(record.get('description', ''))}</p><table>")
        lines += [_row(field, about) for field, about in record.get("properties", {}).items()]
        lines.append("</table>")
    return "\n".join(lines)


def _row(field: str, about: dict[str, Any]) -> str:
    words = html.escape(about.get("description", ""))
    return f"<tr><td><code>{html.escape(field)}</code><td>{_type(about)}<td>{words}</tr>"


def _type(about: dict[str, Any]) -> str:
    """Say what a field holds, with links to other records."""
    if "$ref" in about:
        name = html.escape(about["$ref"].rpartition("/")[2])
        return f"<a href='#{name}'>{name}</a>"
    for word in ("anyOf", "oneOf"):
        if word in about:
            return " or ".join(_type(each) for each in about[word])
    if "enum" in about or "const" in about:
        return " or ".join(html.escape(repr(each)) for each in about.get("enum", [about.get("const")]))
    if about.get("type") == "array":
        return f"list of {_type(about.get('items', {}))}"
    return html.escape(str(about.get("type", "anything")))
