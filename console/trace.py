"""`roundtrip trace ID`: the story of a transaction: facts, decisions with their reasons, where each lies."""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from console import clauses, render
from schemas.reasons import Reason
from service import stack_file
from service.clickhouse import ClickHouse
from service.errors import No

MOST: Final = 20  # transactions that one order number or click ID is shown for
MOST_ROWS: Final = 1_000  # of each kind in one story
MAX_ID: Final = 500

Row = Mapping[str, Any]

# Where an ID may stand, in the order in which people hold one in their hands.
_FIND = """
SELECT DISTINCT transaction_id FROM
(
    SELECT transaction_id FROM click_facts WHERE transaction_id = {lower:String}
    UNION ALL SELECT transaction_id FROM impression_facts WHERE transaction_id = {lower:String}
    UNION ALL SELECT transaction_id FROM observation_facts WHERE transaction_id = {lower:String}
    UNION ALL SELECT transaction_id FROM cases WHERE transaction_id = {lower:String}
    UNION ALL SELECT transaction_id FROM conversions WHERE conversion_id = {lower:String}
    UNION ALL SELECT transaction_id FROM click_facts WHERE receipt_id = {lower:String}
    UNION ALL SELECT transaction_id FROM impression_facts WHERE receipt_id = {lower:String}
    UNION ALL SELECT transaction_id FROM observation_facts WHERE receipt_id = {lower:String}
    UNION ALL SELECT transaction_id FROM observation_facts WHERE conversion_unique_id = {asked:String}
    UNION ALL SELECT transaction_id FROM click_facts WHERE aff_click_id = {asked:String}
    UNION ALL SELECT transaction_id FROM impression_facts WHERE aff_click_id = {asked:String}
)
ORDER BY transaction_id LIMIT {most:UInt32}
"""

# name in the story -> view, order
_PARTS: Final = {
    "clicks": ("clicks", "received_at, receipt_id"),
    "impressions": ("impressions", "received_at, receipt_id"),
    "observations": ("observations", "received_at, receipt_id"),
    "conversions": ("conversions", "goal_id, case_number, received_at, conversion_id"),
    "history": ("conversion_history", "goal_id, case_number, version, conversion_id"),
    "deliveries": ("deliveries", "at, notice_id, attempt"),
}
_QUARANTINED = "SELECT * FROM quarantine WHERE key = {of:String} ORDER BY at LIMIT {most:UInt32}"


def told(asked: str, clickhouse: ClickHouse) -> list[dict[str, Any]]:
    """The story of each transaction that the ID means, by transaction ID; No where it means none.

    asked: a transaction ID, conversion ID, receipt ID, order number or affiliate's click ID.
    """
    asked = asked.strip()[:MAX_ID]
    words = {"asked": asked, "lower": asked.lower(), "most": MOST + 1}
    found = [str(row[0]) for row in clickhouse.query(_FIND, words).rows] if asked else []
    if not found:
        raise No(
            f"{asked!r} is no transaction, conversion, receipt, order number or affiliate's click ID here;"
            " what arrived in the last seconds may still be on its way: roundtrip lag"
        )
    return [_story(transaction, clickhouse) for transaction in found[:MOST]]


def _story(transaction: str, clickhouse: ClickHouse) -> dict[str, Any]:
    of = {"of": transaction, "most": MOST_ROWS}
    story: dict[str, Any] = {"transaction_id": transaction}
    for part, (view, order) in _PARTS.items():
        # View and order are ours; what a person asked for is a bound parameter.
        rows = f"SELECT * FROM {view} WHERE transaction_id = {{of:String}}"  # noqa: S608  as said
        story[part] = _rows(clickhouse, f"{rows} ORDER BY {order} LIMIT {{most:UInt32}}", of)
    for row in story["conversions"]:
        row["rules"] = clauses.of(row)
    story["quarantine"] = _rows(clickhouse, _QUARANTINED, of)
    return story


def _rows(clickhouse: ClickHouse, sql: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = clickhouse.query(sql, parameters)
    return [dict(zip(found.names, row, strict=True)) for row in found.rows]


# The story in words

_FLAGS: Final = {
    "before_click": "the clocks put it before its click or impression: counts as no time between [4.6]",
    "too_many_observations": "more observations than one case may have: some do not count [2.8]",
}
_RULES: Final = {"goal": "the goal's price", "adjustment": "the network's word"}


def words(story: Mapping[str, Any]) -> list[str]:
    """The story in lines: what arrived, what was decided and why, what partners were told."""
    lines = [f"transaction {story['transaction_id']}", "", "what arrived"]
    lines += _facts(story)
    lines += ["", "what was decided"]
    for conversion in story["conversions"]:
        lines += _conversion(conversion, story["history"])
    if not story["conversions"]:
        lines.append("  nothing: nobody has reported a sale of it")
    lines += ["", "what partners were told"]
    lines += [_delivery(row) for row in story["deliveries"]] or ["  nothing"]
    if story["quarantine"]:
        lines += ["", "what could not be used", *(_quarantined(row) for row in story["quarantine"])]
    return [render.plain(line) for line in lines]


def _facts(story: Mapping[str, Any]) -> list[str]:
    told_by: tuple[tuple[str, Callable[[Row], str]], ...] = (
        ("clicks", _click),
        ("impressions", _impression),
        ("observations", _observation),
    )
    timed = [(row["received_at"], tell(row), row) for part, tell in told_by for row in story[part]]
    lines = []
    for at, line, row in sorted(timed, key=lambda each: (each[0], each[2]["receipt_id"])):
        lines += [f"  {render.shown(at)}  {line}{_claim(row)}", f"      {_place(row)}"]
    return lines


def _claim(row: Row) -> str:
    """When it happened, where that is another moment than when it was received: windows go by it."""
    happened = row["occurred_at"]
    return f", happened {render.shown(happened)}" if happened != row["received_at"] else ""


def _click(row: Row) -> str:
    why = f" because {_sentence(row['redirect_reason'])}" if row["redirect_reason"] else ""
    sent = f", sent to {row['redirect_url']}" if row["redirect_url"] else ", sent nowhere" if why else ""
    return f"click on offer {row['offer_id']} by {_affiliate(row)}{sent}{why}"


def _sentence(reason: int) -> str:
    """What the number means; a newer release may have written one that this one does not know."""
    return Reason(reason).sentence if reason in Reason.__members__.values() else f"reason {reason}"


def _impression(row: Row) -> str:
    return f"impression of offer {row['offer_id']} by {_affiliate(row)}"


def _affiliate(row: Row) -> str:
    own = f" (its click {row['aff_click_id']})" if row["aff_click_id"] else ""
    return f"affiliate {row['affiliate_id']}{own}{', a bot' if row['is_bot'] else ''}"


def _observation(row: Row) -> str:
    stated = [
        ("goal", row["goal"]),
        ("order", row["conversion_unique_id"]),
        ("amount", _amount(row["sale_amount"], row["sale_currency"])),
        ("status", row["status"]),
        ("action", "" if row["action"] == "state" else row["action"]),
        ("payout", _amount(row["payout"], "")),
        ("revenue", _amount(row["revenue"], "")),
        ("proven by", _proof(row)),
        ("stated by", row["stated_by"]),
        ("why", row["why"]),
        ("key", row["key"]),
        ("problems", ", ".join(row["problems"])),
    ]
    test = "test " if row["test"] else ""
    return ", ".join([f"{test}{row['kind']}", *(f"{name} {value}" for name, value in stated if value)])


def _proof(row: Row) -> str:
    """What it proved, and of which advertisers: it proves nothing of another's offers."""
    whose = ", ".join(map(str, row["proven_for"]))
    return f"{row['proven_by']} of advertiser {whose}" if row["proven_by"] and whose else row["proven_by"]


def _amount(amount: Any, currency: str) -> str:
    return "" if amount is None else f"{render.shown(amount)} {currency}".strip()


def _place(row: Row) -> str:
    version = f"catalog {row['catalog_version']}"
    return f"receipt {row['receipt_id']} at {row['edge']}, {version}, {_where(row)}"


def _where(row: Row) -> str:
    return f"Kafka {row['kafka_topic']}/{row['kafka_partition']} offset {row['kafka_offset']}"


def _conversion(row: Row, history: Iterable[Row]) -> list[str]:
    kind = "test conversion" if row["test"] else "conversion"
    order = f", order {row['conversion_unique_id']}" if row["conversion_unique_id"] else ""
    case = f"goal {row['goal_id']}{order}{', case ' if row['case_number'] else ''}{row['case_number']}"
    rule = clauses.of(row)
    lines = [f"  {kind} {row['conversion_id']} of {case}: {_verdict(row)} [rule {rule['status']}]"]
    lines += [f"      {_sale(row)}", f"      credited to {_credit(row)} [{rule['credit']}]"]
    lines += [f"      {_FLAGS.get(flag, flag)}" for flag in row["flags"]]
    lines += [f"      {_spoken(each, rule['status'])}" for each in row["spoke"]]
    lines += [f"      no say has receipt {each}" for each in row["unheard"]]
    lines += [f"      {side} {_price(row, side)}{_clause(rule, side)}" for side in ("payout", "revenue")]
    if row["adjusted_at"]:
        why = f": {row['adjusted_why']}" if row["adjusted_why"] else ""
        lines.append(f"      adjusted by {row['adjusted_by']}, {render.shown(row['adjusted_at'])}{why}")
    lines.append(f"      catalog {row['catalog_version']}, {_where(row)}")
    mine = [each for each in history if each["conversion_id"] == row["conversion_id"]]
    lines += [
        f"      {render.shown(each['decided_at'])}  {_version(each)}: {_verdict(each)}" for each in mine
    ]
    return lines


def _sale(row: Row) -> str:
    """What was sold when, and which facts say so."""
    is_told = row["sale_amount"] or row["sale_currency"]
    sold = _amount(row["sale_amount"], row["sale_currency"]) if is_told else "no amount"
    told = f"{row['observations']} observation{'' if row['observations'] == 1 else 's'}"
    by = f"{', '.join(row['observed_by'])}: receipt {', '.join(row['receipts'])}"
    return f"sale of {render.shown(row['occurred_at'])}, {sold}; {told} by {by}"


def _spoken(spoke: str, clause: str) -> str:
    field, receipt = spoke.split()
    if field == "status" and clause not in clauses.BY_WORD:
        return f"{field}: receipt {receipt} says one, but rule {clause} comes before it"
    return f"{field} as receipt {receipt} says"


def _credit(row: Row) -> str:
    of = f"offer {row['offer_id']} of advertiser {row['advertiser_id']}"
    if not row["credited_by"]:
        return f"nothing yet, {of}" if row["offer_id"] else "nothing yet"
    visit = f"the {row['credited_by']} {row['click_receipt_id']} of {render.shown(row['clicked_at'])}"
    return f"{visit}: {_affiliate(row)}, {of}"


def _verdict(row: Row) -> str:
    why = row["reason_detail"] or _sentence(row["reason"])
    copy = f", duplicate of {row['duplicate_of']}" if row["duplicate_of"] else ""
    because = f" ({row['reason']}: {why})" if row["reason"] else ""
    return f"{row['status']}{because}{copy}"


def _clause(rule: Mapping[str, str], question: str) -> str:
    return f" [{rule[question]}]" if question in rule else ""


def _price(row: Row, side: str) -> str:
    owed, nominal = row[side], row[f"{side}_nominal"]
    if not row[f"{side}_rule"]:
        return f"{render.shown(owed)}, no price was looked up"
    rate = f" at the rate {row[f'{side}_rate'].normalize():f}" if row[f"{side}_rate"] != 1 else ""
    terms = f" (the terms give {render.shown(nominal)})" if nominal != owed else ""
    rule = _RULES.get(row[f"{side}_rule"], row[f"{side}_rule"])
    return f"{render.shown(owed)} {row[f'{side}_currency']} by {rule}{rate}{terms}"


def _version(row: Row) -> str:
    """The rules' release and the number of facts, which together are a version (schemas.decisions)."""
    return f"version {row['version'] >> 32}.{row['version'] & 0xFFFFFFFF}"


def _delivery(row: Row) -> str:
    status = f" with {row['http_status']}" if row["http_status"] else ""
    detail = f": {row['detail']}" if row["detail"] else ""
    whom = f"affiliate {row['affiliate_id']} about {row['conversion_id']}: {row['url']}"
    return f"  {render.shown(row['at'])}  attempt {row['attempt']} {row['outcome']}{status}{detail}, {whom}"


def _quarantined(row: Row) -> str:
    where = f"Kafka {row['topic']}/{row['partition']} offset {row['offset']}"
    return f"  {render.shown(row['at'])}  by the {row['reader']}: {row['detail']} ({where})"


# The command


def arguments(parser: argparse.ArgumentParser) -> None:
    """The ID and the format."""
    parser.add_argument(
        "id",
        metavar="ID",
        help="a transaction ID, conversion ID, receipt, order number or an affiliate's own click ID",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")
    stack_file.add_dir_argument(parser)


def run(args: argparse.Namespace) -> int:
    """0: the story is on standard output; 1 where nothing is known of the ID."""
    clickhouse = ClickHouse(stack_file.settings_for(args.dir))
    try:
        stories = told(args.id, clickhouse)
    finally:
        clickhouse.close()
    if args.format == "json":
        sys.stdout.write(render.as_json(stories).decode())
    else:
        sys.stdout.write(text(stories))
    return 0


def text(stories: Sequence[Mapping[str, Any]]) -> str:
    """The stories for people."""
    return "\n".join("".join(f"{line}\n" for line in words(story)) for story in stories)
