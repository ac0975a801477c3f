"""The deployment's Redis: v3.4.0's token states, in hashes `UID_PID_TOKEN_STATUS:<user>:<platform>` of token to state, and
counters of ours.

One server, or a cluster. v3.4.0 means a cluster where `redis.address` lists several servers or `clusterMode` is true; here
several addresses do, and a single server that answers MOVED, which only those of a cluster say.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import MovedError, NoPermissionError, ReadOnlyError, RedisClusterException
from redis.retry import Retry

from app.core.errors import DatabaseError
from app.core.unreachable import reason

log = logging.getLogger(__name__)

T = TypeVar("T")
#: Seconds. Redis answers in under a millisecond; a request must not wait long to learn that it does not.
_CONNECT_TIMEOUT = 1.0
_ANSWER_TIMEOUT = 2.0
#: Seconds after a failure to reach any server of a cluster until one is looked for again.
_LOOK_AGAIN = 1.0
_URL = re.compile(r"(?P<begin>rediss?://(?:[^/?#]*@)?)(?P<servers>[^/?#]*)(?P<end>.*)", re.DOTALL)
#: What redis-py raises; of a cluster's state something outside its own base class.
_ERRORS = (redis.RedisError, RedisClusterException, OSError)


class RedisStore:
    """
    :param url: `redis://:password@host:6379/0`; several servers of a cluster as `host1:6379,host2:6379`.
    :param ca_file: trusted for TLS instead of the system's authorities, where the URL names no file of its own.
    """

    def __init__(self, url: str, ca_file: str | None = None) -> None:
        parts = _URL.fullmatch(url)
        if parts is None:
            raise ValueError("not a URL of Redis")
        self._urls = [f"{parts['begin']}{server}{parts['end']}" for server in parts["servers"].split(",")]
        self._options: dict[str, Any] = {
            "socket_connect_timeout": _CONNECT_TIMEOUT,
            "socket_timeout": _ANSWER_TIMEOUT,
            "health_check_interval": 30,
            "decode_responses": False,
            # Redis before 6 and several proxies do not know HELLO, with which the newer protocol begins. The URL may say 3.
            "protocol": 2,
        }
        if ca_file is not None and parts["begin"].startswith("rediss:") and "ssl_ca_certs=" not in parts["end"]:
            # Read for each connection, so that a renewed file is taken.
            self._options["ssl_ca_certs"] = ca_file
        self._lock = threading.Lock()
        self._cluster: RedisCluster | None = None
        self._in_cluster = len(self._urls) > 1
        #: Why no server of the cluster could be reached, and until when that is believed, by the monotonic clock.
        self._failure: tuple[float, DatabaseError] | None = None
        # Once more, for a kept connection that Redis closed meanwhile.
        self._single = redis.Redis.from_url(self._urls[0], retry=Retry(NoBackoff(), 1), **self._options)

    def get(self, user: str, platform: str, token: str) -> str | None:
        """The state of a token as v3.4.0 stored it, or None where there is none."""
        key = f"UID_PID_TOKEN_STATUS:{user}:{platform}"
        found = self._run(
            "the state of the token cannot be asked of Redis", lambda client: cast("bytes | None", client.hget(key, token))
        )
        return None if found is None else found.decode("ascii", "replace")

    def count(self, key: str, by: int, seconds: int) -> int:
        """See `limits.Counters`."""

        def add(client: Any) -> int:
            with client.pipeline() as pipeline:
                pipeline.incrby(key, by)
                pipeline.expire(key, seconds)
                return int(pipeline.execute()[0])

        return self._run("the user's limit cannot be counted in Redis", add)

    def ping(self) -> None:
        """Ask as a request does, and each master of a cluster.

        :raises DatabaseError: Redis does not answer, or refuses the login; says which.
        """
        try:
            self._do(lambda client: client.hget("UID_PID_TOKEN_STATUS:openim-direct:check", "check"))
            if self._cluster is not None:
                self._cluster.ping(target_nodes=RedisCluster.PRIMARIES)
        except NoPermissionError as e:
            if self._cluster is None or "hget" in str(e).lower():
                raise DatabaseError(_fault(e)) from e
            # PING is a right of its own, and no request needs it.
        except _ERRORS as e:
            raise DatabaseError(_fault(e)) from e

    def _run(self, what: str, do: Callable[[Any], T]) -> T:
        try:
            return self._do(do)
        except _ERRORS as e:
            why = _why(e)
            log.error("%s: %s", what, why)
            raise DatabaseError(f"{what} ({why}); try again") from e

    def _do(self, do: Callable[[Any], T]) -> T:
        if not self._in_cluster:
            try:
                return do(self._single)
            except redis.ResponseError as e:
                # Older versions of redis-py have no class of it outside a cluster.
                if not (isinstance(e, MovedError) or str(e).startswith("MOVED ")):
                    raise
                log.warning("auth.redis names one server of a Redis cluster: the others are found through it")
                self._in_cluster = True
        return do(self._found_cluster())

    def _found_cluster(self) -> RedisCluster:
        """The cluster's client, which asks one of the servers for all of them as it is made.

        :raises DatabaseError: none could be reached a moment ago.
        """
        with self._lock:
            if self._cluster is None:
                if self._failure is not None and time.monotonic() < self._failure[0]:
                    # Those that waited for the lock need not each wait for every server's silence.
                    raise self._failure[1]
                servers = [urlsplit(url) for url in self._urls]
                try:
                    self._cluster = RedisCluster.from_url(
                        self._urls[0],
                        startup_nodes=[_server(s.hostname, s.port) for s in servers],
                        # Once more, after the cluster was asked anew who is master of what.
                        retry=Retry(NoBackoff(), 1),
                        **self._options,
                    )
                except _ERRORS as e:
                    error = DatabaseError(f"no server of the Redis cluster can be asked ({_why(e)}); try again")
                    self._failure = time.monotonic() + _LOOK_AGAIN, error
                    raise
            return self._cluster


def _server(host: str | None, port: int | None) -> ClusterNode:
    # redis-py has no types here.
    make: Any = ClusterNode
    return cast("ClusterNode", make(host or "localhost", port or 6379))


def _why(error: Exception) -> str:
    """What went wrong, for an answer: no address, which the driver's text may hold."""
    return _known(error)[0]


def _fault(error: Exception) -> str:
    """The cause and its cure, for `check`."""
    return _known(error)[1]


def _known(error: Exception) -> tuple[str, str]:
    """Both of them. The innermost cause says most: redis-py tells of a refusal inside a text about the cluster."""
    for cause in reversed(list(_causes(error))):
        text = str(cause)
        if isinstance(cause, NoPermissionError):
            return "its user lacks a right", (
                "the user in auth.redis lacks a right in Redis: it needs HGET on UID_PID_TOKEN_STATUS:*, for `limits` "
                "INCRBY and EXPIRE too, and in a cluster CLUSTER SLOTS and COMMAND"
            )
        if isinstance(cause, redis.AuthenticationError):
            fault = "the password or user in auth.redis is wrong, or missing, or none is set there"
            return "it refuses the login", f"Redis refuses the login: {fault}"
        if "Cluster mode is not enabled" in text or "cluster support disabled" in text:
            fault = "auth.redis lists several servers, and they are no cluster: write the address of the master alone"
            return "it is no cluster", fault
        if isinstance(cause, ReadOnlyError):
            fault = "Redis is a replica, which takes no counters: write the master's address into auth.redis"
            return type(cause).__name__, fault
        if isinstance(cause, redis.BusyLoadingError):
            return "it is loading its data", "Redis is loading its data: wait until it is done"
    if isinstance(error, redis.ResponseError):
        return type(error).__name__, f"Redis refuses what is asked of it ({str(error)[:80]})"
    why = reason(error)
    return why, f"Redis does not answer ({why}): is the address in auth.redis right, and rediss:// where it speaks TLS?"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and those it came of."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
