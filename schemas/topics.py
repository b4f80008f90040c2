"""The Kafka topics: their names, partitions and how long they are kept.

All topics use LogAppendTime: the broker's clock decides what expires, never a caller's (and Kafka 4 refuses
a CreateTime more than an hour ahead).
"""

import msgspec

DAY_MS = 86_400_000

# What the joiner keeps, by received_at; no offer's window may be longer (catalog_offer_rules).
CLICK_WINDOW_DAYS = 30
VIEW_WINDOW_DAYS = 1
CORRECTION_WINDOW_DAYS = 120  # from the first statement about a conversion
LATENESS_DAYS = 7  # how late a fact may reach Kafka and still count as if it had come at once

# A visit counts for what is received up to LATENESS_DAYS after its window, and that may come so much later.
CLICKS_KEPT_DAYS = CLICK_WINDOW_DAYS + 2 * LATENESS_DAYS
IMPRESSIONS_KEPT_DAYS = VIEW_WINDOW_DAYS + 2 * LATENESS_DAYS

FACTS = ("clicks", "impressions", "pixels", "postbacks", "adjustments")
DECISIONS = ("conversions", "notices", "deliveries", "quarantine", "refusals")
TAILS = "tails"
CATALOG = "catalog"


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """One topic.

    single: has one partition; every other has the installation's partition count.
    compact: only the newest record of a key is kept, for ever.
    kept_days: the least time a record stays; None: for ever. `migrate` refuses less.
    max_bytes: the largest record.
    why: what the time rests on.
    """

    name: str
    single: bool = False
    compact: bool = False
    kept_days: int | None = None
    max_bytes: int = 1_048_576
    why: str

    @property
    def config(self) -> dict[str, str]:
        """Kafka's own names and values; never bound by size, which would cut what the promises rest on."""
        return {
            "cleanup.policy": "compact" if self.compact else "delete",
            "retention.ms": "-1" if self.kept_days is None else str(self.kept_days * DAY_MS),
            "retention.bytes": "-1",
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(self.max_bytes),
        }


_VISITS = "the click window and twice the allowance for late arrivals: what the joiner may need again"
_SEEN = "longer than the joiner may need it again: the view window and twice the allowance for late arrivals"
_STATEMENTS = "the correction window and the allowance for late arrivals"

TOPICS = {
    topic.name: topic
    for topic in (
        Topic(name="clicks", kept_days=CLICKS_KEPT_DAYS, why=_VISITS),
        Topic(name="impressions", kept_days=CLICK_WINDOW_DAYS + LATENESS_DAYS, why=_SEEN),
        Topic(name="pixels", kept_days=CORRECTION_WINDOW_DAYS + LATENESS_DAYS, why=_STATEMENTS),
        Topic(name="postbacks", kept_days=CORRECTION_WINDOW_DAYS + LATENESS_DAYS, why=_STATEMENTS),
        Topic(
            name="adjustments",
            kept_days=2 * (CORRECTION_WINDOW_DAYS + LATENESS_DAYS),
            why="twice as long as other statements, and few: what they alone began is remembered so long",
        ),
        Topic(
            name="conversions",
            compact=True,
            max_bytes=8_388_608,
            why="compacted by case: what was emitted, with its credited click, restores a lost state",
        ),
        Topic(name="notices", kept_days=30, why="longer than a notice may wait for its partner"),
        Topic(
            name="deliveries", kept_days=30, why="the notifier's memory: as long as a notice may come again"
        ),
        Topic(
            name="quarantine",
            kept_days=CORRECTION_WINDOW_DAYS + LATENESS_DAYS,
            max_bytes=4_194_304,
            why="as long as what is in it may still be used",
        ),
        Topic(name="refusals", kept_days=30, why="for the person who asks why a request was refused"),
        Topic(
            name=TAILS,
            single=True,  # one small record a minute and collector process
            kept_days=CORRECTION_WINDOW_DAYS + LATENESS_DAYS,
            why="as long as an event that it counts may still be missed",
        ),
        Topic(
            name=CATALOG,
            single=True,
            max_bytes=33_554_432,
            why="each record is a whole version; decisions name versions, so none is ever deleted",
        ),
    )
}
