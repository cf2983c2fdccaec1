"""Who may tell us of objects: whoever knows one of the secrets."""

import hmac
from collections.abc import Sequence

from libs.common import metrics
from libs.common.errors import Forbidden, Unauthenticated
from libs.common.logs import get_logger

_log = get_logger(__name__)


class SharedSecrets:
    """Those of the settings. While a secret is being exchanged there are two of them."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._secrets = [secret.encode() for secret in secrets]

    def check(self, given: str | None) -> None:
        """Takes as long for a secret that is nearly right as for any other.

        Raises:
            Unauthenticated: code ``no_notification_secret``. Forbidden: codes ``wrong_notification_secret``, and
                ``notifications_off`` if there is no secret that anybody could know.
        """
        if given is None:
            raise _counted(
                Unauthenticated(
                    "a delivery has to carry the shared secret",
                    code="no_notification_secret",
                    hint="send it as: Authorization: Bearer …; MinIO does so with its auth_token",
                )
            )
        if not self._secrets:
            raise _counted(
                Forbidden(
                    "this API takes no notifications over HTTP",
                    code="notifications_off",
                    hint="set AUTOLOADER_NOTIFICATION_SECRETS of the API to let somebody in",
                )
            )
        # Each is looked at, so that the time does not tell which one it was.
        if not sum(hmac.compare_digest(secret, given.encode()) for secret in self._secrets):
            raise _counted(
                Forbidden(
                    "this is not the shared secret",
                    code="wrong_notification_secret",
                    hint="send one of those in AUTOLOADER_NOTIFICATION_SECRETS of the API",
                )
            )


def _counted(refusal: Unauthenticated | Forbidden) -> Unauthenticated | Forbidden:
    metrics.HTTP_NOTIFICATIONS.labels(outcome="forged").inc()
    _log.warning("notifications.refused", code=refusal.code)
    return refusal
