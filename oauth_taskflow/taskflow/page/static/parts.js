// What the pages share. Airflow's UI offers React, Chakra UI and its router as globals; they are no documented interface, so
// every page asks hasGlobals() first and falls back to the plain page.
const globals = globalThis;
export const hasGlobals = () => Boolean(globals.React && globals.ChakraUI && globals.ReactRouterDOM);
export const el = (...parts) => globals.React.createElement(...parts);
export const chakra = () => globals.ChakraUI;
export const router = () => globals.ReactRouterDOM;
export const react = () => globals.React;

// The app, as in "/oauth/" or "/below/oauth/": this file is /oauth/static/<version>/parts.js.
export const APP = new URL("../../", import.meta.url).pathname;
// The page inside Airflow's UI, for links of the router, whose paths begin below the base path.
export const PAGE = "/plugin/oauth";

// The answer's JSON. An error is thrown as {status, what, where, hint}.
export async function fetchJson(path, options = {}) {
  let answer;
  try {
    answer = await fetch(APP + path, {headers: {Accept: "application/json"}, ...options});
  } catch {
    throw {status: 0, what: "The API server did not answer", where: "", hint: "Is it running? This page tries again."};
  }
  if (answer.status === 304) return null;
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    throw {
      status: answer.status,
      what: typeof body.detail === "string" ? body.detail : `The API server answered ${answer.status}`,
      where: body.where ?? "",
      hint: body.hint ?? (answer.status === 401 ? "Log in again: reload this page." : ""),
    };
  }
  return body;
}

export const sendJson = (path, body = {}, method = "POST") =>
  fetchJson(path, {
    method,
    headers: {Accept: "application/json", "Content-Type": "application/json"},
    body: JSON.stringify(body),
  });

// An error of fetchJson as a box that a screen reader announces.
export function ErrorBox({error}) {
  const C = chakra();
  const place = error.where ? ` ${error.where}` : "";
  return el(
    C.Box,
    {role: "alert", borderWidth: "1px", borderColor: "border.error", bg: "bg.error", color: "fg.error", borderRadius: "md", p: 3, my: 2},
    el(C.Text, {fontWeight: "semibold"}, `${error.what}${place}.`),
    error.hint ? el(C.Text, null, error.hint) : null,
  );
}

export function PlainLink() {
  return `This release of Airflow lacks what the page needs. The plain page is at ${location.origin}${APP}`;
}
