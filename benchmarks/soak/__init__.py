"""Hours of traffic with a fault each half minute, watched for leaks; docs/benchmarks.md says how to read it."""
