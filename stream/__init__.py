"""Kafka to analysis: frames, the ward of beds, alarms, metrics, settings and the command line."""
