"""Settings: one table, read once, unknown names refused."""

from pathlib import Path

import msgspec
import pytest

from service import settings
from service.errors import Usage
from service.settings import __main__ as page
from service.settings import environment


def refusal(**environ: str) -> str:
    with pytest.raises(Usage) as caught:
        settings.read("collector", {f"ROUNDTRIP_{name}": value for name, value in environ.items()})
    return str(caught.value)


def test_without_any_setting_every_field_has_its_default() -> None:
    read = settings.read("writer", {"PATH": "/bin"})
    assert read == settings.Settings(port=8083, edge=read.edge)
    assert read.edge


@pytest.mark.parametrize(("service", "port"), settings.PORTS.items())
def test_each_service_has_its_own_port(service: str, port: int) -> None:
    assert settings.read(service, {}).port == port


def test_a_stated_port_wins() -> None:
    assert settings.read("console", {"ROUNDTRIP_PORT": "0"}).port == 0


def test_values_are_read_by_their_type() -> None:
    read = settings.read(
        "collector",
        {
            "ROUNDTRIP_DIR": "/srv/rt",
            "ROUNDTRIP_NOTIFY_ALLOW_PRIVATE": "1",
            "ROUNDTRIP_TRUSTED_PROXIES": "10.0.0.1/8, ::1",
            "ROUNDTRIP_DRAIN_S": "2.5",
        },
    )
    assert (read.dir, read.notify_allow_private, read.drain_s) == (Path("/srv/rt"), True, 2.5)
    assert read.trusted_proxies == ("10.0.0.0/8", "::1/128")


def test_the_keys_lie_in_the_directory_unless_stated() -> None:
    assert settings.read("collector", {"ROUNDTRIP_DIR": "/srv/rt"}).keys_path == Path("/srv/rt/keys.toml")
    assert settings.read("collector", {"ROUNDTRIP_KEYS": "/run/k.toml"}).keys_path == Path("/run/k.toml")


def test_an_empty_value_means_the_default() -> None:
    assert settings.read("writer", {"ROUNDTRIP_KAFKA": ""}).kafka == "127.0.0.1:9092"


def test_an_unknown_name_is_refused_with_the_nearest_known_one() -> None:
    assert "ROUNDTRIP_KAFKA_USR" in refusal(KAFKA_USR="x")
    assert "ROUNDTRIP_KAFKA_USER " in refusal(KAFKA_USR="x")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "http"),
        ("PARTITIONS", "0"),
        ("KAFKA_SECURITY", "tls"),
        ("TRUSTED_PROXIES", "10.0.0.0/33"),
        ("CLICKHOUSE", "127.0.0.1:8123"),
        ("CLICKHOUSE", "http://user:word@host"),
        ("TOPIC_PREFIX", "a b"),
        ("CLICKHOUSE_DATABASE", "a; DROP"),
        ("NOTIFY_ALLOW_PRIVATE", "perhaps"),
        ("LOG_LEVEL", "LOUD"),
    ],
)
def test_a_bad_value_is_refused_with_its_name(name: str, value: str) -> None:
    assert f"ROUNDTRIP_{name}" in refusal(**{name: value})


def test_no_secret_is_shown() -> None:
    names = ("KAFKA_PASSWORD", "CLICKHOUSE_PASSWORD", "CONSOLE_TOKEN", "ADJUST_TOKEN")
    read = settings.read("console", {f"ROUNDTRIP_{name}": f"geheim-of-{name}" for name in names})
    assert read.kafka_password == "geheim-of-KAFKA_PASSWORD"  # noqa: S105  made up
    assert "geheim" not in repr(read)
    assert "geheim" not in f"{read}"


@pytest.mark.parametrize("token", ["geheim", "geheim with blanks in it", "geheim-geheim-geheim\n"])
def test_a_token_of_adjustments_is_long_enough_and_fits_into_a_header(token: str) -> None:
    assert "geheim" not in refusal(ADJUST_TOKEN=token)


def test_a_secret_that_cannot_be_read_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = msgspec.defstruct("Settings", [("kafka_password", int)])
    monkeypatch.setattr(environment, "Settings", narrow)
    with pytest.raises(Usage) as caught:
        environment._converted({"kafka_password": "geheim"})
    assert "geheim" not in str(caught.value)


def test_every_setting_says_what_it_is_and_who_reads_it() -> None:
    for name, kind, _, services, about in page._rows():
        assert kind, name
        assert about.endswith("."), name
        assert services, name


def test_the_page_is_what_the_table_says() -> None:
    """`python -m service.settings > docs/settings.md` writes it."""
    assert (Path(__file__).parents[2] / "docs" / "settings.md").read_text() == page.markdown()


def test_the_page_has_words_for_types_and_no_python() -> None:
    assert "<class" not in page.markdown()
