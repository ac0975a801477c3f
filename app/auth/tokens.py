"""A v3.4.0 token to the user it was made for."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jwt
import msgspec
from cachetools import TLRUCache

from app.core.errors import TokenKickedError, TokenNotExistError, TokenUnknownError

if TYPE_CHECKING:
    # Its package is an optional one.
    from app.auth.redis_store import RedisStore

_ALGORITHMS = ["HS256"]
# v3.4.0's secrets are short, its own default of 9 bytes too; they must be taken as they are.
warnings.filterwarnings("ignore", message="The HMAC key is .* bytes long")


class Identity(msgspec.Struct, frozen=True):
    user: str
    #: v3.4.0's number of the client's platform; 5 is Web, 10 is Admin.
    platform: int
    is_admin: bool


#: Verified tokens that are remembered at most.
_REMEMBERED = 4096

#: v3.4.0's values of a token's state (`pkg/common/constant`).
_NORMAL, _KICKED = "0", "2"
#: v3.4.0's names of platforms, from 1 on, which stand in the key of a user's token states.
PLATFORMS = dict(enumerate(("IOS", "Android", "Windows", "OSX", "Web", "MiniWeb", "Linux", "APad", "IPad", "Admin"), 1))


class Authenticator:
    """Checks tokens as v3.4.0 does: JWT, HS256, with the claims UserID, PlatformID, exp, nbf and iat.

    :param secrets: any of them may have signed a token; more than one while the secret is being changed.
    :param admins: v3.4.0's `manager.userID`: these users may write any name.
    :param states: checked too where given: a token that was kicked out, or is not there, is refused.
    :param remember: seconds that a verified token is taken again without a look.
    """

    def __init__(
        self, secrets: Sequence[str], admins: tuple[str, ...], states: RedisStore | None = None, remember: float = 5.0
    ) -> None:
        self._secrets = tuple(secrets)
        self._states = states
        self._admins = frozenset(admins)
        #: Token to identity and the Unix time at which it expires. No lock: greenlets do not change in the middle of it.
        self._verified: TLRUCache[str, tuple[Identity, float]] = TLRUCache(
            _REMEMBERED, ttu=lambda _, verified, now: min(now + remember, verified[1]), timer=lambda: time.time()
        )

    def identify(self, token: str) -> Identity:
        """
        :raises TokenUnknownError: not a token of this deployment, expired, not valid yet, or of an unknown state.
        :raises TokenKickedError, TokenNotExistError: by its state.
        :raises DatabaseError: the state cannot be asked; no token is let in unasked.
        """
        known = self._verified.get(token)
        if known is None:
            known = self._verify(token)
            if self._states is not None:
                platform = PLATFORMS.get(known[0].platform, "")
                _check_state(self._states.get(known[0].user, platform, token))
            self._verified[token] = known
        return known[0]

    def _verify(self, token: str) -> tuple[Identity, float]:
        try:
            claims = self._claims(token)
        except jwt.ExpiredSignatureError:
            raise TokenUnknownError("the token has expired") from None
        except jwt.ImmatureSignatureError:
            raise TokenUnknownError("the token is not valid yet; compare this server's clock with the issuer's") from None
        except (jwt.InvalidTokenError, ValueError):
            raise TokenUnknownError("not a token of this deployment (malformed, or another secret)") from None
        user, platform = claims.get("UserID"), claims.get("PlatformID")
        if not isinstance(user, str) or not user or not isinstance(platform, int):
            raise TokenUnknownError("the token lacks the claims UserID and PlatformID")
        return Identity(user, platform, user in self._admins), float(claims["exp"])

    def _claims(self, token: str) -> dict[str, Any]:
        for secret in self._secrets[:-1]:
            try:
                return jwt.decode(token, secret, algorithms=_ALGORITHMS, options={"require": ["exp"]})
            except jwt.InvalidSignatureError:
                pass
        return jwt.decode(token, self._secrets[-1], algorithms=_ALGORITHMS, options={"require": ["exp"]})


def _check_state(state: str | None) -> None:
    if state is None:
        raise TokenNotExistError("the token is not among its user's tokens in Redis; log in again")
    if state == _KICKED:
        raise TokenKickedError("the user logged in elsewhere, which ended this token")
    if state != _NORMAL:
        raise TokenUnknownError(f"the token is in a state that is not known: {state[:20]!r}")


def make_token(secret: str, user: str, platform: int, lifetime: int) -> str:
    """A token as v3.4.0's auth RPC makes it, for tests and operators.

    :param lifetime: seconds; v3.4.0's tokenPolicy.expire is in days.
    """
    now = int(time.time())
    # v3.4.0 dates tokens five minutes back, so that clocks which differ a little agree that they are valid already.
    claims = {"UserID": user, "PlatformID": platform, "exp": now + lifetime, "nbf": now - 300, "iat": now - 300}
    return jwt.encode(claims, secret, algorithm="HS256")
