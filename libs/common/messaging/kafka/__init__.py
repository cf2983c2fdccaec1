"""The only package that speaks Kafka (through aiokafka)."""

from libs.common.messaging.kafka.consumer import KafkaConsumer
from libs.common.messaging.kafka.dead_letter_store import KafkaDeadLetterStore
from libs.common.messaging.kafka.publisher import KafkaPublisher
from libs.common.messaging.kafka.topics import ensure_topics, keep_topics, ping

__all__ = ["KafkaConsumer", "KafkaDeadLetterStore", "KafkaPublisher", "ensure_topics", "keep_topics", "ping"]
