"""`lead-scorer demo`: the whole scorer on a real Kafka, with nothing else set up."""
