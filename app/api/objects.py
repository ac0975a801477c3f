"""`/object/...`: v3.4.0's object routes. A view parses, calls, and wraps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from flask import Flask, Response, request

from app import metrics, pinning, trail, uploads, wire
from app.auth import Identity
from app.downloads import ElsewhereError, NotMadeError
from app.errors import APIError, ArgsError, NetworkError, RecordNotFoundError
from app.forwarding import MARK_HEADER
from app.names import api_address, check_name, instance_url
from app.sealing import Ticket
from app.services import Services

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")
Answer = msgspec.Struct | Response
_PREFIX = "/object/"


def add_routes(app: Flask, services: Services) -> None:
    deployment, instance = services.deployment, services.instance

    def post(route: str, shape: type[RequestT], view: Callable[[Identity, RequestT], Answer]) -> None:
        """Add a POST route in v3.4.0's order of checks: operationID, token, body."""

        def handle() -> Response:
            if not request.headers.get("operationID"):
                raise ArgsError("header must have operationID")
            token = request.headers.get("token")
            if not token:
                raise ArgsError("header must have token")
            identity = services.authenticator.identify(token)
            trail.set_user(identity.user)
            answer = view(identity, wire.decode(request.get_data(cache=True), shape))
            if isinstance(answer, Response):
                return answer
            return pinned(Response(wire.success(answer), content_type="application/json"))

        app.add_url_rule(_PREFIX + route, route, handle, methods=["POST"])

    def pinned(response: Response) -> Response:
        """Set the instance cookie where this client has none. Only on API calls: views are cached for everyone."""
        current = request.cookies.get(deployment.cookie.name)
        if pinning.sets_cookie(current, deployment.instances, forwarded_by() is not None):
            response.headers.add("Set-Cookie", pinning.cookie_header(deployment.cookie, instance.id))
        return response

    def forwarded_by() -> str | None:
        return services.sealer.forwarded_by(request.headers.get(MARK_HEADER))

    #: Nodes for new uploads, where the own node takes none.
    draining = deployment.nodes[instance.node].drain
    taking = [n.id for n in deployment.nodes.values() if not n.drain]

    def forward(*node_ids: str) -> Response:
        """Have an instance of one of these nodes answer this request.

        :raises NetworkError: none can be reached, or another instance sent it here.
        """
        sender = forwarded_by()
        if sender is not None:
            raise NetworkError(
                f"{sender} forwarded a request for node {node_ids[0]} to {instance.id}, which serves {instance.node}: "
                f"their instances.yaml differ"
            )
        answer = services.forwarder.forward(
            " or ".join(node_ids),
            [owner for node_id in node_ids for owner in pinning.owners(deployment, node_id, instance.id)],
            _target(),
            {name.lower(): value for name, value in request.headers.items()},
            request.get_data(cache=True),
            request.method,
        )
        trail.set_forwarded(answer.instance)
        response = Response(answer.body, answer.status)
        response.headers["X-OpenIM-Direct-Forwarded-To"] = answer.instance
        for name, value in answer.headers:
            response.headers.add(name, value) if name == "Set-Cookie" else response.headers.set(name, value)
        return response

    def forward_or(node_id: str, here: Callable[[], AnswerT]) -> Response | AnswerT:
        """Have an instance of the node answer, or do it here where none can be reached."""
        try:
            return forward(node_id)
        except NetworkError:
            return here()

    def returned_api() -> str:
        """What returned URLs begin with: what the client asks for, else public_url."""
        address = api_address(request.headers.get("X-Request-Api")) or deployment.public_url
        return instance_url(address, instance.id) if deployment.instance_urls else address

    def open_upload(identity: Identity, upload_id: str) -> Ticket:
        if services.legacy_ids is not None:
            ticket = services.legacy_ids.open(upload_id, identity.user)
            if ticket is not None:
                return ticket
        return services.sealer.open(upload_id)

    def completed(size: int, complete: Callable[[], AnswerT]) -> AnswerT:
        try:
            answer = complete()
        except APIError as e:
            metrics.upload_failed(e.name)
            raise
        metrics.upload_completed(size)
        return answer

    def part_limit(_: Identity, __: wire.PartLimitRequest) -> Answer:
        return uploads.part_limit()

    def part_size(_: Identity, body: wire.PartSizeRequest) -> Answer:
        return wire.PartSize(size=uploads.part_size(body.size or 0))

    def initiate(identity: Identity, body: wire.InitiateRequest) -> Answer:
        if draining:
            return forward(*taking)
        begun = services.uploads.initiate(identity, body, returned_api())
        metrics.upload_begun(there=begun.upload is None)
        return begun

    def auth_sign(identity: Identity, body: wire.AuthSignRequest) -> Answer:
        ticket = open_upload(identity, body.upload_id or "")
        if ticket.node != instance.node:
            return forward(ticket.node)
        return services.uploads.sign(identity, ticket, body.part_numbers or [])

    def complete(identity: Identity, body: wire.CompleteRequest) -> Answer:
        # v3.4.0 looks at the name before the upload ID.
        check_name(body.name or "", identity.user, identity.is_admin)
        ticket = open_upload(identity, body.upload_id or "")
        if ticket.node != instance.node:
            return forward(ticket.node)
        return completed(ticket.size, lambda: services.uploads.complete(identity, ticket, body, returned_api()))

    def initiate_form_data(identity: Identity, body: wire.InitiateFormDataRequest) -> Answer:
        if draining:
            return forward(*taking)
        begun = services.forms.initiate(identity, body)
        metrics.upload_begun(there=False)
        return begun

    def complete_form_data(identity: Identity, body: wire.CompleteFormDataRequest) -> Answer:
        ticket = services.sealer.open_form(body.id or "")
        if ticket.node != instance.node:
            return forward(ticket.node)
        return completed(ticket.size, lambda: services.forms.complete(identity, ticket, returned_api()))

    def access_url(_: Identity, body: wire.AccessURLRequest) -> Answer:
        name, query = body.name or "", body.query or {}
        try:
            return services.downloads.access_url(name, query, here=forwarded_by() is not None)
        except ElsewhereError as e:
            return forward(e.node)
        except NotMadeError as e:
            return forward_or(e.node, lambda: services.downloads.access_url(name, query, here=True))

    # A record may be a second old already, in a worker's cache.
    kept = deployment.views.cache - 1

    def view(rest: str) -> Response:
        name = _requested_name(rest)
        try:
            return shown(name, here=forwarded_by() is not None)
        except ElsewhereError as e:
            return redirect(elsewhere(e.node))
        except NotMadeError as e:
            return forward_or(e.node, lambda: shown(name, here=True))

    def shown(name: str, here: bool) -> Response:
        found = services.downloads.view(name, request.args, request.method, here)
        response = redirect(found.url, keep=not found.instead)
        if found.instead:
            # The thumbnail may be there the next time.
            response.headers["X-OpenIM-Direct-Thumbnail"] = found.instead
        return response

    def redirect(location: str, keep: bool = True) -> Response:
        # Browsers ask again, since a name may be uploaded again; what they keep is the content, by its signed URL.
        headers = {"Location": location, "Cache-Control": "no-cache"}
        if kept > 0 and keep:
            # nginx's own header for itself, which it takes off: for some seconds it answers without asking. It stands
            # first, since nginx before 1.23 takes the first of the two.
            headers = {"X-Accel-Expires": str(kept), **headers}
        return Response(status=302, headers=headers, content_type="application/json")

    def elsewhere(node_id: str) -> str:
        """The same view at an instance that holds keys for the node."""
        owners = pinning.owners(deployment, node_id, instance.id)
        if not owners:
            raise NetworkError(f"the object lies on node {node_id}, which no instance serves")
        return instance_url(deployment.public_url, owners[0].id) + _target()

    views: dict[str, Callable[[Identity, Any], Answer]] = {
        "part_limit": part_limit,
        "part_size": part_size,
        "initiate_multipart_upload": initiate,
        "auth_sign": auth_sign,
        "complete_multipart_upload": complete,
        "initiate_form_data": initiate_form_data,
        "complete_form_data": complete_form_data,
        "access_url": access_url,
    }
    for route, (shape, _) in wire.ROUTES.items():
        post(route, shape, views[route])
    app.add_url_rule(_PREFIX + "<any_path:rest>", "view", view, methods=["GET"])
    # A URL that names an instance, perhaps one that is gone, shows its object at any other that it reaches unstripped.
    app.add_url_rule(f"/i/<_instance>{_PREFIX}<any_path:rest>", "prefixed_view", lambda _instance, rest: view(rest))


def _target() -> str:
    """Path and query as the client sent them."""
    raw = str(request.environ.get("RAW_URI", ""))
    return raw[max(0, raw.find(_PREFIX)) :] or request.full_path


def _requested_name(rest: str) -> str:
    """The name in the path, decoded once from what the client sent: WSGI's own decoding loses bytes that are not UTF-8.

    :raises RecordNotFoundError: no UTF-8; no such name can have been uploaded.
    """
    raw: Any = request.environ.get("RAW_URI", "")
    path = raw.partition("?")[0]
    start = path.find(_PREFIX)
    if start < 0:
        return rest
    try:
        return unquote_to_bytes(path[start + len(_PREFIX) :]).decode()
    except UnicodeDecodeError:
        raise RecordNotFoundError from None
