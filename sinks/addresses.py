"""Addresses: which of them the notifier may call, so that no partner's URL reaches an inside network.

`ipaddress.is_global` calls several forms global that lead inside: an IPv4 address wrapped in IPv6, the old
site-local block, multicast. So IPv6 is an allow-list, and IPv4 leaves out what is global in name only.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_UNICAST = IPv6Network("2000::/3")  # the only block that IANA gives out for global unicast
_WRAPPED = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo (2001::/32) among them: IPv4 inside
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: IPv4 inside
        "3fff::/20",  # documentation
    )
)
_INSIDE_V4 = tuple(
    ip_network(text)
    for text in (
        "192.0.0.0/24",  # protocol assignments, and a cloud's metadata (Oracle)
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # a cloud's metadata and DNS service on a public address (Azure)
    )
)


def why_forbidden(text: str) -> str:
    """Why this address may not be called; empty where it may. Anything that is no address may not."""
    try:
        address = ip_address(text)
    except ValueError:
        return f"{text} is no address"
    public = _is_public_v4(address) if isinstance(address, IPv4Address) else _is_public_v6(address)
    return "" if public else f"{text} is not a public address"


def _is_public_v4(address: IPv4Address) -> bool:
    return (
        address.is_global
        and not address.is_multicast
        and not address.is_reserved
        and not any(address in network for network in _INSIDE_V4)
    )


def _is_public_v6(address: IPv6Address) -> bool:
    return (
        address.is_global
        and address.scope_id is None
        and address in _UNICAST
        and not any(address in network for network in _WRAPPED)
    )
