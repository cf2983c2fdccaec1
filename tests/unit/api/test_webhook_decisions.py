"""Where webhooks may lead, what becomes of an attempt, and how a receiver knows us."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from services.api.webhooks.addresses import checked_url, refusal
from services.api.webhooks.attempts import PAUSE_MAX, Attempt, Patience
from services.api.webhooks.signing import new_secret, signed_headers


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.170.2", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "fd00:ec2::254",
        "100.100.100.200", "168.63.129.16", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255",
        "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
    ],
)  # fmt: skip
def test_addresses_that_give_credentials_away_are_never_called(address: str) -> None:
    """However they are written, and whatever the setting says."""
    assert refusal(address, private_allowed=True)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd12::1", "::ffff:10.0.0.1"],
)
def test_private_addresses_need_the_setting(address: str) -> None:
    """This machine among them."""
    assert "private" in (refusal(address, private_allowed=False) or "")
    assert refusal(address, private_allowed=True) is None


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_addresses_of_the_internet_may_be_called(address: str) -> None:
    """That is what webhooks are for."""
    assert refusal(address, private_allowed=False) is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://example.com/x", "like https://"), ("example.com/x", "like https://"), ("https://", "like https://"),
        ("https://u:topsecret@example.com/", "user or a password"), ("https://example.com/#x", "after #"),
        ("https://example.com/a b", "blanks"), ("https://example.com:99999/", "like https://"),
        ("http://169.254.169.254/latest", "credentials away"), ("http://127.0.0.1/", "private"),
        ("http://[::1]:80/", "private"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_meant_is_refused(url: str, said: str) -> None:
    """Without repeating it."""
    with pytest.raises(ValueError, match=said) as caught:
        checked_url(url, private_allowed=False)
    assert "topsecret" not in str(caught.value)


def test_a_name_is_looked_up_when_something_is_sent() -> None:
    """Not before: it may stand for something else by then."""
    for url in ("https://example.com/hook?token=1", "http://localhost:8080/"):
        assert checked_url(url, private_allowed=False) == url


@pytest.mark.parametrize(
    ("attempt", "attempts", "state"),
    [
        (Attempt(200), 1, "delivered"), (Attempt(204), 12, "delivered"), (Attempt(302), 1, "again"),
        (Attempt(500), 1, "again"), (Attempt(404), 11, "again"), (Attempt(500), 12, "dead"),
        (Attempt(error="ConnectError"), 3, "again"), (Attempt(410), 1, "dead"),
    ],
)  # fmt: skip
def test_what_becomes_of_a_delivery(attempt: Attempt, attempts: int, state: str) -> None:
    """2xx counts, 410 ends it, everything else is tried again until patience ends."""
    decision = Patience().decide(attempt, attempts, Random(1))
    assert state == decision.state
    assert (attempt.status == 410) == decision.is_gone
    assert (attempt.told is None) == (state == "delivered")


def test_pauses_grow_over_hours() -> None:
    """A receiver that is away for a night gets what it missed."""
    pauses = [Patience().decide(Attempt(500), n, Random(1)).pause for n in range(1, 12)]
    assert timedelta(seconds=5) <= pauses[0] <= timedelta(seconds=10)
    assert max(pauses) <= PAUSE_MAX
    assert sum(pauses, timedelta()) > timedelta(hours=13)


def test_a_signature_is_that_of_standard_webhooks() -> None:
    """Reckoned here as a receiver does."""
    secret = new_secret(bytes(range(32)))
    at = datetime(2025, 1, 7, 12, 34, 56, tzinfo=UTC)
    headers = signed_headers(secret, "msg_1", at, b'{"a": 1}')
    assert ("msg_1", "1736253296") == (headers["webhook-id"], headers["webhook-timestamp"])
    key = base64.b64decode(secret.split("_", 1)[1])
    mac = hmac.new(key, b'msg_1.1736253296.{"a": 1}', hashlib.sha256).digest()
    assert "v1," + base64.b64encode(mac).decode() == headers["webhook-signature"]


def test_a_signature_is_that_of_the_published_example() -> None:
    """From the specification's own libraries: the same secret, id, time and body give the same words."""
    at = datetime.fromtimestamp(1614265330, tz=UTC)
    headers = signed_headers(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
