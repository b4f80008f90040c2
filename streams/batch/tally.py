"""What a batch held and gave, for the metrics."""

import msgspec


class Tally(msgspec.Struct):
    """How many of each; the rules are those of streams.batch.batch.

    again: facts that were known. contradicting: rule 2. expired, late: visits and statements, rule 3.
    undecided: bundles, rule 7. foreign: cases, rule 8. lacking: bundles, rule 10.
    """

    facts: int = 0
    again: int = 0
    quarantined: int = 0
    contradicting: int = 0
    expired: int = 0
    late: int = 0
    undecided: int = 0
    foreign: int = 0
    lacking: int = 0
    cases: int = 0
    conversions: int = 0
    notices: int = 0
