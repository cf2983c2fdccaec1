"""``/webhooks``."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response

from services.api import pages
from services.api.caller import Caller
from services.api.docs import OnceHeader, PageQuery, errors_for, listed
from services.api.webhooks.handlers import Webhooks
from services.api.webhooks.schemas import DeliveryDetail, DeliveryOut, WebhookCreated, WebhookIn, WebhookOut


def router(webhooks: Webhooks, caller: Caller) -> APIRouter:
    routes = APIRouter(prefix="/webhooks", tags=["webhooks"])

    @routes.post(
        "",
        status_code=201,
        response_model=WebhookCreated,
        summary="Have an address told what happens",
        description="Each event is one POST with a CloudEvent, signed as Standard Webhooks has it with the `secret` of "
        "this answer. What is not answered with 2xx is sent again, for hours; an event may come twice, with the same "
        "`webhook-id`.",
        responses=errors_for(400, 404, 413, 422),
    )
    async def create_webhook(sent: WebhookIn, once: OnceHeader) -> Response:
        answer = await webhooks.create(caller, sent, once)
        return answer.response({"Location": f"/api/v1/webhooks/{answer.body['id']}"})

    @routes.get(
        "",
        summary="The webhooks, newest first",
        description="Without their secrets.",
        responses=listed(422),
    )
    async def list_webhooks(
        request: Request,
        response: Response,
        page: PageQuery,
        ingestion_id: Annotated[UUID | None, Query(description="Those of this ingestion only.")] = None,
    ) -> list[WebhookOut]:
        shown, total = await webhooks.page(caller, ingestion_id, page)
        pages.announce(response, request, page, total)
        return shown

    @routes.get(
        "/{webhook_id}",
        summary="One webhook",
        description="`failing_since` says that its receiver is in trouble.",
        responses=errors_for(404, 422),
    )
    async def get_webhook(webhook_id: UUID) -> WebhookOut:
        return await webhooks.get(caller, webhook_id)

    @routes.delete(
        "/{webhook_id}",
        status_code=204,
        summary="Delete a webhook",
        description="With the record of what it was told. What waits is not sent any more.",
        responses=errors_for(404, 422),
    )
    async def delete_webhook(webhook_id: UUID) -> None:
        await webhooks.delete(caller, webhook_id)

    @routes.post(
        "/{webhook_id}/enable",
        response_model=WebhookOut,
        summary="Enable a webhook that was disabled",
        description="After days of nothing but failures, or an answer 410. What waits is sent again at once; what "
        "happened while it was disabled is not told.",
        responses=errors_for(404, 413, 422),
    )
    async def enable_webhook(webhook_id: UUID, once: OnceHeader) -> Response:
        return (await webhooks.enable(caller, webhook_id, once)).response()

    @routes.post(
        "/{webhook_id}/ping",
        status_code=202,
        response_model=DeliveryOut,
        summary="Try a webhook out",
        description="A `webhook.ping` is sent within seconds; the delivery at `Location` says what came of it.",
        responses=errors_for(404, 409, 413, 422),
    )
    async def ping_webhook(webhook_id: UUID, once: OnceHeader) -> Response:
        answer = await webhooks.ping(caller, webhook_id, once)
        return answer.response({"Location": f"/api/v1/webhooks/{webhook_id}/deliveries/{answer.body['id']}"})

    @routes.get(
        "/{webhook_id}/deliveries",
        summary="What a webhook was told, newest first",
        description="Kept for 30 days after they ended.",
        responses=listed(404, 422),
    )
    async def list_deliveries(
        webhook_id: UUID,
        request: Request,
        response: Response,
        page: PageQuery,
        state: Annotated[
            Literal["waiting", "delivered", "dead"] | None, Query(description="Only these; dead: given up.")
        ] = None,
    ) -> list[DeliveryOut]:
        shown, total = await webhooks.deliveries(caller, webhook_id, state, page)
        pages.announce(response, request, page, total)
        return shown

    @routes.get(
        "/{webhook_id}/deliveries/{delivery_id}",
        summary="One delivery",
        description="With the event that is sent, and what came of the latest attempt.",
        responses=errors_for(404, 422),
    )
    async def get_delivery(webhook_id: UUID, delivery_id: UUID) -> DeliveryDetail:
        return await webhooks.delivery(caller, webhook_id, delivery_id)

    @routes.post(
        "/{webhook_id}/deliveries/{delivery_id}/redeliver",
        status_code=202,
        response_model=DeliveryOut,
        summary="Send a delivery again",
        description="Under its old `webhook-id`, whether it was given up or taken.",
        responses=errors_for(404, 409, 413, 422),
    )
    async def redeliver(webhook_id: UUID, delivery_id: UUID, once: OnceHeader) -> Response:
        return (await webhooks.redeliver(caller, webhook_id, delivery_id, once)).response()

    return routes
