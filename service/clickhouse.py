"""ClickHouse: the only door to clickhouse_connect.

The synchronous client, from async code in a thread (`asyncio.to_thread`): requests are few and large, and
parsing a result would hold an event loop up. One client serves all threads; it has no session, because a
session's lock would let only one request through.
"""

import contextlib
import logging
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError
from clickhouse_connect.driver.httputil import get_pool_manager
from urllib3.exceptions import HTTPError

from service import outage
from service.errors import Refused, Unavailable, Unreachable
from service.settings import Settings

# Their warnings are traces of what becomes Unavailable here; the outage says it in one line.
for _chatty in ("clickhouse_connect", "urllib3"):
    logging.getLogger(_chatty).setLevel(logging.ERROR)

# What ClickHouse answers when the rows themselves are bad (its ErrorCodes.cpp). Only these make an insert
# Refused: on any other, setting rows aside would empty the pipeline into quarantine for a missing right.
_BAD_ROWS = frozenset(
    {
        *(
            6,
            25,
            26,
            27,
            33,
            38,
            41,
            72,
        ),  # cannot parse: text, escape, quotes, input, all data, date, time, number
        *(130, 376, 467, 675, 676),  # cannot parse: array, UUID, bool, IPv4, IPv6
        *(
            53,
            69,
            70,
            117,
            131,
            321,
            349,
            407,
            469,
            691,
        ),  # type, range, size, null, decimal, constraint, enum
    }
)
# What may pass by itself when a query is asked again: time, memory, load, network, replicas, disk, Keeper.
_PASSING = frozenset(
    {159, 160, 164, 173, 198, 202, 203, 209, 210, 241, 242, 243, 252, 279, 285, 286, 319, 394, 425, 439, 999}
)
_ABSENT = frozenset({60, 81})  # unknown table, unknown database: migrate has not run yet
_RIGHTS = frozenset({192, 193, 194, 195, 497, 516})  # unknown user, wrong password, access denied

_INSERT = {
    "async_insert": 0,  # the answer comes after the rows are stored
    "date_time_input_format": "best_effort",  # our times end in Z
    "input_format_skip_unknown_fields": 1,  # a newer edge's field must not stop an older writer
    "input_format_null_as_default": 1,
}


class Result(NamedTuple):
    """A query's answer: column names, and rows of Python values."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        """Each row by column name."""
        return [dict(zip(self.names, row, strict=True)) for row in self.rows]


class ClickHouse:
    """Queries and inserts; connects at the first one. Any thread may use it.

    Refused: ClickHouse understood and says no (bad rows of an insert, a bad query). Unavailable: try again.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._server = outage.of(f"ClickHouse at {settings.clickhouse}")
        self._client: Any = None
        self._connecting = threading.Lock()

    def _connected(self) -> Any:
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> Any:
        settings, at = self._settings, urlsplit(self._settings.clickhouse)
        client: Any = clickhouse_connect.get_client(
            host=at.hostname or "",
            port=at.port or (8443 if at.scheme == "https" else 8123),
            interface=at.scheme,
            username=settings.clickhouse_user,
            password=settings.clickhouse_password,
            # Of our own: the library's would go through HTTP_PROXY, to a server that is next door.
            pool_mgr=get_pool_manager(ca_cert=settings.clickhouse_ca or None),
            connect_timeout=5,
            send_receive_timeout=int(settings.clickhouse_timeout_s) or 1,
            autogenerate_session_id=False,
            show_clickhouse_errors="scrub",  # without URL and version
            query_retries=0,  # who calls decides when to try again
            client_name="roundtrip",
        )
        client.database = settings.clickhouse_database  # not above: before `migrate` it is not there
        return client

    def check(self) -> str:
        """The server's version; Unreachable if it does not answer."""
        try:
            return str(self.command("SELECT version()", database=False))
        except Unavailable as error:
            raise Unreachable(str(error)) from error

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Result:
        """Every row of the answer; `{name:Type}` in the SQL is filled in by the server."""
        with self._errors(insert=False):
            answer = self._connected().query(
                sql, parameters=dict(parameters or {}), settings=dict(settings or {})
            )
            return Result(tuple(answer.column_names), list(answer.result_rows))

    def raw(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        fmt: str = "JSONEachRow",
        settings: Mapping[str, Any] | None = None,
    ) -> bytes:
        """The answer as ClickHouse writes it in a format."""
        with self._errors(insert=False):
            answer = self._connected().raw_query(
                sql, parameters=dict(parameters or {}), settings=dict(settings or {}), fmt=fmt
            )
            return bytes(answer)

    def command(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        database: bool = True,
        settings: Mapping[str, Any] | None = None,
    ) -> str:
        """The one value of the answer as text, empty for DDL; `database=False` where ours need not exist."""
        with self._errors(insert=False):
            answer = self._connected().command(
                sql, parameters=dict(parameters or {}), settings=dict(settings or {}), use_database=database
            )
            return str(answer) if isinstance(answer, str | int) else ""

    def insert_raw(
        self,
        table: str,
        body: bytes,
        *,
        columns: Sequence[str] = (),
        fmt: str = "JSONEachRow",
        token: str = "",
        settings: Mapping[str, Any] | None = None,
    ) -> int:
        """The rows in the body are stored; how many ClickHouse wrote, materialized views' rows among them.

        All rows or, by part, none: Refused names the first bad row where ClickHouse does. After a lost
        connection the client may send the body a second time; the tables' keys make that harmless.

        token: the batch's hash (`insert_deduplication_token`); saves work on a retry, nothing depends on it.
        """
        given = {**_INSERT, **(settings or {})}
        if token:
            given["insert_deduplication_token"] = token
        with self._errors(insert=True):
            summary = self._connected().raw_insert(
                f"{self._settings.clickhouse_database}.{table}",
                list(columns) or None,
                body,
                settings=given,
                fmt=fmt,
            )
            return int(summary.written_rows)

    @contextlib.contextmanager
    def _errors(self, *, insert: bool) -> Iterator[None]:
        """Whatever goes wrong inside is Refused or Unavailable."""
        try:
            yield
        except (ClickHouseError, HTTPError, OSError) as error:
            code = getattr(error, "code", None) or 0
            if not code:
                why = _short(_root(error))
                self._server.lost(why)
                raise Unavailable(
                    f"ClickHouse at {self._settings.clickhouse} cannot be reached: {why}"
                ) from error
            self._server.found()
            raise _answered(code, error, insert=insert) from error
        self._server.found()

    def close(self) -> None:
        """Every connection is closed."""
        if self._client is not None:
            self._client.close()


def _answered(code: int, error: Exception, *, insert: bool) -> Refused | Unavailable:
    """What ClickHouse's own number means to the caller."""
    text = _short(error)
    if code in _ABSENT and insert:
        return Unavailable(f"ClickHouse: {text}; run `roundtrip migrate`")
    if code in _RIGHTS:
        return Unavailable(f"ClickHouse lets us not in: {text} (ROUNDTRIP_CLICKHOUSE_USER, _PASSWORD)")
    if (insert and code not in _BAD_ROWS) or code in _PASSING:
        return Unavailable(f"ClickHouse: {text}")
    row = _ROW.search(str(error))
    return Refused(f"ClickHouse: {text}", code=code, row=int(row[1]) if row else 0)


_ROW = re.compile(r"\(at row (\d+)\)")
_ROWS_AFTER = re.compile(r" before: '.*?'(?=: \()")
_MAX_TEXT = 300


def _short(error: BaseException) -> str:
    """One line of what the library says, without its preamble and without the rows after a bad value."""
    text = " ".join(str(error).split())
    text = (
        text.split("server response: ", 1)[-1].replace("Code: ", "code ", 1).replace("DB::Exception: ", "", 1)
    )
    text = _ROWS_AFTER.sub("", text)
    return text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "…"


def _root(error: BaseException) -> BaseException:
    """The first cause: `Connection refused` says more than the library's words around it."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
