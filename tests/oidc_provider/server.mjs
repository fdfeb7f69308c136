// Two authorization servers of the package oidc-provider on 127.0.0.1: one as it comes, and a strict one, which demands
// pushed requests and DPoP proofs with its nonces. Prints their issuers as one line of JSON, and ends with its standard input.

import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const CALLBACK = process.argv[2];
const SECRET = "a-secret-of-this-test-alone";

const usual = { grant_types: ["authorization_code", "refresh_token"], redirect_uris: [CALLBACK] };
const clients = [
  { ...usual, client_id: "airflow", client_secret: SECRET },
  {
    client_id: "device",
    client_secret: SECRET,
    grant_types: ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
    response_types: [],
    redirect_uris: [],
  },
  {
    ...usual,
    client_id: "terminal",
    token_endpoint_auth_method: "none",
    application_type: "native",
    redirect_uris: ["http://127.0.0.1/callback"],
  },
];

const common = {
  clients,
  cookies: { keys: ["cookies of a test"] },
  rotateRefreshToken: true,
  scopes: ["openid", "offline_access"],
  ttl: { AccessToken: 3600, Grant: 3600, Interaction: 600, RefreshToken: 3600, Session: 600 },
};
const features = {
  deviceFlow: { enabled: true },
  introspection: { enabled: true },
  revocation: { enabled: true },
};
const kinds = {
  plain: { features: { ...features, pushedAuthorizationRequests: { enabled: false } } },
  strict: {
    features: {
      ...features,
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true },
    },
    clientDefaults: { dpop_bound_access_tokens: true },
  },
};

async function start(kind) {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, { ...common, ...kind });
  provider.on("server_error", (_, error) => console.error(error));
  server.on("request", provider.callback());
  return issuer;
}

const issuers = {};
for (const [name, kind] of Object.entries(kinds)) issuers[name] = await start(kind);
console.log(JSON.stringify(issuers));
process.stdin.resume().on("end", () => process.exit());
