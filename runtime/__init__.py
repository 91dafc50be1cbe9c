"""What the programs share: configuration, Kafka client factories, clock, metrics, logs, errors."""
