"""Settings of the API service: the common ones, and where it listens."""

from pydantic import Field

from libs.common.settings import CommonSettings


class ApiSettings(CommonSettings):
    """Read once, in ``__main__``."""

    api_host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all.")
    api_port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on.")
    tenant_id: str = Field(
        default="default", min_length=1, description="Whose ingestions these are, as long as nobody has to log in."
    )
    refresh_wait_s: float = Field(
        default=20, ge=0, description="Seconds that the answer to a refresh waits for the executor's word, at most."
    )
    database_pool_size: int = Field(default=10, ge=2, description="Connections to Postgres, at most.")
