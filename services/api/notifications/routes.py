"""``/notifications``."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from services.api.caller import Caller
from services.api.docs import OnceHeader, errors_for
from services.api.notifications.handlers import Deliveries
from services.api.notifications.schemas import BODY, NotificationsAccepted
from services.api.notifications.secrets import SharedSecrets

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="NotificationSecret",
    description="One of `AUTOLOADER_NOTIFICATION_SECRETS` of the API. MinIO sends its `auth_token` in this way.",
)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]


def router(deliveries: Deliveries, secrets: SharedSecrets, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/notifications", tags=["notifications"])

    @routes.post(
        "/s3",
        status_code=202,
        response_model=NotificationsAccepted,
        summary="Tell of objects",
        description="For the webhook of a bucket. It is stored before the answer; which ingestions it concerns, and "
        "whether the objects are there, is found out later. Telling twice is harmless.",
        responses=errors_for(400, 401, 403, 413, 422),
        openapi_extra={"requestBody": BODY},
    )
    async def accept_notifications(request: Request, bearer: Bearer, once: OnceHeader) -> Response:
        secrets.check(bearer.credentials if bearer else None)
        answer = await deliveries.accept(caller, await request.body(), once)
        return answer.response()

    return routes
