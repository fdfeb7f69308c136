"""The forms of credentials that providers publish, so that scanners find them.

Sources: the providers' own pages and GitHub's list of secret scanning patterns
(docs.github.com/code-security/secret-scanning/introduction/supported-secret-scanning-patterns).
"""

from __future__ import annotations

import base64
import binascii
import re

_BOUNDARY = r"\b"
# Characters of the shortest credential below: a Slack token. Only a private key has spaces in it.
_SHORTEST = 15
_WITH_SPACES = "PRIVATE KEY"
# No quantifier is without bound where it may begin inside its own repetition: text of any length takes linear time.
_KNOWN = {
    "an AWS access key ID": r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
    "a private key": r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----",
    "a JSON Web Token": r"(?<![\w-])eyJ[\w-]{8,4096}\.[\w-]{8,4096}\.",
    "a GitLab token": r"\bgl(?:pat|oas|dt|rt|cbt|ptt|ft|soat|agent|imt|ffct)-[\w-]{20,255}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_[A-Za-z0-9_]{22,255})",
    "a SendGrid key": r"\bSG\.[\w-]{16,32}\.[\w-]{16,64}",
    "a Slack token": r"\b(?:xox[abeoprsc]-(?:\d-)?|xapp-\d-|xwfp-)[A-Za-z0-9-]{10,255}",
    "a Slack webhook": r"hooks\.slack\.com/(?:services|workflows)/[A-Z0-9]{5,20}/",
    "a Stripe key": r"\b(?:(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,255}|whsec_[A-Za-z0-9+/=]{20,255})",
    "a Google key": r"\b(?:AIza[\w-]{35}|GOCSPX-[\w-]{20,64}|ya29\.[\w-]{20,255}|1//0[\w-]{20,255})",
    "an npm token": r"\bnpm_[A-Za-z0-9]{36}",
    "a PyPI token": r"\bpypi-AgE[\w-]{20,1024}",
    "a Shopify token": r"\bshp(?:at|ca|pa|ss|ua)_[A-Fa-f0-9]{32}",
    "a Notion token": r"\b(?:secret_[A-Za-z0-9]{43}|ntn_[A-Za-z0-9]{40,60})\b",
    "a HubSpot token": r"\bpat-(?:na|eu|ap)\d-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "an Airtable token": r"\bpat[A-Za-z0-9]{14}\.[0-9a-f]{64}",
    "a Square token": r"\b(?:sq0(?:atp|csp)-[\w-]{20,64}|EAAA[\w-]{60})",
    "a Meta token": r"\bEAA[A-Za-z0-9]{60,512}",
    "a Mailgun key": r"\bkey-[0-9a-f]{32}\b",
    "a Mailchimp key": r"\b[0-9a-f]{32}-us\d{1,2}\b",
    "a Twilio key": r"\bSK[0-9a-f]{32}\b",
    "an Atlassian token": r"\bAT(?:ATT|CTT|BB)[\w-]{20,512}",
    "a Linear key": r"\blin_(?:api|oauth)_[A-Za-z0-9]{32,64}",
    "a Databricks token": r"\bdapi[0-9a-f]{32}\b",
    "a DigitalOcean token": r"\bdo[opr]_v1_[0-9a-f]{64}",
    "an OpenAI or Anthropic key": r"\bsk-(?:proj-|ant-|svcacct-)?[A-Za-z0-9_-]{20,255}",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{34}",
    "a Telegram bot token": r"\b\d{8,10}:AA[\w-]{33}",
    "a Vault token": r"\bhv[sbr]\.[\w-]{20,255}",
    "a Dropbox token": r"\bsl\.[\w-]{60,1024}",
    "a New Relic key": r"\bNRAK-[A-Z0-9]{27}",
    "a Grafana token": r"\bglsa_[A-Za-z0-9]{32}_[0-9a-f]{8}",
    "an Azure key": r"(?i)(?:AccountKey|SharedAccessKey|SharedAccessSignature)=[A-Za-z0-9+/=%&]{20,255}",
}
_SENSITIVE = [pattern for pattern in _KNOWN.values() if not pattern.startswith("(?i)")]
# With the word boundary in front of all of them, most places are passed over at once: a tenth of the time.
_AT_WORD = re.compile(
    rf"\b(?:{'|'.join(f'(?:{p[2:]})' for p in _SENSITIVE if p.startswith(_BOUNDARY))})"
)
_ELSEWHERE = re.compile("|".join(f"(?:{p})" for p in _SENSITIVE if not p.startswith(_BOUNDARY)))
_ANY_CASE = re.compile(
    "|".join(p.removeprefix("(?i)") for p in _KNOWN.values() if p.startswith("(?i)")), re.IGNORECASE
)
# Words that were looked at and hold no credential: specs of one folder consist of the same ones.
_harmless: set[str] = set()
_MOST_HARMLESS = 10_000
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{4,4096}={0,2}\Z")


def long_words(text: str, least: int) -> str:
    """The words of ``text``, as whitespace separates them, that have ``least`` characters, joined by spaces."""
    return " ".join(word for word in text.split() if len(word) >= least)


def credential_kind(text: str) -> str:
    """The kind of credential that ``text`` contains, such as "a GitHub token"; empty without one."""
    # A tenth of a parse: only the words of a spec that are long enough for a credential are searched.
    words = " ".join({word for word in text.split() if len(word) >= _SHORTEST} - _harmless)
    found = any(pattern.search(words) for pattern in (_AT_WORD, _ELSEWHERE, _ANY_CASE))
    if not found:
        if len(_harmless) < _MOST_HARMLESS and len(words) < _MOST_HARMLESS:
            _harmless.update(words.split())
        if _WITH_SPACES not in text:
            return ""
    return next((kind for kind, pattern in _KNOWN.items() if re.search(pattern, text)), "")


def is_basic_credential(value: str) -> bool:
    """Whether ``value`` is the credential of ``Basic`` (RFC 7617 §2): user, colon and password in base64."""
    if not _BASE64.match(value):
        return False
    try:
        plain = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_")
    except (binascii.Error, ValueError):
        return False
    return b":" in plain and plain.decode("utf-8", "replace").isprintable()
