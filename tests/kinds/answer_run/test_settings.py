from typing import Any

import pytest

from jobplane.engine.kinds.answer_run.settings import (
    SettingsError,
    key_variables,
    read_settings,
)

ENDPOINT = {"base_url": "http://127.0.0.1:1/v1/", "model": "m", "key_env": "A_KEY"}


def test_no_settings_are_settings() -> None:
    assert read_settings({}).document_roots == ()


def test_an_endpoint_is_read_with_its_defaults() -> None:
    endpoint = read_settings({"endpoints": {"default": ENDPOINT}}).endpoints["default"]
    assert endpoint.base_url == "http://127.0.0.1:1/v1"
    assert endpoint.attempts == 4


def test_the_variables_that_hold_keys_are_named() -> None:
    settings = read_settings({"endpoints": {"a": ENDPOINT, "b": {**ENDPOINT, "key_env": ""}}})
    assert key_variables(settings) == ("A_KEY",)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"document_roots": "/srv"}, "document_roots"),
        ({"endpoints": {"x": {"model": "m"}}}, "base_url is missing"),
        ({"endpoints": {"x": {"base_url": "http://h"}}}, "model is missing"),
        ({"endpoints": {"x": {**ENDPOINT, "api_key": "k"}}}, "unknown setting 'api_key'"),
        ({"endpoints": {"x": {**ENDPOINT, "base_url": "file:///x"}}}, "http"),
        ({"endpoints": {"x": {**ENDPOINT, "base_url": "http://u:p@h"}}}, "credentials"),
        ({"limits": {"documents": 0}}, "above 0"),
        ({"limits": {"speed": 1}}, "unknown limit"),
    ],
)
def test_a_wrong_setting_is_named(raw: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        read_settings(raw)


def test_a_limit_can_be_set() -> None:
    assert read_settings({"limits": {"documents": 3}}).limits.documents == 3
