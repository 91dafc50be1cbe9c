"""Writes lead events: the library that upstream systems use, file import, the simulator."""

from producer.client import LeadEventProducer
from producer.errors import DeliveryError, DeliveryFailure, InvalidEventError
from producer.settings import ProducerSettings

__all__ = ["DeliveryError", "DeliveryFailure", "InvalidEventError", "LeadEventProducer", "ProducerSettings"]
