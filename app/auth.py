"""A v3.4.0 token to the user it was made for."""

from __future__ import annotations

import time
import warnings

import jwt
import msgspec

from app.errors import TokenUnknownError

_ALGORITHMS = ["HS256"]
# v3.4.0's secrets are short, its own default of 9 bytes too; they must be taken as they are.
warnings.filterwarnings("ignore", message="The HMAC key is .* bytes long")


class Identity(msgspec.Struct, frozen=True):
    user: str
    #: v3.4.0's number of the client's platform; 5 is Web, 10 is Admin.
    platform: int
    is_admin: bool


#: Seconds that a verified token is taken again without a look, and how many are remembered at most.
REMEMBER = 5.0
_REMEMBERED = 4096


class Authenticator:
    """Checks tokens as v3.4.0 does: JWT, HS256, with the claims UserID, PlatformID, exp, nbf and iat.

    :param admins: v3.4.0's `manager.userID`: these users may write any name.
    """

    def __init__(self, secret: str, admins: tuple[str, ...]) -> None:
        self._secret = secret
        self._admins = frozenset(admins)
        #: Token to identity and the Unix time until which it is taken.
        self._verified: dict[str, tuple[Identity, float]] = {}

    def identify(self, token: str) -> Identity:
        """
        :raises TokenUnknownError: not a token of this deployment, expired, or not valid yet.
        """
        known = self._verified.get(token)
        now = time.time()
        if known is not None and now < known[1]:
            return known[0]
        identity, expires = self._verify(token)
        if len(self._verified) >= _REMEMBERED:
            # Cheaper than keeping an order, and rare: everything is verified again.
            self._verified.clear()
        self._verified[token] = (identity, min(now + REMEMBER, expires))
        return identity

    def _verify(self, token: str) -> tuple[Identity, float]:
        try:
            claims = jwt.decode(token, self._secret, algorithms=_ALGORITHMS, options={"require": ["exp"]})
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


def make_token(secret: str, user: str, platform: int, lifetime: int) -> str:
    """A token as v3.4.0's auth RPC makes it, for tests and operators.

    :param lifetime: seconds; v3.4.0's tokenPolicy.expire is in days.
    """
    now = int(time.time())
    # v3.4.0 dates tokens five minutes back, so that clocks which differ a little agree that they are valid already.
    claims = {"UserID": user, "PlatformID": platform, "exp": now + lifetime, "nbf": now - 300, "iat": now - 300}
    return jwt.encode(claims, secret, algorithm="HS256")
