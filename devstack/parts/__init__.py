"""The parts: one file each, and the two lists that `up` works through."""

from devstack.part import Part
from devstack.parts.kafka import kafka
from devstack.parts.minio import minio
from devstack.parts.postgres import postgres
from devstack.parts.services import services
from devstack.parts.spark import spark
from devstack.settings import DevSettings


def backing_parts(settings: DevSettings) -> list[Part]:
    """What Autoloader stands on."""
    return [postgres(settings), kafka(settings), minio(settings), spark(settings)]


def service_parts(settings: DevSettings) -> list[Part]:
    """Autoloader's own three services."""
    return services(settings)
