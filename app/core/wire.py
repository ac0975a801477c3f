"""v3.4.0's request and answer shapes, and its envelope. Knows no HTTP.

Requests leave out what they like (Go's zero values), `null` counts as left out, unknown fields are ignored, and numbers
must be JSON integers of 32 or 64 bits, as in v3.4.0's own shapes.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec

from app.core import go_json
from app.core.errors import APIError, BodyError

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
#: More part numbers or hashes than S3 has parts are refused before anything is computed from them.
MAX_PARTS = 10_000


class PartLimitRequest(msgspec.Struct):
    pass


class PartSizeRequest(msgspec.Struct):
    size: Int64 | None = None


class InitiateRequest(msgspec.Struct, rename="camel"):
    hash: str | None = None
    size: Int64 | None = None
    part_size: Int64 | None = None
    max_parts: Int32 | None = None
    cause: str | None = None
    name: str | None = None
    content_type: str | None = None


class AuthSignRequest(msgspec.Struct):
    upload_id: str | None = msgspec.field(name="uploadID", default=None)
    part_numbers: list[Int32] | None = msgspec.field(name="partNumbers", default=None)


class CompleteRequest(msgspec.Struct):
    upload_id: str | None = msgspec.field(name="uploadID", default=None)
    parts: list[str] | None = None
    name: str | None = None
    content_type: str | None = msgspec.field(name="contentType", default=None)
    cause: str | None = None


class AccessURLRequest(msgspec.Struct):
    name: str | None = None
    query: dict[str, str] | None = None


class InitiateFormDataRequest(msgspec.Struct, rename="camel"):
    name: str | None = None
    size: Int64 | None = None
    content_type: str | None = None
    group: str | None = None
    millisecond: Int64 | None = None
    absolute: bool | None = None


class CompleteFormDataRequest(msgspec.Struct):
    id: str | None = None


class PartLimit(msgspec.Struct, rename="camel"):
    min_part_size: int
    max_part_size: int
    max_num_size: int


class PartSize(msgspec.Struct):
    size: int


class KeyValues(msgspec.Struct):
    key: str
    values: list[str]


class SignedPart(msgspec.Struct, rename="camel"):
    """How to send one part: PUT to `url` with the `query` and `header` pairs added."""

    part_number: int
    url: str
    query: list[KeyValues] | None = None
    header: list[KeyValues] | None = None


class Sign(msgspec.Struct):
    """What applies to all parts, and each part. A part here always has a URL of its own, so `url` stays empty."""

    parts: list[SignedPart]
    url: str = ""
    query: list[KeyValues] | None = None
    header: list[KeyValues] | None = None


class Upload(msgspec.Struct):
    upload_id: str = msgspec.field(name="uploadID")
    part_size: int = msgspec.field(name="partSize")
    sign: Sign
    #: Unix milliseconds.
    expire_time: int = msgspec.field(name="expireTime")


class Initiated(msgspec.Struct):
    """Either `url` of content that is already there, or `upload` to carry out."""

    url: str
    upload: Upload | None


class Completed(msgspec.Struct):
    url: str


class InitiatedForm(msgspec.Struct, rename="camel"):
    """A browser's form: POST `form_data` and then the file, in the field `file`, to `url`."""

    id: str
    url: str
    file: str
    header: list[KeyValues] | None
    form_data: dict[str, str]
    #: Unix milliseconds.
    expires: int
    success_codes: list[int]


class AccessURL(msgspec.Struct):
    url: str
    #: Unix milliseconds.
    expire_time: int = msgspec.field(name="expireTime")


#: Each POST route under /object/ with what it takes and what it answers; routes and description are made from it.
ROUTES: dict[str, tuple[type[Any], type[Any]]] = {
    "part_limit": (PartLimitRequest, PartLimit),
    "part_size": (PartSizeRequest, PartSize),
    "initiate_multipart_upload": (InitiateRequest, Initiated),
    "auth_sign": (AuthSignRequest, Sign),
    "complete_multipart_upload": (CompleteRequest, Completed),
    "initiate_form_data": (InitiateFormDataRequest, InitiatedForm),
    "complete_form_data": (CompleteFormDataRequest, Completed),
    "access_url": (AccessURLRequest, AccessURL),
}

RequestT = TypeVar("RequestT", bound=msgspec.Struct)
_encoder = msgspec.json.Encoder()


def _exact(shape: type[Any]) -> msgspec.json.Decoder[Any]:
    """Return a decoder that takes the shape's own keys alone, so that no other may mean one of them."""
    only = msgspec.defstruct(shape.__name__, [], bases=(shape,), forbid_unknown_fields=True)
    return msgspec.json.Decoder(only)


#: For bodies as clients' JSON libraries write them: nearly all. A map that is there twice is one map in Go, so that the
#: shape with a map has none.
_EXACT = {shape: _exact(shape) for shape, _ in ROUTES.values() if shape is not AccessURLRequest}


def decode(body: bytes, shape: type[RequestT]) -> RequestT:
    """Read a request body as v3.4.0 does.

    :raises BodyError: not JSON, or not of the route's shape; says which field.
    """
    exact = _EXACT.get(shape)
    # What this takes, Go takes and means the same by, but for `null` after another value of the field.
    if exact is not None and b"null" not in body:
        try:
            value: RequestT = exact.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # What Go says to it decides, and what is wrong with it.
            pass
        else:
            return value
    if not body.strip():
        raise BodyError("the body is empty (EOF): send the route's JSON, `{}` at least")
    try:
        return go_json.read(body, shape)
    except msgspec.ValidationError as e:
        raise BodyError(f"json: {e}") from None
    except go_json.NotJSONError as e:
        raise BodyError(f"the body is not JSON: {e}") from None


def success(data: msgspec.Struct) -> bytes:
    return b'{"errCode":0,"errMsg":"","errDlt":"","data":' + _encoder.encode(data) + b"}"


def failure(error: APIError) -> bytes:
    return _encoder.encode({"errCode": error.code, "errMsg": error.name, "errDlt": error.err_dlt})


def failure_text(error: APIError) -> str:
    """The text of a failed GET, in v3.4.0's form."""
    return f": {error.code} {error.name} {error.err_dlt}"
