"""The joiner on the real Kafka: what names a catalog that has not come waits, and the others go on."""

import os
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from schemas.catalog_versions import CatalogVersion, encode_version, record_key
from schemas.topics import CATALOG
from service.kafka import Outgoing
from tests.ingest.fakes import CATALOG as OFFERS
from tests.streams.installation import Installation, JoinerProcess
from tests.streams.joining import click, postback

if TYPE_CHECKING:
    from schemas.facts import AnyFact

pytestmark = pytest.mark.stack


class Joiner(JoinerProcess):
    """`roundtrip joiner`, with rules and catalogs of its own."""

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "roundtrip", "joiner"]

    def environ(self) -> Mapping[str, str]:
        config = self.settings
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("ROUNDTRIP_")},
            "ROUNDTRIP_DIR": str(config.dir),
            "ROUNDTRIP_KAFKA": config.kafka,
            "ROUNDTRIP_TOPIC_PREFIX": config.topic_prefix,
            "ROUNDTRIP_PARTITIONS": str(config.partitions),
            "ROUNDTRIP_REPLICATION": "1",
            "ROUNDTRIP_PORT": str(self.port),
        }


def publish(here: Installation, number: int) -> None:
    version = CatalogVersion(
        version=number, applied_at="2026-11-01T00:00:00.000Z", applied_by="t", catalog=OFFERS
    )
    here.put([Outgoing(CATALOG, record_key(number), encode_version(version), 0)])


def sale(transaction: str, sequence: int, version: int) -> "list[AnyFact]":
    sold = {"sale_currency": "USD", "sale_amount": Decimal(50), "catalog_version": version}
    return [
        click(transaction, sequence, catalog_version=version),
        postback(transaction, sequence + 1, **sold),
    ]


def test_what_names_a_catalog_that_has_not_come_waits_for_it_and_the_others_go_on(here: Installation) -> None:
    here.migrate()
    publish(here, 1)
    here.feed([*sale("t1", 1, 1), *sale("t2", 3, 2)])
    joiner = Joiner(here.settings)
    here.processes.append(joiner)
    joiner.start()

    def paid() -> dict[str, Decimal]:
        return {case.transaction_id: case.conversions[0].payout for case in here.final().values()}

    here.waits_for(lambda: paid() == {"t1": Decimal(4)})
    here.waits_for(lambda: "roundtrip_joiner_waiting_partitions 1.0" in joiner.ask("metrics"))
    here.feed(sale("t3", 5, 1))
    here.waits_for(lambda: paid() == {"t1": Decimal(4), "t3": Decimal(4)})
    here.waits_for(here.committed_all)
    publish(here, 2)
    here.waits_for(lambda: paid() == dict.fromkeys(("t1", "t2", "t3"), Decimal(4)))
    here.waits_for(lambda: "roundtrip_joiner_waiting_partitions 0.0" in joiner.ask("metrics"))
