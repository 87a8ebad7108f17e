"""`/v1/webhooks`: who outside hears of what happens here."""

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from gateway.admin.ask import Refused
from gateway.admin.contract import Ask, Body, Call, Limit, Operation, Operations, Row, Shown, Text
from gateway.errors import Answer
from gateway.webhooks.aim import BadAim, checked
from gateway.webhooks.book import Delivery, Webhook, WebhookBook

NO_WEBHOOK: Final = Answer(404, "No such webhook", "There is no webhook of this id.")
NO_DELIVERY: Final = Answer(404, "No such delivery", "There is none of this id, or it has arrived.")
BAD_URL: Final = Answer(400, "Bad url", "The URL is nowhere a webhook may go to.")
ALERTS: Final = ("fail", "dead_letter", "flapping", "switch")
"""What a webhook hears of when nothing else is said: what somebody may want to get up for."""

Action = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z][a-z_]{0,59})$")]


class WebhookShown(Shown):
    id: UUID
    url: str
    actions: list[str]
    created_at: datetime
    created_by: str
    waiting: int = Field(description="Deliveries that were not taken yet.")
    dead: int = Field(description="Deliveries that were given up in the last 30 days.")

    @classmethod
    def of(cls, webhook: Webhook) -> "WebhookShown":
        return cls.model_validate(webhook)


class WebhookMade(WebhookShown):
    secret: str = Field(description="What deliveries are signed with; in this answer and nowhere else, ever.")


class WebhooksShown(Shown):
    webhooks: list[WebhookShown]


class DeliveryShown(Shown):
    id: UUID
    webhook_id: UUID
    audit_id: int = Field(description="The row of the audit log that it tells of.")
    status: Literal["waiting", "delivered", "dead"]
    tries: int
    next_try_at: datetime
    answered: int | None = Field(description="The HTTP status that came back last.")
    error: str | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryShown":
        return cls.model_validate(delivery)


class DeliveriesPage(Shown):
    deliveries: list[DeliveryShown]
    next: int | None = Field(description="The `before` of the following page; null at the end.")


class NewWebhook(Body):
    url: Text = Field(max_length=2000, description="Where to POST; https, on the public internet.")
    actions: list[Action] = Field(
        default_factory=lambda: list(ALERTS),
        min_length=1,
        max_length=50,
        description="Actions of the audit log to tell of; `*` is all of them.",
    )


class AskWebhook(Ask):
    id: UUID


class AskDeliveries(AskWebhook):
    status: Literal["waiting", "delivered", "dead"] | None = Field(None, description="Only such ones.")
    before: Row | None = Field(None, description="`next` of the page before.")
    limit: Limit = 100


class AskDelivery(AskWebhook):
    delivery_id: UUID


class HookDesk:
    """Handlers of `/v1/webhooks`."""

    def __init__(self, book: WebhookBook, *, private: bool) -> None:
        """`private` as in Courier."""
        self._book, self._private = book, private

    def operations(self) -> Operations:
        return (
            Operation(
                method="GET",
                path="/v1/webhooks",
                name="listWebhooks",
                summary="Who hears of what.",
                run=self.all,
                ask=Ask,
                gives=WebhooksShown,
            ),
            Operation(
                method="POST",
                path="/v1/webhooks",
                name="addWebhook",
                summary="From now on this URL hears of these actions; the answer shows the secret, once.",
                run=self.add,
                ask=Ask,
                body=NewWebhook,
                gives=WebhookMade,
                status=201,
                refuses=(BAD_URL,),
            ),
            Operation(
                method="DELETE",
                path="/v1/webhooks/{id}",
                name="removeWebhook",
                summary="It hears of nothing any more, also not of what waits.",
                run=self.remove,
                ask=AskWebhook,
                status=204,
                refuses=(NO_WEBHOOK,),
            ),
            Operation(
                method="POST",
                path="/v1/webhooks/{id}/test",
                name="testWebhook",
                summary="Send it a `webhook_test` at once.",
                run=self.test,
                ask=AskWebhook,
                gives=DeliveryShown,
                status=202,
                refuses=(NO_WEBHOOK,),
            ),
            Operation(
                method="GET",
                path="/v1/webhooks/{id}/deliveries",
                name="listDeliveries",
                summary="What was sent to it and what became of that, newest first.",
                run=self.deliveries,
                ask=AskDeliveries,
                gives=DeliveriesPage,
                refuses=(NO_WEBHOOK,),
            ),
            Operation(
                method="POST",
                path="/v1/webhooks/{id}/deliveries/{delivery_id}/retry",
                name="retryDelivery",
                summary="Try this one again at once, given up or not.",
                run=self.retry,
                ask=AskDelivery,
                gives=DeliveryShown,
                refuses=(NO_DELIVERY,),
            ),
        )

    async def all(self, _: Call[Ask, None]) -> WebhooksShown:
        return WebhooksShown(webhooks=[WebhookShown.of(each) for each in await self._book.all()])

    async def add(self, call: Call[Ask, NewWebhook]) -> WebhookMade:
        try:
            url = checked(call.body.url, private=self._private)
        except BadAim as refused:
            raise Refused(Answer(400, BAD_URL.title, f"`url` {refused}.")) from None
        webhook, secret = await self._book.add(url, call.body.actions, actor=call.caller.actor)
        return WebhookMade(**WebhookShown.of(webhook).model_dump(), secret=secret)

    async def remove(self, call: Call[AskWebhook, None]) -> None:
        if not await self._book.remove(call.ask.id, actor=call.caller.actor):
            raise Refused(NO_WEBHOOK)

    async def test(self, call: Call[AskWebhook, None]) -> DeliveryShown:
        delivery = await self._book.test(call.ask.id, actor=call.caller.actor)
        if delivery is None:
            raise Refused(NO_WEBHOOK)
        return DeliveryShown.of(delivery)

    async def deliveries(self, call: Call[AskDeliveries, None]) -> DeliveriesPage:
        ask = call.ask
        found = await self._book.deliveries(ask.id, status=ask.status, before=ask.before, limit=ask.limit)
        if found is None:
            raise Refused(NO_WEBHOOK)
        more = found[-1].audit_id if len(found) == ask.limit else None
        return DeliveriesPage(deliveries=[DeliveryShown.of(each) for each in found], next=more)

    async def retry(self, call: Call[AskDelivery, None]) -> DeliveryShown:
        delivery = await self._book.retry(call.ask.id, call.ask.delivery_id)
        if delivery is None:
            raise Refused(NO_DELIVERY)
        return DeliveryShown.of(delivery)
