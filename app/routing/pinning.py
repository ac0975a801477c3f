"""Decides which instance a client belongs to. Pure: configuration and cookie value in, decisions out.

Three pins keep a client on one instance, and each suffices for correctness: the cookie (for clients that keep it), the
balancer's hash of the token, and the node inside the sealed upload ID, which this module turns into instances to forward to.
"""

from __future__ import annotations

from collections.abc import Mapping

from app.config.models import Deployment, Instance


def sets_cookie(current: str | None, instances: Mapping[str, Instance], forwarded: bool) -> bool:
    """Whether an answer to an API call sets this instance's cookie.

    Only when the client has none that names an instance, since a stand-in for a dead instance must not steal its client.
    A forwarded request is the exception: the rest of its upload then comes straight to the owner.
    """
    return forwarded or current not in instances


#: What kept a client on this instance, as metrics and logs call it.
PINS = ("cookie", "hash", "prefix", "forwarded", "none")


def pin(instance_id: str, cookie: str | None, known: bool, token: bool, prefix: str | None, forwarded: bool) -> str:
    """Name what brought a request to this instance, as far as an instance can tell: one of PINS.

    :param cookie: the instance cookie's value, and `known` whether it names an instance.
    :param token: whether there is one, which the balancer hashes where there is no known cookie.
    :param prefix: the instance that the path named, `/i/<instance>/`.
    """
    if forwarded:
        return "forwarded"
    if prefix == instance_id:
        return "prefix"
    if known:
        # Another's cookie: this instance stands in for one that is down.
        return "cookie" if cookie == instance_id else "none"
    return "hash" if token else "none"


def owners(deployment: Deployment, node_id: str, asking: str) -> list[Instance]:
    """The instances to forward to for a node, in the order to try: the one after `asking` first, so that several instances
    on one node share what others forward."""
    instances = [i for i in deployment.instances_of(node_id) if i.id != asking]
    shift = sorted(deployment.instances).index(asking) % max(1, len(instances))
    return instances[shift:] + instances[:shift]
