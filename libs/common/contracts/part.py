"""What the parts of a definition have in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _can_be_stored(cls, value: Any) -> Any:
        # Postgres keeps no NUL in text or JSON; refusing it here names the field, there it would be a 500.
        if _holds_nul(value):
            raise ValueError("must not contain the NUL character")
        return value


def _holds_nul(value: Any) -> bool:
    match value:
        case str():
            return "\x00" in value
        case dict():
            return any(_holds_nul(key) or _holds_nul(inner) for key, inner in value.items())
        case list():
            return any(map(_holds_nul, value))
        case _:
            return False
