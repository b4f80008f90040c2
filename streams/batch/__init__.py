"""What a batch of records changes: facts taken in, cases decided, records to send."""
