"""The joiner: the facts of a transaction become its conversions."""
