"""The deployment's Redis: v3.4.0's token states, in hashes `UID_PID_TOKEN_STATUS:<user>:<platform>` of token to state, and
counters of ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.core.errors import DatabaseError

log = logging.getLogger(__name__)

#: Seconds. Redis answers in under a millisecond; a request must not wait long to learn that it does not.
_CONNECT_TIMEOUT = 1.0
_ANSWER_TIMEOUT = 2.0


class RedisStore:
    """
    :param url: `redis://:password@host:6379/0`.
    """

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url,
            socket_connect_timeout=_CONNECT_TIMEOUT,
            socket_timeout=_ANSWER_TIMEOUT,
            health_check_interval=30,
            # Once more, for a kept connection that Redis closed meanwhile.
            retry=Retry(NoBackoff(), 1),
            decode_responses=False,
        )

    def get(self, user: str, platform: str, token: str) -> str | None:
        """The state of a token as v3.4.0 stored it, or None where there is none."""
        with _errors("the state of the token cannot be asked of Redis"):
            found = cast("bytes | None", self._client.hget(f"UID_PID_TOKEN_STATUS:{user}:{platform}", token))
        return None if found is None else found.decode("ascii", "replace")

    def count(self, key: str, by: int, seconds: int) -> int:
        """See `limits.Counters`."""
        with _errors("the user's limit cannot be counted in Redis"), self._client.pipeline() as pipeline:
            pipeline.incrby(key, by)
            pipeline.expire(key, seconds)
            return int(pipeline.execute()[0])

    def ping(self) -> None:
        """
        :raises DatabaseError: Redis does not answer, or refuses the login; says which.
        """
        try:
            self._client.ping()
        except redis.AuthenticationError as e:
            raise DatabaseError("Redis refuses the login: the password or user in auth.redis is wrong") from e
        except (redis.RedisError, OSError) as e:
            raise DatabaseError(f"Redis does not answer ({type(e).__name__}): is the address in auth.redis right?") from e


@contextmanager
def _errors(what: str) -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as e:
        # The type says it: refused, timed out, wrong password. The text may hold the address.
        log.error("%s: %s", what, type(e).__name__)
        raise DatabaseError(f"{what} ({type(e).__name__}); try again") from e
