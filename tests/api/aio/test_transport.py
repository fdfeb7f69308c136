"""The TLS context of async sessions."""

from __future__ import annotations

import ssl
from pathlib import Path

from oauth_taskflow.api.aio.transport import tls_context
from tests.oauth.raw_server import self_signed


def test_sessions_without_certificate_files_share_one_context(tmp_path: Path) -> None:
    shared = tls_context(verify=True, cert=None)
    assert tls_context(verify=True, cert=None) is shared
    assert tls_context(verify=False, cert=None).verify_mode is ssl.CERT_NONE
    own = tls_context(verify=True, cert=str(self_signed(tmp_path)[1]))
    assert own is not shared
    assert own.verify_mode is ssl.CERT_REQUIRED
