import {poll} from "./polling.js";

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
const PERIOD = 5000;
const NOW = {"Cache-Control": "no-cache"};

// The answer's JSON; null for 304. An error is thrown as {status, what, where, hint, problems, wait}; problems are
// those of single keys, wait is how many ms the server asks to wait.
export async function fetchJson(path, options = {}) {
  return (await fetchAnswer(path, options)).body;
}

async function fetchAnswer(path, options = {}) {
  let answer;
  try {
    answer = await fetch(APP + path, {headers: {Accept: "application/json"}, ...options});
  } catch {
    throw {status: 0, what: "The API server did not answer", where: "", hint: "This page asks again by itself."};
  }
  if (answer.status === 304) return {body: null, tag: null};
  const body = await answer.json().catch(() => null);
  if (!answer.ok || body === null) throw readError(answer, body ?? {});
  return {body, tag: answer.headers.get("ETag")};
}

function readError(answer, body) {
  const isText = typeof body.detail === "string";
  return {
    status: answer.status,
    what: isText ? body.detail : `The API server answered ${answer.status}`,
    where: body.where ?? "",
    problems: Array.isArray(body.problems) ? body.problems : [],
    wait: 1000 * (Number(answer.headers.get("Retry-After")) || 0),
    hint: body.hint || (answer.status === 401 ? "Reload this page to log in again." : ""),
  };
}

// Sends JSON; answers and errors as fetchJson has them.
export const sendJson = (path, body = {}, method = "POST") =>
  fetchJson(path, {
    method,
    headers: {Accept: "application/json", "Content-Type": "application/json"},
    body: JSON.stringify(body),
  });

// {data, error, reload}: what the path answers, asked again about every five seconds while the tab is seen (polling.js). Content
// that is the same is not sent again (ETag); after an error the last content stays. The first question and reload() ask for the
// state of this moment; the others may get what the server has just read for another page.
export function useLive(path) {
  const {useCallback, useEffect, useRef, useState} = react();
  const [state, setState] = useState({});
  const tag = useRef(null);
  const numbers = useRef({last: 0, shown: 0});
  const ask = useCallback(async (extra) => {
    const number = ++numbers.current.last;
    // An answer that was overtaken by a later question's is old.
    const show = (change, answer) => {
      if (number < numbers.current.shown) return;
      numbers.current.shown = number;
      if (answer?.body) tag.current = answer.tag;
      setState(change);
    };
    try {
      const headers = {Accept: "application/json", ...(tag.current ? {"If-None-Match": tag.current} : {}), ...extra};
      const answer = await fetchAnswer(path, {headers});
      show((known) => (answer.body || known.error ? {data: answer.body ?? known.data} : known), answer);
    } catch (error) {
      show((known) => ({data: known.data, error}));
      throw error;
    }
  }, [path]);
  useEffect(() => {
    tag.current = null;
    let extra = NOW;
    const askAgain = () => {
      const asked = ask(extra);
      extra = {};
      return asked;
    };
    return poll(askAgain, PERIOD);
  }, [ask]);
  const reload = useCallback(() => ask(NOW).catch(() => {}), [ask]);
  return {...state, reload};
}

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

// One sentence about what was done, announced politely. The region is there before its text is.
export function StatusLine({message, failed}) {
  const C = chakra();
  const look = message
    ? {borderWidth: "1px", borderRadius: "md", p: 3, my: 2, borderColor: failed ? "border.error" : "border.success", bg: failed ? "bg.error" : "bg.success"}
    : {};
  return el(C.Box, {role: "status", "aria-live": "polite", ...look}, message ?? "");
}

const COLORS = {
  healthy: "green", idle: "gray", unused: "gray", no_grant: "gray", never_connected: "purple",
  cooling_down: "orange", failing: "red", misconfigured: "red", unreadable: "red", needs_consent: "red", missing: "red", orphaned: "orange",
};

// A state by its name in the list's `states`; the color only repeats what the label says.
export function StateBadge({name, label, meaning}) {
  return el(chakra().Badge, {colorPalette: COLORS[name] ?? "gray", variant: "subtle", title: meaning}, label ?? name);
}

const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

// An instant (seconds since the epoch) as "in 5 minutes"; the exact time is its title. Nothing for null.
export function When({at, now}) {
  if (at === null || at === undefined) return el(chakra().Span, {color: "fg.muted"}, "–");
  const left = at - (now ?? Date.now() / 1000);
  const [unit, size] = STEPS.find(([, seconds]) => Math.abs(left) >= seconds) ?? ["second", 1];
  const text = new Intl.RelativeTimeFormat("en", {numeric: "auto"}).format(Math.trunc(left / size), unit);
  const date = new Date(at * 1000);
  return el("time", {dateTime: date.toISOString(), title: `${date.toLocaleString()} (${date.toISOString()})`}, text);
}

// Seconds since the epoch, renewed every `period` ms, so that texts of When move on.
export function useNow(period = 15000) {
  const {useEffect, useState} = react();
  const [now, setNow] = useState(() => Date.now() / 1000);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now() / 1000), period);
    return () => clearInterval(timer);
  }, [period]);
  return now;
}

// Asks before `confirm` is called: {title, text, action}. Escape, Cancel and a click beside it call `cancel`.
export function ConfirmDialog({title, text, action, confirm, cancel}) {
  const C = chakra(), D = C.Dialog;
  return el(
    D.Root,
    {open: true, role: "alertdialog", onOpenChange: ({open}) => open || cancel(), placement: "center"},
    el(C.Portal, null,
      el(D.Backdrop),
      el(D.Positioner, null,
        el(D.Content, null,
          el(D.Header, null, el(D.Title, null, title)),
          el(D.Body, null, text),
          el(D.Footer, null,
            el(C.Button, {variant: "outline", onClick: cancel}, "Cancel"),
            el(C.Button, {colorPalette: "red", onClick: confirm}, action))))));
}

// Copies `text`; the button's own text says when it is done.
export function CopyButton({text, label = "Copy"}) {
  const {useState} = react();
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyBySelection(text); // without TLS there is no clipboard
    }
    setDone(true);
    setTimeout(() => setDone(false), 2000);
  };
  return el(chakra().Button, {size: "xs", variant: "outline", onClick: copy, "aria-live": "polite"}, done ? "Copied" : label);
}

function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

// A link inside Airflow's UI; the path begins below the base path.
export const InnerLink = ({to, children, ...rest}) =>
  el(chakra().Link, {asChild: true, color: "fg.info", ...rest}, el(router().Link, {to}, children));

// Shown where the globals are missing: text alone, which needs none of them.
export const PlainLink = () => `This release of Airflow lacks what the page needs. The plain page is at ${location.origin}${APP}`;
