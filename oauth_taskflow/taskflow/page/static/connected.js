// What the end of a consent means, as lines of text.
const instant = (seconds) => new Date(seconds * 1000).toLocaleString();

export function describeConnected({grant, trial, notes}) {
  return [
    ...notes,
    grant.expires_at ? `The access token is valid until ${instant(grant.expires_at)}; tasks refresh it.` : "",
    grant.consent_due_at ? `The next consent is due on ${instant(grant.consent_due_at)}.` : "",
    `Test call: ${trial.text}`,
  ].filter(Boolean);
}
