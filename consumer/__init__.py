"""Reads Kafka: the transactional scoring loop, assignment and restore, dead letters, health."""
