"""The contracts: Avro schemas and the codec."""
