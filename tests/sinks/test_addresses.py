"""Which addresses a partner's URL may lead to."""

import pytest

from sinks.addresses import why_forbidden


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "8.8.8.8", "2606:4700::1111", "2a00:1450:4001:81b::200e"]
)
def test_public_addresses_may_be_called(address: str) -> None:
    assert why_forbidden(address) == ""


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104  to be refused
        "127.0.0.1",
        "127.8.9.10",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.100.100.200",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "168.63.129.16",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1111%eth0",
        "fec0::1",
        "ff02::1",
        "5f00::1",
    ],
)
def test_everything_that_leads_inside_may_not(address: str) -> None:
    assert why_forbidden(address)


@pytest.mark.parametrize("text", ["", "localhost", "2130706433", "0x7f.1", "127.1", "example.com"])
def test_what_is_no_address_may_not(text: str) -> None:
    assert why_forbidden(text)
