"""Shipping: how a journal gets to Kafka, in order, and how far it has come."""
