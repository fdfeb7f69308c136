// The steps of a consent that Airflow's page and the plain one share: they show nothing.
import {sendJson} from "./parts.js";

const path = (conn, step = "") => `api/connections/${encodeURIComponent(conn)}/consent${step}`;
const stored = (conn) => `oauth-device-${conn}`;

export const readOffer = (conn) => sendJson(path(conn, "/offer"));
export const isWeb = (address) => /^https?:\/\//i.test(address);
// Where to enter the code: the address that holds it already, if the server gives one.
export const entryAddress = (prompt) => [prompt.complete_uri, prompt.verification_uri].find(isWeb) ?? "";

export async function copyText(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Without https there is no clipboard: copy what is selected.
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

// Airflow's frames may not open other sites: the whole tab goes to the authorization server.
export async function connectHere(conn, wish) {
  const begun = await sendJson(path(conn), {way: "browser", ...wish});
  if (!isWeb(begun.authorization_url)) throw {status: 0, what: "The authorization endpoint is not a web address", where: "", hint: "Correct authorize_url of the connection."};
  location.assign(begun.authorization_url);
}

// The prompt survives a reload of this tab.
export async function beginDevice(conn, wish) {
  const begun = await sendJson(path(conn), {way: "device", ...wish});
  const prompt = {...begun, until: Date.now() + 1000 * begun.expires_in};
  sessionStorage.setItem(stored(conn), JSON.stringify(prompt));
  return prompt;
}

export function readPrompt(conn) {
  try {
    const prompt = JSON.parse(sessionStorage.getItem(stored(conn)));
    return prompt && prompt.until > Date.now() ? prompt : null;
  } catch {
    return null;
  }
}

// A code outlives the login of the person: after another one the page goes on with it.
export const isOver = ({error}) => error?.status !== 401;
export const forgetPrompt = (conn) => sessionStorage.removeItem(stored(conn));
export const cancelDevice = (conn, prompt) => sendJson(path(conn, "/cancel"), {ticket: prompt.ticket});

// Asks the API server whether the person has agreed, until end({result}) or end({error}); returns a function that stops it.
// The server asks the token endpoint at most once per its interval.
export function followDevice(conn, prompt, end) {
  let timer;
  let live = true;
  const again = (seconds) => { timer = setTimeout(ask, 1000 * Math.min(Math.max(seconds, 1), 60)); };
  async function ask() {
    try {
      const answer = await sendJson(path(conn, "/ask"), {ticket: prompt.ticket});
      if (!live) return;
      if (answer.wait === undefined) end({result: answer});
      else again(answer.wait + 0.1);
    } catch (error) {
      if (!live) return;
      if (error.status === 0 || error.status >= 502) again(prompt.interval);
      else end({error});
    }
  }
  again(prompt.interval);
  return () => { live = false; clearTimeout(timer); };
}

export const timeLeft = (prompt) => {
  const left = Math.max(0, Math.round((prompt.until - Date.now()) / 1000));
  return `The code is valid for ${Math.floor(left / 60)} min ${left % 60} s.`;
};
