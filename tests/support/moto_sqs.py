"""Amazon's queues, played by moto in this process, on a port of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from libs.common.contracts.definition import Credentials

REGION = "eu-central-1"
ACCESS = Credentials(aws_access_key_id="moto", aws_secret_access_key="moto")


class MotoSqs:
    """``url`` is the endpoint; ``client`` are its owner's hands."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client: Any = boto3.client(
            "sqs",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id=ACCESS.aws_access_key_id,
            aws_secret_access_key=ACCESS.aws_secret_access_key,
        )

    def create(self, name: str) -> str:
        """A queue, by its address."""
        return str(self.client.create_queue(QueueName=name)["QueueUrl"])

    def left(self, queue_url: str) -> int:
        """How many messages it has, handed out or not."""
        counts = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        answer = self.client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=list(counts))
        return sum(int(answer["Attributes"][count]) for count in counts)


@contextmanager
def moto_sqs() -> Iterator[MotoSqs]:
    """Runs for the length of the block."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield MotoSqs(f"http://{host}:{port}")
    finally:
        server.stop()
