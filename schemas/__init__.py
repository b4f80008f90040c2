"""The vocabulary of all parts: facts, decisions, reasons, topics, catalog, tables; it does no I/O."""
