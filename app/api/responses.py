"""Writes the answers of the object API: v3.4.0's envelope, redirects of views, and what another instance answered."""

from __future__ import annotations

import msgspec
from flask import Response, g, request

from app.api.request import current_services, raw_target, read_body
from app.core import wire
from app.core.errors import NetworkError
from app.core.names import encoded_target, instance_url
from app.routing import pinning

JSON = "application/json"


def success(data: msgspec.Struct) -> Response:
    """Answer a POST with its data in the envelope, and pin the client to this instance.

    Only POSTs set the cookie: redirects of views are cached for everyone.
    """
    services = current_services()
    response = Response(wire.success(data), content_type=JSON)
    cookie = services.deployment.cookie
    if pinning.sets_cookie(g.cookie, services.deployment.instances, g.forwarded_by is not None):
        response.set_cookie(
            cookie.name,
            services.instance.id,
            max_age=cookie.max_age,
            domain=cookie.domain,
            secure=bool(cookie.secure),
            httponly=True,
            samesite=cookie.same_site,
        )
    return response


def redirect(location: str, instead: str = "") -> Response:
    """Answer a view with the URL that shows its content.

    :param instead: why this is the original and not the thumbnail that was requested; it may exist the next time.
    """
    response = Response(status=302, content_type=JSON)
    # A record may be a second old already, in a worker's cache.
    kept = current_services().deployment.views.cache - 1
    if kept > 0 and not instead:
        # nginx's own header for itself, which it takes off: for some seconds it answers without asking. It stands first,
        # since nginx before 1.23 takes the first of the two.
        response.headers["X-Accel-Expires"] = str(kept)
    response.headers["Location"] = location
    # Browsers ask again, since a name may be uploaded again; what they keep is the content, by its signed URL.
    response.headers["Cache-Control"] = "no-cache"
    if instead:
        response.headers["X-OpenIM-Direct-Thumbnail"] = instead
    return response


def forward(*node_ids: str) -> Response:
    """Have an instance of one of these nodes answer the current request.

    :raises NetworkError: none can be reached, or another instance sent the request here.
    """
    services = current_services()
    instance, deployment = services.instance, services.deployment
    if g.forwarded_by is not None:
        raise NetworkError(
            f"{g.forwarded_by} forwarded a request for node {node_ids[0]} to {instance.id}, which serves {instance.node}: "
            f"their instances.yaml differ"
        )
    answer = services.forwarder.forward(
        " or ".join(node_ids),
        [owner for node_id in node_ids for owner in pinning.owners(deployment, node_id, instance.id)],
        raw_target(),
        request.headers.get,
        read_body(),
        request.method,
    )
    g.trail.forwarded_to = answer.instance
    response = Response(answer.body, answer.status)
    del response.headers["Content-Type"]
    response.headers["X-OpenIM-Direct-Forwarded-To"] = answer.instance
    response.headers.extend(answer.headers)
    return response


def redirect_to_instance_of(node_id: str) -> Response:
    """Answer a view with the same view at an instance that holds keys for the node.

    :raises NetworkError: no instance serves it.
    """
    services = current_services()
    owners = pinning.owners(services.deployment, node_id, services.instance.id)
    if not owners:
        raise NetworkError(f"the object lies on node {node_id}, which no instance serves")
    return redirect(instance_url(services.deployment.public_url, owners[0].id) + encoded_target(raw_target()))
