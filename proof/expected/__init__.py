"""What must come out: a second, naive reading of what a conversion is (docs: design, "What a conversion is").

Written from the rules alone (docs/rules.md), without a look at streams/: two readings that agree are worth
more than one that is tested against itself. Slow and plain on purpose: one transaction at a time, every fact
in hand. The catalog's data are read here, none of its methods: how a goal is found or a word is mapped is a
rule too.
"""

from proof.expected.book import at_the_edge
from proof.expected.cases import expect
from proof.expected.facts import read
from proof.expected.words import Expected, Statement, Visit

__all__ = ["Expected", "Statement", "Visit", "at_the_edge", "expect", "read"]
