"""Who is let in to tell of objects."""

import pytest
from pydantic import SecretStr, ValidationError

from libs.common.errors import Forbidden, Unauthenticated
from services.api.notifications.secrets import SharedSecrets
from services.api.settings import ApiSettings

NEW, OLD = "the-one-that-is-new", "the-one-that-was-before"


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_each_secret_opens(secret: str) -> None:
    """While one is exchanged for another, both do."""
    SharedSecrets([NEW, OLD]).check(secret)


def test_without_a_secret_nobody_knows_who_asks() -> None:
    with pytest.raises(Unauthenticated) as refused:
        SharedSecrets([NEW]).check(None)
    assert "no_notification_secret" == refused.value.code


@pytest.mark.parametrize("secret", ["", "another", NEW[:-1], NEW + "x", NEW.upper(), "é"])
def test_a_wrong_secret_is_refused(secret: str) -> None:
    with pytest.raises(Forbidden) as refused:
        SharedSecrets([NEW, OLD]).check(secret)
    assert "wrong_notification_secret" == refused.value.code
    assert NEW not in refused.value.message + refused.value.hint


def test_without_secrets_in_the_settings_nothing_opens() -> None:
    with pytest.raises(Forbidden) as refused:
        SharedSecrets([]).check("")
    assert "notifications_off" == refused.value.code


def test_a_secret_that_could_be_guessed_is_no_setting() -> None:
    with pytest.raises(ValidationError, match="16 characters"):
        ApiSettings(notification_secrets=(SecretStr("short"),))
