"""Presets in words: for docs/providers.md and ``airflow oauth presets``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from oauth_taskflow.api.response_rules import ResponseRule
from oauth_taskflow.oauth.dialect import RevocationDialect
from oauth_taskflow.presets.load import load_preset, preset_names
from oauth_taskflow.presets.model import Preset, Variable

_DAY = 86400.0
_ROTATION = {
    "none": "refresh tokens stay the same",
    "rotate": "each refresh brings a new refresh token; the old one keeps working",
    "single_use": "each refresh brings a new refresh token; the old one dies",
    "unknown": "not known; refresh tokens are treated as single-use",
}

_OTHER_KINDS = {
    "basic": "none: HTTP Basic on every API call",
    "self_signed_jwt": "none: a JWT signed here is the token",
    "aws_sigv4": "none: AWS Signature Version 4 on every API call",
    "none": "none: API parameters or headers carry the credentials",
}
_PKCE = {
    "required": "PKCE is required",
    "supported": "",
    "public": "PKCE only without a client secret",
    "off": "without PKCE",
}


def facts(preset: Preset) -> dict[str, str]:
    """The facts of ``preset`` by subject, one line each; defaults are left out."""
    all_facts = {
        **_endpoints(preset),
        "Grants": ", ".join(preset.grants),
        "Client authentication": _client_auth(preset),
        "JWT grant": _jwt_grant(preset),
        "Token request": _request(preset),
        "Scopes": _scopes(preset),
        **_parameters(preset),
        "Token on API calls": preset.token_header or "",
        "Proof on API calls": _proof(preset),
        "API headers": _pairs(preset.api_headers),
        "API parameters": _pairs(preset.api_params),
        "Self-signed JWT": _self_signed(preset),
        "Access tokens live": preset.access_token_lifetime or "",
        "Refresh": _refresh(preset),
        "Refresh tokens live": _refresh_lifetime(preset),
        "Answer": _answer(preset),
        "Revocation": _revocation(preset.revoke),
        "Rate limit": _rate_limit(preset),
        "Request budgets": _budgets(preset),
        "API answers": "; ".join(map(_api_answer, preset.api_responses)),
        "Lists": "left out when empty" if preset.absent_records == "empty" else "",
    }
    return {subject: fact for subject, fact in all_facts.items() if fact}


def _endpoints(preset: Preset) -> dict[str, str]:
    rule = preset.base_url_from
    base = preset.base_url or ""
    if rule is not None:
        base = f"{rule.path} of the token response, on {', '.join(rule.hosts)}"
    return {
        "API": base or ("the connection's host" if preset.auth_type == "oauth2" else ""),
        "Token endpoint": preset.token_url or "",
        "Refresh endpoint": preset.request.refresh_url or "",
        "Authorization endpoint": preset.authorize_url or "",
        "Device endpoint": preset.device_url or "",
        "Revocation endpoint": preset.revoke.url or "",
        "Introspection endpoint": preset.introspect_url or "",
    }


def _client_auth(preset: Preset) -> str:
    if preset.auth_type != "oauth2":
        return _OTHER_KINDS[preset.auth_type]
    first, *others = preset.client_auth
    return f"{first} (default), {', '.join(others)}" if others else first


def _self_signed(preset: Preset) -> str:
    lifetime = preset.jwt_lifetime_s
    parts = [f"claims {_pairs(preset.jwt_claims)}"] if preset.jwt_claims else []
    parts += [f"headers {_pairs(preset.jwt_headers)}"] if preset.jwt_headers else []
    return "; ".join([*parts, *([f"lives {lifetime:g} s"] if lifetime else [])])


def _jwt_grant(preset: Preset) -> str:
    audience = preset.assertion_audience
    parts = [f"aud is {audience}"] if audience else []
    if preset.request.subject_if_named:
        parts.append("sub only if the connection names a subject")
    return "; ".join(parts)


def _request(preset: Preset) -> str:
    parts = (
        [] if preset.body == "form" else [f"{preset.request.method}, parameters as {preset.body}"]
    )
    parts += [f"{ours} is called {name}" for ours, name in preset.request.rename.items() if name]
    parts += [f"without {ours}" for ours, name in preset.request.rename.items() if not name]
    if preset.token_headers:
        parts.append(f"headers {_pairs(preset.token_headers)}")
    return "; ".join(parts)


def _scopes(preset: Preset) -> str:
    parts = [] if preset.scope_separator == " " else ["separated by commas"]
    if preset.request.scope_in_assertion:
        parts.append("a claim of the JWT where one is signed")
    if preset.default_scopes:
        parts.append(f"by default {' '.join(preset.default_scopes)}")
    if preset.offline_scopes:
        parts.append(f"a login adds {' '.join(preset.offline_scopes)}")
    return "; ".join(parts)


def _parameters(preset: Preset) -> dict[str, str]:
    pkce = _PKCE[preset.pkce]
    code = preset.response.code
    named = "" if code == "code" else f"the code comes back as {code}"
    login = [text for text in (_pairs(preset.params.authorize), pkce, named) if text]
    return {
        "Login": "; ".join(login),
        "Token parameters": _pairs(preset.params.token),
        "Refresh parameters": _pairs(preset.params.refresh),
    }


def _proof(preset: Preset) -> str:
    proof = preset.request_proof
    if proof is None:
        return ""
    place = "parameter" if proof.place == "query" else "header"
    algorithm = proof.algorithm.replace("_", " ").upper()
    return f"{place} {proof.name}: {algorithm} of the token with the client's secret"


def _refresh(preset: Preset) -> str:
    if preset.auth_type == "basic" or not {"refresh_token", "vendor"} & set(preset.grants):
        return ""
    rules = preset.refresh
    parts = [_ROTATION[rules.rotation]]
    if rules.grace_s:
        parts.append(f"a spent one works for {rules.grace_s:g} s more")
    if rules.kills_access_token:
        parts.append("the old access token dies at once")
    if rules.earliest_before_expiry_s:
        parts.append(f"not earlier than {rules.earliest_before_expiry_s:g} s before expiry")
    return "; ".join(parts)


def _refresh_lifetime(preset: Preset) -> str:
    rules = preset.refresh
    parts = []
    if rules.idle_lifetime_s:
        parts.append(f"{rules.idle_lifetime_s / _DAY:g} days unused")
    if rules.absolute_lifetime_s:
        parts.append(f"{rules.absolute_lifetime_s / _DAY:g} days in all")
    if rules.lifetime_path:
        parts.append(f"the answer says it in {rules.lifetime_path}")
    return "; ".join(parts)


def _answer(preset: Preset) -> str:
    form = preset.response
    parts = [] if form.access_token == "access_token" else [f"the token is {form.access_token}"]
    if form.refresh_token != "refresh_token":
        parts.append(f"the refresh token is {form.refresh_token}")
    if form.success:
        parts.append(f"it is a token when {form.success}")
    if form.error:
        parts.append(f"the error is {form.error}")
    parts += [f"{theirs} is {ours}" for theirs, ours in form.errors.items()]
    if form.expiry.source != "auto":
        parts.append(f"the expiry is {form.expiry.path or form.expiry.source}")
    if form.token_types:
        parts.append(f"token types {', '.join(form.token_types)}")
    return "; ".join(parts)


def _revocation(form: RevocationDialect) -> str:
    """Where it differs from RFC 7009."""
    usual = RevocationDialect()
    parts: list[str] = [] if form.method == usual.method else [form.method]
    if form.params != usual.params or form.body != usual.body:
        parts.append(
            f"parameters as {form.body}: {_pairs(form.params)}" if form.params else "no parameters"
        )
    if form.headers:
        parts.append(f"headers {_pairs(form.headers)}")
    if form.client_auth:
        parts.append(form.client_auth)
    if form.tokens != "both":
        parts.append(f"of {form.tokens.replace('_', ' ')}s only")
    if form.success:
        parts.append(f"it succeeded when {form.success}")
    if form.ends_consent:
        parts.append("all grants of the person to this client end")
    return "; ".join(parts)


def _rate_limit(preset: Preset) -> str:
    limit = preset.rate_limit
    return f"{limit.reset_header} names its end ({limit.reset})" if limit else ""


def _budgets(preset: Preset) -> str:
    return "; ".join(f"{limit.requests} per {limit.per}" for limit in preset.budgets)


def _api_answer(rule: ResponseRule) -> str:
    means = {"refresh": "the token has ended", "rate_limit": "a limit is used up"}
    statuses = rule.status if isinstance(rule.status, tuple) else (rule.status,)
    parts = " or ".join(map(str, statuses))
    wait = f", for {rule.wait}" if rule.wait else ""
    return f"{parts} with {rule.when}: {means.get(rule.action or '', 'try again')}{wait}"


def _pairs(pairs: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in pairs.items())


def certainty(preset: Preset) -> str:
    """The month in which the preset was verified, or that it was not."""
    return f"verified {preset.verified}" if preset.verified else "not verified"


def variable_text(variable: Variable) -> str:
    """Describes the value of a preset's key in one line."""
    parts = [variable.description.rstrip(".") + "."]
    if variable.values:
        parts.append(f"One of {', '.join(value or 'nothing' for value in variable.values)}.")
    else:
        parts.append(f"As in {variable.example}.")
    if variable.default:
        parts.append(f"Default {variable.default}.")
    elif variable.default == "":
        parts.append("May be left out.")
    return " ".join(parts)


def providers_page(own: Path | None = None) -> Iterator[str]:
    """The lines of docs/providers.md, with the presets in the folder ``own`` if there is one."""
    yield from _INTRODUCTION
    yield from ("| preset | provider | verified | own keys |", "|---|---|---|---|")
    for name in preset_names(own):
        preset = load_preset(name, own)
        keys = ", ".join(f"`{key}`" for key in preset.variables)
        yield f"| [`{name}`](#{name}) | {preset.title} | {preset.verified or 'no'} | {keys} |"
    for name in preset_names(own):
        yield from _section(name, load_preset(name, own))


_INTRODUCTION = (
    "# Providers",
    "",
    "<!-- Made by scripts/generate_docs.py; edit oauth_taskflow/presets instead. -->",
    "",
    "A connection that names its `provider` needs no public facts: token endpoint, client authentication, headers,",
    "quirks. Every key in the connection wins over the preset; headers and parameters are merged name by name. Keys that",
    "only one provider has, such as `shop`, go into extra with the others.",
    "",
    "```bash",
    "export AIRFLOW_CONN_SHOP='{",
    '  "conn_type": "oauth2",',
    '  "login": "client-id",',
    '  "password": "client-secret",',
    '  "extra": {"provider": "shopify", "shop": "acme-store", "refresh_token": "…"}',
    "}'",
    "airflow oauth presets            # this list",
    "airflow oauth presets shopify    # one of them, with its keys",
    "```",
    "",
    "- **The address** of the API (`host`) may be left out where the preset or the token response names it. An address in a",
    "  token response is accepted only with https and a host that is listed here; the token goes nowhere else.",
    "- **Verified** with a month: the facts of the preset were read then on the pages named in its section. Those are the",
    "  provider's documentation or source code, or a public catalogue of integrations. Facts that they leave open keep their",
    "  default: a refresh token, for example, counts as single-use.",
    "- **Not verified:** written from general knowledge, or found in part only; the pages named in the section give the",
    "  addresses. Try it with a connection of yours before you rely on it. Its refresh tokens count as single-use, whatever",
    "  the preset says.",
    "- **Refresh tokens that stay** (verified) may be kept in a SQLite file under any executor, and a lost answer is requested",
    "  again within the provider's grace period. All others are treated as single-use.",
    "",
    "A preset is one YAML file in `oauth_taskflow/presets/providers/`, checked by `oauth_taskflow/presets/preset.schema.json`;",
    "a new one needs no code. **Your presets** go into the folder that `[oauth_taskflow] presets_folder` names, on every machine",
    "that runs tasks; they replace presets of the same name. Give yours `verified` once you have tried it. One with a path",
    "or pattern that can never work is refused, and the message names its place. This is enough for",
    "`acme.yaml`, with `provider: acme` in connections:",
    "",
    "```yaml",
    "title: Acme",
    "variables: {tenant: {description: Name of the tenant, example: north}}",
    "token_url: https://{tenant}.id.acme.example/oauth/token",
    "base_url: https://{tenant}.api.acme.example/v2",
    "client_auth: [client_secret_post]",
    "```",
    "",
)


def _section(name: str, preset: Preset) -> Iterator[str]:
    yield from ("", f'<a id="{name}"></a>', "", f"## {preset.title}", "")
    pages = ", ".join(f"<{page}>" for page in preset.sources)
    yield from (f"`provider: {name}`, {certainty(preset)}{pages and ': '}{pages}", "")
    if preset.variables:
        yield from ("| own key | meaning |", "|---|---|")
        for key, variable in preset.variables.items():
            yield f"| `{key}` | {_cell(variable_text(variable))} |"
        yield ""
    for subject, fact in facts(preset).items():
        yield f"- **{subject}:** {_code(subject, fact)}"
    for note in preset.notes:
        yield f"- {note}"


def _code(subject: str, fact: str) -> str:
    """URLs with places as code, so that Markdown leaves them alone."""
    if not fact.startswith("https://") and subject not in _LITERAL:
        return _cell(fact)
    # JMESPath contains back-ticks itself.
    return f"`` {fact} ``" if "`" in fact else f"`{fact}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


_LITERAL = frozenset(
    {
        "Token parameters",
        "Refresh parameters",
        "Token on API calls",
        "API headers",
        "Answer",
        "Revocation",
    }
)
