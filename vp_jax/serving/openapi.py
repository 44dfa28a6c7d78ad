"""What the service says of itself: its OpenAPI document, that as a page, and its model."""

from __future__ import annotations

import html
import json
from typing import Any

import vp_jax
from vp_jax.serving.service import Service

_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "One sentence."}},
    "required": ["error"],
}
_PREDICTIONS = {
    "type": "array",
    "description": "The most likely classes, best first.",
    "items": {
        "type": "object",
        "properties": {
            "class": {"type": "string"},
            "label": {"type": "integer", "description": "The number of the class, from 0."},
            "probability": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["class", "label", "probability"],
    },
}
_URL = {"type": ["string", "null"], "description": "A PNG file as a data URL."}
_IMAGE = {
    "type": "object",
    "properties": {
        "image": {"type": "string", "description": "The name of the file, as it was sent."},
        "predictions": _PREDICTIONS,
        "error": {"type": "string", "description": "Why it cannot be read; then all else lacks."},
        "before": {
            "oneOf": [_PREDICTIONS, {"type": "null"}],
            "description": "With explain: the same without the prompt; null where there is none.",
        },
        "pictures": {
            "type": "object",
            "description": "With explain: what the model sees.",
            "properties": {"before": _URL, "with_prompt": _URL},
        },
    },
    "required": ["image"],
}
_IMAGES = {
    "type": "object",
    "properties": {"images": {"type": "array", "items": _IMAGE}},
    "required": ["images"],
}


def about_model(service: Service) -> dict[str, Any]:
    """What is served and what is taken: the answer to `/model`."""
    model, limits = service.model, service.limits
    own = model.classifier
    return {
        "classes": list(own.class_names),
        "prompt": str(own.prompt) if "prompt" in own.parts else None,
        "backbone": own.backbone.name,
        "image_size": own.backbone.image_size,
        "has_before": not isinstance(model.plain, str),
        "about_before": model.about_plain,
        "limits": {
            "files": limits.files,
            "bytes": limits.body,
            "pixels": limits.pixels,
            "seconds": limits.answer_seconds,
        },
    }


def document(service: Service) -> dict[str, Any]:
    """The OpenAPI document, version 3.1."""
    limits, classes = service.limits, service.model.classifier.class_names
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "A visual prompt at work",
            "version": vp_jax.__version__,
            "description": (
                f"Classifies images by {service.model.classifier.backbone.name} with a visual "
                f"prompt: {len(classes)} classes."
            ),
        },
        "paths": {
            "/predict": {"post": _predict(limits.files, limits.body, limits.pixels)},
            "/model": _get("What is served, and the limits.", _json({"type": "object"})),
            "/healthz": _get("Whether this process answers.", _json({"type": "object"})),
            "/metrics": _get("Counters for Prometheus.", _text("text/plain")),
            "/openapi.json": _get("This document.", _json({"type": "object"})),
            "/docs": _get("This document as a page.", _text("text/html")),
            "/": _get("A page to drop images on.", _text("text/html")),
        },
    }


def _predict(files: int, size: int, pixels: int) -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "properties": {"images": {"type": "array", "items": file, "maxItems": files}},
        "required": ["images"],
    }
    again = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer"}}}
    return {
        "summary": "The classes of images.",
        "description": (
            f"Up to {files} files of together {size:,} bytes, each of up to {pixels:,} pixels, in "
            "any format that the training reads. An image that cannot be read has an error in its "
            "place and changes nothing for the others."
        ),
        "parameters": [
            _parameter(
                "top",
                {"type": "integer", "minimum": 1, "default": 5},
                "How many classes are named.",
            ),
            _parameter(
                "explain",
                {"type": "boolean", "default": False},
                "Also the classes without the prompt, and pictures of what the model sees.",
            ),
        ],
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": {
            "200": {"description": "Of each image, in order.", **_json(_IMAGES)},
            "400": {"description": "The form is broken.", **_json(_ERROR)},
            "408": {"description": "It did not arrive in time.", **_json(_ERROR)},
            "413": {"description": "Too many bytes or files.", **_json(_ERROR)},
            "415": {"description": "It is no form.", **_json(_ERROR)},
            "422": {
                "description": "None of the images can be read, or a parameter is wrong.",
                **_json({"oneOf": [_IMAGES, _ERROR]}),
            },
            "503": {
                "description": "Too much waits already, or the answer took too long.",
                "headers": again,
                **_json(_ERROR),
            },
        },
    }


def _get(summary: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": {"200": {"description": "It.", **content}}}}


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _text(kind: str) -> dict[str, Any]:
    return {"content": {kind: {"schema": {"type": "string"}}}}


_STYLE = """
:root { color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5; }
body { background: #ffffff; color: #16181d; }
main { max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { border-top: 1px solid; padding-top: 1rem; overflow-wrap: anywhere; }
pre { overflow: auto; border: 1px solid; padding: 0.75rem; border-radius: 0.4rem; }
a { color: #1d4ed8; }
@media (prefers-color-scheme: dark) {
  body { background: #14161a; color: #eceef2; }
  a { color: #8fb2ff; }
}
th { text-align: left; vertical-align: top; padding-right: 1rem; white-space: nowrap; }
"""


def page(found: dict[str, Any]) -> str:
    """An OpenAPI document as a web page that loads nothing."""
    info = found["info"]
    parts = [
        f"<h1>{html.escape(info['title'])}</h1><p>{html.escape(info['description'])}</p>",
        '<p><a href="/">The page to drop images on</a> · <a href="/openapi.json">this document as '
        "JSON</a></p>",
    ]
    for path, methods in found["paths"].items():
        parts += [_section(path, method, about) for method, about in methods.items()]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{html.escape(info["title"])}: reference</title><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>"
    )


_EXAMPLE = """curl -F images=@one.jpg -F images=@notes.txt 'http://127.0.0.1:8000/predict?top=1'

{"images": [
  {"image": "one.jpg", "predictions": [{"class": "seven", "label": 7, "probability": 0.98}]},
  {"image": "notes.txt", "error": "the image notes.txt cannot be decoded: this is a text, ..."}
]}"""


def _section(path: str, method: str, about: dict[str, Any]) -> str:
    rows = [
        (f"?{x['name']}", f"{x['description']} {_values(x['schema'])}")
        for x in about.get("parameters", ())
    ]
    if method == "post":
        rows += [(status, x["description"]) for status, x in about["responses"].items()]
    table = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(text)}</td></tr>'
        for name, text in rows
    )
    text = " ".join(about[x] for x in ("summary", "description") if x in about)
    return (
        f"<h2>{method.upper()} {html.escape(path)}</h2><p>{html.escape(text)}</p>"
        + (f"<table>{table}</table>" if rows else "")
        + (_example() if method == "post" else "")
    )


def _values(schema: dict[str, Any]) -> str:
    about = ", ".join(f"{name} {json.dumps(value)}" for name, value in schema.items())
    return about[:1].upper() + about[1:] + "."


def _example() -> str:
    attributes = 'tabindex="0" role="region" aria-label="An example"'  # It may scroll.
    return f"<pre {attributes}>{html.escape(_EXAMPLE)}</pre>"
