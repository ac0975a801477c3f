"""`/object/...`: v3.4.0's object API, one view a route. A view reads the request, calls the rules, and writes the answer."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, Response, g, request

from app.api.request import current_services, first_value, read_json, requested_name, requested_query, returned_api
from app.api.responses import forward, redirect, redirect_to_instance_of, success
from app.auth.sealing import FormTicket, Ticket
from app.core import wire
from app.core.errors import APIError, ArgsError, NetworkError
from app.core.names import check_name
from app.downloads.views import ElsewhereError, NotCreatedError
from app.observability import metrics
from app.uploads import parts

objects = Blueprint("objects", __name__)


@objects.before_request
def authenticate() -> None:
    """Check the headers of a POST in v3.4.0's order: operationID, then token. Views need neither."""
    if request.method != "POST":
        return
    if not first_value("operationID"):
        raise ArgsError("header must have operationID")
    token = first_value("token")
    if not token:
        raise ArgsError("header must have token")
    g.identity = current_services().authenticator.identify(token)
    g.trail.user = g.identity.user


@objects.post("/object/part_limit")
def part_limit() -> Response:
    read_json(wire.PartLimitRequest)
    return success(parts.part_limit())


@objects.post("/object/part_size")
def part_size() -> Response:
    body = read_json(wire.PartSizeRequest)
    return success(wire.PartSize(size=parts.part_size(body.size or 0)))


@objects.post("/object/initiate_multipart_upload")
def initiate_multipart_upload() -> Response:
    body = read_json(wire.InitiateRequest)
    services = current_services()
    if services.drains:
        return forward(*services.nodes_for_uploads)
    initiated = services.uploads.initiate(g.identity, body, returned_api())
    metrics.count("uploads_deduplicated" if initiated.upload is None else "uploads_begun")
    return success(initiated)


@objects.post("/object/auth_sign")
def auth_sign() -> Response:
    body = read_json(wire.AuthSignRequest)
    services = current_services()
    ticket = _open_upload(body.upload_id or "")
    if ticket.node != services.instance.node:
        return forward(ticket.node)
    return success(services.uploads.sign(g.identity, ticket, body.part_numbers or []))


@objects.post("/object/complete_multipart_upload")
def complete_multipart_upload() -> Response:
    body = read_json(wire.CompleteRequest)
    services = current_services()
    # v3.4.0 looks at the name before the upload ID.
    check_name(body.name or "", g.identity.user, g.identity.is_admin)
    ticket = _open_upload(body.upload_id or "")
    return _complete(ticket, lambda: services.uploads.complete(g.identity, ticket, body, returned_api()))


@objects.post("/object/initiate_form_data")
def initiate_form_data() -> Response:
    body = read_json(wire.InitiateFormDataRequest)
    services = current_services()
    if services.drains:
        return forward(*services.nodes_for_uploads)
    initiated = services.forms.initiate(g.identity, body)
    metrics.count("uploads_begun")
    return success(initiated)


@objects.post("/object/complete_form_data")
def complete_form_data() -> Response:
    body = read_json(wire.CompleteFormDataRequest)
    services = current_services()
    ticket = services.sealer.open_form(body.id or "")
    return _complete(ticket, lambda: services.forms.complete(g.identity, ticket, returned_api()))


@objects.post("/object/access_url")
def access_url() -> Response:
    body = read_json(wire.AccessURLRequest)
    downloads = current_services().downloads
    try:
        return _show(lambda local: success(downloads.access_url(body.name or "", body.query or {}, local)))
    except ElsewhereError as e:
        return forward(e.node)


@objects.get("/object/<name:_name>")
@objects.get("/i/<_instance>/object/<name:_name>")
def view(_name: str, _instance: str = "") -> Response:
    """Redirect GET or HEAD of a name to the signed URL of its content, or of a thumbnail (`?type=image`)."""
    name, query = requested_name(), requested_query()
    services = current_services()

    def to_content(local: bool) -> Response:
        shown = services.downloads.view(name, query, request.method, local)
        return redirect(shown.url, shown.instead)

    with services.view_slots:
        try:
            return _show(to_content)
        except ElsewhereError as e:
            return redirect_to_instance_of(e.node)


def _show(answer: Callable[[bool], Response]) -> Response:
    """Answer with an object's URL; a thumbnail that does not exist yet is best created by the node's own instance.

    :param answer: answers by this instance; with True it creates the thumbnail wherever it lies.
    """
    try:
        return answer(g.forwarded_by is not None)
    except NotCreatedError as e:
        try:
            return forward(e.node)
        except NetworkError:
            # Better created here than not shown.
            return answer(True)


def _open_upload(upload_id: str) -> Ticket:
    """Read an upload ID: one of v3.4.0's where the deployment comes from it, else a sealed one of ours."""
    services = current_services()
    if services.legacy_ids is not None:
        ticket = services.legacy_ids.open(upload_id, g.identity.user)
        if ticket is not None:
            return ticket
    return services.sealer.open(upload_id)


def _complete(ticket: Ticket | FormTicket, complete: Callable[[], wire.Completed]) -> Response:
    """Complete an upload at an instance of its node, and count it by how it ends."""
    if ticket.node != current_services().instance.node:
        return forward(ticket.node)
    try:
        completed = complete()
    except APIError as e:
        metrics.count("uploads_failed", e.name)
        raise
    metrics.count("uploads_completed")
    metrics.count("upload_bytes", by=ticket.size)
    return success(completed)
