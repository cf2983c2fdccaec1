"""The answer to a delivery, and what a delivery looks like."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class NotificationsAccepted(BaseModel):
    """It is stored, and on its way to a scanner."""

    model_config = ConfigDict(json_schema_extra={"example": {"status": "accepted"}})

    status: Literal["accepted"] = Field(default="accepted", description="Whom it concerns is found out later.")


BODY: dict[str, Any] = {
    "required": True,
    "description": "As S3, MinIO or Ceph write it, or EventBridge.",
    "content": {
        "application/json": {
            "schema": {"type": "object"},
            "example": {
                "EventName": "s3:ObjectCreated:Put",
                "Key": "landing/data/a.json",
                "Records": [
                    {
                        "eventSource": "minio:s3",
                        "eventName": "s3:ObjectCreated:Put",
                        "eventTime": "2025-01-07T12:00:00.000Z",
                        "s3": {
                            "bucket": {"name": "landing"},
                            "object": {
                                "key": "data%2Fa.json",
                                "size": 1024,
                                "eTag": "d41d8cd98f00b204",
                            },
                        },
                    }
                ],
            },
        }
    },
}
