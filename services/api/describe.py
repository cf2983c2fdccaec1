"""The OpenAPI document of the API, without an API: for docs/reference/openapi.json, and for tests."""

import base64
from typing import Any

from pydantic import SecretStr

from libs.common.backbone import Backbone
from services.api.app import build_live_runs, build_rest, default_objects
from services.api.settings import ApiSettings


def openapi() -> dict[str, Any]:
    """What ``GET /openapi.json`` answers. Nothing is connected, and no setting matters."""
    settings = ApiSettings(secret_key=SecretStr(base64.b64encode(bytes(32)).decode()))
    backbone = Backbone.build("api", settings)
    app = build_rest(settings, backbone, default_objects(settings), build_live_runs(settings, backbone))
    return app.openapi()
