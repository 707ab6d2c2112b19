"""Locations of the event log: the servers and the folder that the settings name."""

from pathlib import Path

from trinetra.adapters.kafka.connection import KafkaConnection
from trinetra.events.topics import ALERTS, CUSTOMERS, DETECTIONS, IDENTITIES, INSIGHTS
from trinetra.settings import Settings

JOURNALED = (DETECTIONS, IDENTITIES, CUSTOMERS, ALERTS, INSIGHTS)
"""What can be read again after the end of the one process that holds the log in memory."""


def journal_folder(settings: Settings) -> Path:
    """Return the folder of the journal that a platform in one process writes."""
    return settings.data_dir / "journal"


def kafka_connection(settings: Settings) -> KafkaConnection:
    """Return the address of Kafka and the credentials for it."""
    secret = settings.kafka_password
    return KafkaConnection(
        servers=settings.kafka_servers,
        security=settings.kafka_security,
        mechanism=settings.kafka_sasl_mechanism,
        user=settings.kafka_user,
        password=secret.get_secret_value() if secret else None,
        ca_file=settings.kafka_ca_file,
        cert_file=settings.kafka_cert_file,
        key_file=settings.kafka_key_file,
    )
