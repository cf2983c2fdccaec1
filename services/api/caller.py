"""Who is asking. Without authentication everybody is the tenant of the settings."""

from dataclasses import dataclass

from libs.common.ids import TenantId


@dataclass(frozen=True, slots=True)
class Caller:
    """The tenant whose things may be seen and changed, and the name that the audit trail shows."""

    tenant_id: TenantId
    actor: str = "anonymous"
