"""`/openapi.json`: the API's description, made from the very shapes that requests are read with."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, Response

from app import __version__
from app.core import wire

_REF = "#/components/schemas/{name}"


openapi = Blueprint("openapi", __name__)


@openapi.get("/openapi.json")
def openapi_json() -> Response:
    return Response(msgspec.json.encode(describe()), content_type="application/json")


def describe() -> dict[str, Any]:
    """OpenAPI 3.1 (whose schemas are JSON Schema, as msgspec writes them)."""
    shapes: list[type[Any]] = [shape for route in wire.ROUTES.values() for shape in route]
    refs, components = msgspec.json.schema_components(shapes, ref_template=_REF)
    paths: dict[str, Any] = {}
    for n, name in enumerate(wire.ROUTES):
        paths[f"/object/{name}"] = {"post": _post(name, refs[2 * n], refs[2 * n + 1])}
    paths["/object/{name}"] = {method: _view(method) for method in ("get", "head")}
    components["Failure"] = _failure()
    return {
        "openapi": "3.1.0",
        "info": {"title": "OpenIM object API (v3.4.0)", "version": __version__},
        "paths": paths,
        "components": {"schemas": components},
    }


def _post(name: str, request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    success = {
        "type": "object",
        "required": ["errCode", "errMsg", "errDlt", "data"],
        "properties": {"errCode": {"const": 0}, "errMsg": {"const": ""}, "errDlt": {"const": ""}, "data": answer},
    }
    failure = {"$ref": _REF.format(name="Failure")}

    def content(*schemas: dict[str, Any]) -> dict[str, Any]:
        return {"application/json": {"schema": {"anyOf": list(schemas)} if len(schemas) > 1 else schemas[0]}}

    return {
        "operationId": name,
        "parameters": [_header("operationID"), _header("token")],
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {
            "200": {"description": "the envelope, of a success or a failure", "content": content(success, failure)},
            "400": {"description": "the body is not the JSON that the route takes", "content": content(failure)},
            "413": {"description": "the body is over 1 MiB", "content": content(failure)},
            "503": {"description": "something this needs is down; try again", "content": content(failure)},
        },
    }


def _view(method: str) -> dict[str, Any]:
    query = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in ("type", "width", "height", "format")]
    path = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    answers = {"302": "to the signed URL", "404": "no such name", "400": "bad query", "503": "something is down; try again"}
    return {
        "operationId": f"{method}_object",
        "parameters": [path, *query],
        "responses": {status: {"description": text} for status, text in answers.items()},
    }


def _header(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}


def _failure() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["errCode", "errMsg", "errDlt"],
        "properties": {
            "errCode": {"type": "integer", "not": {"const": 0}},
            "errMsg": {"type": "string"},
            "errDlt": {"type": "string", "minLength": 1},
        },
        "additionalProperties": False,
    }
