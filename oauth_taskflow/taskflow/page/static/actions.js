// The actions on a connection. Each is confirmed first: the dialog says what it does, and what it sends to whom.
import {chakra, ConfirmDialog, fetchJson, el, react} from "./parts.js";

export const ACTIONS = {
  refresh: {
    label: "Refresh now",
    title: (id) => `Refresh the token of ${id} now?`,
    text: "The token endpoint is asked for the next token, although the stored one may be valid. Tasks use the next one from then on.",
    action: "Refresh",
  },
  test: {
    label: "Test",
    title: (id) => `Test ${id} now?`,
    text: "The stored connection is tried with its own credentials.",
    action: "Test",
  },
  revoke: {
    label: "Revoke",
    title: (id) => `Revoke the grant of ${id}?`,
    text: "The authorization server ends the grant, and the stored tokens are removed. Tasks fail until a person consents again.",
    action: "Revoke",
    isBreaking: true,
  },
  forget: {
    label: "Forget",
    title: (id) => `Forget the stored tokens of ${id}?`,
    text: "The stored tokens are deleted here only: the authorization server is not notified, and a refresh token that rotated is lost for good.",
    action: "Forget",
    isBreaking: true,
  },
};

// By action, a sentence about what is sent to which host. Without it, as for a connection that is wrong, a dialog has its text alone.
export function useEffects(connId, isWanted) {
  const {useEffect, useState} = react();
  const [effects, setEffects] = useState({});
  useEffect(() => {
    if (!isWanted) return undefined;
    let isCurrent = true;
    fetchJson(`api/connections/${encodeURIComponent(connId)}/effects`).then((found) => isCurrent && setEffects(found), () => {});
    return () => { isCurrent = false; };
  }, [connId, isWanted]);
  return effects;
}

// Asks whether to do the action `name`. Enter confirms; where something ends, only once its button has the focus.
export function ActionDialog({name, connId, effects, confirm, cancel}) {
  const {title, text, action, isBreaking} = ACTIONS[name];
  const sent = effects[name] ? el(chakra().Text, {mt: 2}, effects[name]) : null;
  return el(ConfirmDialog, {title: title(connId), text: el(react().Fragment, null, text, sent), action, isBreaking, confirm, cancel});
}
