"""Inspection: what the journals hold, read beside collectors that may be writing them."""
