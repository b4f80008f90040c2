"""Between Kafka and the joiner: whole fetches through Faust, safe commits, who reads what, and where."""
