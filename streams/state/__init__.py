"""What a joiner knows, one RocksDB for each partition number."""
