"""`/object/...`: v3.4.0's object routes. A view parses, calls, and wraps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec

from app.api.call import OBJECT, Call, Handler, Reply, view_at
from app.api.services import Services
from app.auth.sealing import Ticket
from app.auth.tokens import Identity
from app.core import wire
from app.core.errors import APIError, ArgsError, NetworkError, RecordNotFoundError
from app.core.names import api_address, check_name, instance_url
from app.downloads.views import ElsewhereError, NotCreatedError
from app.observability import metrics, trail
from app.routing import pinning
from app.routing.forwarding import MARK_HEADER
from app.uploads import parts

RequestT = TypeVar("RequestT")
AnswerT = TypeVar("AnswerT")
Answer = msgspec.Struct | Reply


def handlers(services: Services) -> tuple[dict[str, Handler], Handler]:
    """What answers the POST routes, by path, and views of objects."""
    deployment, instance = services.deployment, services.instance

    def post(shape: type[RequestT], view: Callable[[Call, Identity, RequestT], Answer]) -> Handler:
        """A POST route in v3.4.0's order of checks: operationID, token, body."""

        def handle(call: Call) -> Reply:
            if not call.header("operationID"):
                raise ArgsError("header must have operationID")
            token = call.header("token")
            if not token:
                raise ArgsError("header must have token")
            identity = services.authenticator.identify(token)
            trail.set_user(identity.user)
            answer = view(call, identity, wire.decode(call.body(), shape))
            if isinstance(answer, Reply):
                return answer
            return pinned(call, Reply(wire.success(answer)))

        return handle

    def pinned(call: Call, reply: Reply) -> Reply:
        """Set the instance cookie where this client has none. Only on API calls: views are cached for everyone."""
        current = call.cookie(deployment.cookie.name)
        if pinning.sets_cookie(current, deployment.instances, forwarded_by(call) is not None):
            reply.headers.append(("Set-Cookie", pinning.cookie_header(deployment.cookie, instance.id)))
        return reply

    def forwarded_by(call: Call) -> str | None:
        return services.sealer.forwarded_by(call.header(MARK_HEADER))

    #: Nodes for new uploads, where the own node takes none.
    draining = deployment.nodes[instance.node].drain
    taking = [n.id for n in deployment.nodes.values() if not n.drain]

    def forward(call: Call, *node_ids: str) -> Reply:
        """Have an instance of one of these nodes answer this request.

        :raises NetworkError: none can be reached, or another instance sent it here.
        """
        sender = forwarded_by(call)
        if sender is not None:
            raise NetworkError(
                f"{sender} forwarded a request for node {node_ids[0]} to {instance.id}, which serves {instance.node}: "
                f"their instances.yaml differ"
            )
        answer = services.forwarder.forward(
            " or ".join(node_ids),
            [owner for node_id in node_ids for owner in pinning.owners(deployment, node_id, instance.id)],
            _target(call),
            call.header,
            call.body(),
            call.method,
        )
        trail.set_forwarded(answer.instance)
        reply = Reply(answer.body, answer.status)
        reply.headers.append(("X-OpenIM-Direct-Forwarded-To", answer.instance))
        for name, value in answer.headers:
            reply.headers.append((name, value)) if name == "Set-Cookie" else reply.set(name, value)
        return reply

    def forward_or(call: Call, node_id: str, here: Callable[[], AnswerT]) -> Reply | AnswerT:
        """Have an instance of the node answer, or do it here where none can be reached."""
        try:
            return forward(call, node_id)
        except NetworkError:
            return here()

    def returned_api(call: Call) -> str:
        """What returned URLs begin with: what the client asks for, else public_url."""
        address = api_address(call.header("X-Request-Api")) or deployment.public_url
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

    def part_limit(_: Call, __: Identity, ___: wire.PartLimitRequest) -> Answer:
        return parts.part_limit()

    def part_size(_: Call, __: Identity, body: wire.PartSizeRequest) -> Answer:
        return wire.PartSize(size=parts.part_size(body.size or 0))

    def initiate(call: Call, identity: Identity, body: wire.InitiateRequest) -> Answer:
        if draining:
            return forward(call, *taking)
        begun = services.uploads.initiate(identity, body, returned_api(call))
        metrics.upload_begun(there=begun.upload is None)
        return begun

    def auth_sign(call: Call, identity: Identity, body: wire.AuthSignRequest) -> Answer:
        ticket = open_upload(identity, body.upload_id or "")
        if ticket.node != instance.node:
            return forward(call, ticket.node)
        return services.uploads.sign(identity, ticket, body.part_numbers or [])

    def complete(call: Call, identity: Identity, body: wire.CompleteRequest) -> Answer:
        # v3.4.0 looks at the name before the upload ID.
        check_name(body.name or "", identity.user, identity.is_admin)
        ticket = open_upload(identity, body.upload_id or "")
        if ticket.node != instance.node:
            return forward(call, ticket.node)
        return completed(ticket.size, lambda: services.uploads.complete(identity, ticket, body, returned_api(call)))

    def initiate_form_data(call: Call, identity: Identity, body: wire.InitiateFormDataRequest) -> Answer:
        if draining:
            return forward(call, *taking)
        begun = services.forms.initiate(identity, body)
        metrics.upload_begun(there=False)
        return begun

    def complete_form_data(call: Call, identity: Identity, body: wire.CompleteFormDataRequest) -> Answer:
        ticket = services.sealer.open_form(body.id or "")
        if ticket.node != instance.node:
            return forward(call, ticket.node)
        return completed(ticket.size, lambda: services.forms.complete(identity, ticket, returned_api(call)))

    def access_url(call: Call, _: Identity, body: wire.AccessURLRequest) -> Answer:
        name, query = body.name or "", body.query or {}
        try:
            return services.downloads.access_url(name, query, local=forwarded_by(call) is not None)
        except ElsewhereError as e:
            return forward(call, e.node)
        except NotCreatedError as e:
            return forward_or(call, e.node, lambda: services.downloads.access_url(name, query, local=True))

    # A record may be a second old already, in a worker's cache.
    kept = deployment.views.cache - 1

    def view(call: Call) -> Reply:
        name = _requested_name(call)
        try:
            return shown(call, name, here=forwarded_by(call) is not None)
        except ElsewhereError as e:
            return redirect(elsewhere(call, e.node))
        except NotCreatedError as e:
            return forward_or(call, e.node, lambda: shown(call, name, here=True))

    def shown(call: Call, name: str, here: bool) -> Reply:
        found = services.downloads.view(name, call.query, call.method, here)
        reply = redirect(found.url, keep=not found.instead)
        if found.instead:
            # The thumbnail may be there the next time.
            reply.headers.append(("X-OpenIM-Direct-Thumbnail", found.instead))
        return reply

    def redirect(location: str, keep: bool = True) -> Reply:
        reply = Reply(b"", 302)
        if kept > 0 and keep:
            # nginx's own header for itself, which it takes off: for some seconds it answers without asking. It stands
            # first, since nginx before 1.23 takes the first of the two.
            reply.headers.append(("X-Accel-Expires", str(kept)))
        # Browsers ask again, since a name may be uploaded again; what they keep is the content, by its signed URL.
        reply.headers += [("Location", location), ("Cache-Control", "no-cache")]
        return reply

    def elsewhere(call: Call, node_id: str) -> str:
        """The same view at an instance that holds keys for the node."""
        owners = pinning.owners(deployment, node_id, instance.id)
        if not owners:
            raise NetworkError(f"the object lies on node {node_id}, which no instance serves")
        return instance_url(deployment.public_url, owners[0].id) + _target(call)

    views: dict[str, Callable[[Call, Identity, Any], Answer]] = {
        "part_limit": part_limit,
        "part_size": part_size,
        "initiate_multipart_upload": initiate,
        "auth_sign": auth_sign,
        "complete_multipart_upload": complete,
        "initiate_form_data": initiate_form_data,
        "complete_form_data": complete_form_data,
        "access_url": access_url,
    }
    return {OBJECT + route: post(shape, views[route]) for route, (shape, _) in wire.ROUTES.items()}, view


def _target(call: Call) -> str:
    """Path and query as the client sent them, without what stands before `/object/`."""
    raw = call.raw_uri
    return raw[max(0, raw.find(OBJECT)) :]


def _requested_name(call: Call) -> str:
    """The name in the path, decoded once from what the client sent: WSGI's own decoding loses bytes that are not UTF-8.
    A URL that names an instance, perhaps one that is gone, shows its object at any other that it reaches unstripped.

    :raises RecordNotFoundError: no UTF-8; no such name can have been uploaded.
    """
    path = call.raw_uri.partition("?")[0]
    start = path.find(OBJECT)
    if start < 0:
        return call.path[view_at(call.path) :]
    try:
        return unquote_to_bytes(path[start + len(OBJECT) :]).decode()
    except UnicodeDecodeError:
        raise RecordNotFoundError from None
