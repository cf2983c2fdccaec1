"""Which addresses a webhook may name. Pure.

Users choose the address, and the API sends from inside: without a check, it would knock at doors that users cannot
reach themselves. Names are resolved right before each attempt and the connection goes to the very address that was
checked, so a name that changes its mind in between gains nothing.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

Address = IPv4Address | IPv6Address

_NEVER = tuple(
    ip_network(network)
    for network in (
        "169.254.0.0/16", "fe80::/10",  # link-local: AWS, Azure and GCP give credentials away at 169.254.169.254
        "fd00:ec2::/32",                # AWS again
        "100.100.100.200/32",           # Alibaba
        "168.63.129.16/32",             # Azure's own channel to its machines
        "0.0.0.0/8", "::/128", "224.0.0.0/4", "ff00::/8", "255.255.255.255/32",
    )
)  # fmt: skip
_NAT64 = ip_network("64:ff9b::/96")


def refusal(address: str, *, private_allowed: bool) -> str | None:
    """Why nothing is sent to this IP address; None if it may be."""
    ip = _plain(ip_address(address.partition("%")[0]))
    if any(ip in network for network in _NEVER if network.version == ip.version):
        return f"{ip} is an address of the network itself, or gives credentials away"
    if not ip.is_global and not private_allowed:
        return f"{ip} is a private address"
    return None


def checked_url(text: str, *, private_allowed: bool) -> str:
    """``text``, if it is an address that can be meant.

    Raises:
        ValueError: what is wrong with it. The message does not repeat it: it may hold a token.
    """
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("must have no blanks")
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError as e:
        raise ValueError("must be an address like https://example.com/hook") from e
    if parts.scheme not in ("https", "http") or not host:
        raise ValueError("must be an address like https://example.com/hook")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or a password; requests are signed instead")
    if parts.fragment:
        raise ValueError("must not have a part after #: it is never sent")
    try:
        why = refusal(host, private_allowed=private_allowed)
    except ValueError:
        return text  # a name; what it stands for is looked at before each attempt
    if why is not None:
        raise ValueError(f"{why}; the setting AUTOLOADER_WEBHOOK_PRIVATE_ADDRESSES says what is allowed")
    return text


def _plain(ip: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return ip.ipv4_mapped
        if ip.sixtofour is not None:
            return ip.sixtofour
        if ip in _NAT64:
            return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
