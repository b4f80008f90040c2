"""The errors that everything of ours raises, named by what the caller should do."""


class Problem(Exception):
    """What ends a command, as one or two lines for a person: what, where, what to do."""

    exit_code = 1


class No(Problem):
    """The answer is no: something differs, is missing, or is not allowed."""

    exit_code = 1


class Usage(Problem):
    """The command, a setting or a file was written wrongly."""

    exit_code = 2


class Unreachable(Problem):
    """A service that is needed cannot be reached, or is not there yet."""

    exit_code = 3


class Refused(Exception):
    """Retrying the same thing cannot help.

    code: the number that the other side gave (ClickHouse's or Kafka's), 0 if none.
    row: which row of the batch was bad, counted from 1, 0 if not known.
    """

    def __init__(self, message: str, *, code: int = 0, row: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.row = row


class RecordsRefused(Refused):
    """Some records of one sending were refused for good; all the others were acknowledged.

    indexes: position in what was sent -> why.
    """

    def __init__(self, indexes: dict[int, str]) -> None:
        first = next(iter(indexes.values()))
        super().__init__(f"Kafka refused {len(indexes)} records: {first}")
        self.indexes = indexes


class Unavailable(Exception):
    """It could not be done now; the same thing may be tried again."""
