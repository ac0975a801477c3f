"""`/openapi.json`: the API's description, made from the very shapes that requests are read with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from flask import Blueprint, Response

from app import __version__
from app.core import wire

#: What does not follow from the shapes.
_BASE = Path(__file__).with_name("openapi.json")

openapi = Blueprint("openapi", __name__)


@openapi.get("/openapi.json")
def openapi_json() -> Response:
    """Describe the API as OpenAPI 3.1, whose schemas are JSON Schema, as msgspec writes them."""
    document: dict[str, Any] = msgspec.json.decode(_BASE.read_bytes())
    document["info"]["version"] = __version__
    shapes = [shape for route in wire.ROUTES.values() for shape in route]
    refs, schemas = msgspec.json.schema_components(shapes, ref_template="#/components/schemas/{name}")
    document["components"]["schemas"] |= schemas
    for name, request, data in zip(wire.ROUTES, refs[::2], refs[1::2], strict=True):
        document["paths"][f"/object/{name}"] = {"post": _post(name, request, data)}
    return Response(msgspec.json.encode(document), content_type="application/json")


def _post(name: str, request: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    success = {
        "type": "object",
        "required": ["errCode", "errMsg", "errDlt", "data"],
        "properties": {"errCode": {"const": 0}, "errMsg": {"const": ""}, "errDlt": {"const": ""}, "data": data},
    }
    answer = {"anyOf": [success, {"$ref": "#/components/schemas/Failure"}]}
    return {
        "operationId": name,
        "parameters": [{"$ref": f"#/components/parameters/{header}"} for header in ("operationID", "token")],
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {
            "200": {
                "description": "the envelope, of a success or a failure",
                "content": {"application/json": {"schema": answer}},
            },
            **{code: {"$ref": f"#/components/responses/{code}"} for code in ("400", "413", "503")},
        },
    }
