import {poll} from "./polling.js";

// What the pages share. Airflow's UI offers React, Chakra UI and its router as globals; they are no documented interface, so
// every page asks hasGlobals() first and falls back to the plain page.
const globals = globalThis;
export const hasGlobals = () => Boolean(globals.React && globals.ChakraUI && globals.ReactRouterDOM);
export const el = (...parts) => globals.React.createElement(...parts);
export const chakra = () => globals.ChakraUI;
export const router = () => globals.ReactRouterDOM;
export const react = () => globals.React;

// What `object` holds under a name that came from outside: every object also answers to names such as "constructor".
export const lookUp = (object, name) => (Object.hasOwn(object, name) ? object[name] : undefined);

// The app, as in "/oauth/" or "/below/oauth/": this file is /oauth/static/<version>/parts.js.
export const APP = new URL("../../", import.meta.url).pathname;
// The page inside Airflow's UI, for links of the router, whose paths begin below the base path.
export const PAGE = "/plugin/oauth";
const PERIOD = 5000;
const MOST_NAMED = 5;
const NOW = {"Cache-Control": "no-cache"};

// The answer's JSON; null for 304. An error is thrown as {status, what, where, hint, problems, wait}; problems are
// those of single keys, wait is how many ms the server asks to wait.
export async function fetchJson(path, options = {}) {
  return (await fetchAnswer(path, options)).body;
}

// `advice` is for a server that does not answer: within a minute, or five where it waits for the servers of others.
async function fetchAnswer(path, options = {}, advice = "Reload this page when it answers again.") {
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), options.method ? 300_000 : 60_000);
  try {
    const answer = await fetch(APP + path, {headers: {Accept: "application/json"}, signal: silence.signal, ...options});
    setClock(answer.headers.get("Date"));
    if (answer.status === 304) return {body: null, tag: null};
    const body = await answer.json().catch(() => null);
    if (silence.signal.aborted) throw new TypeError("Cut off");
    if (!answer.ok || body === null) throw readError(answer, body ?? {});
    return {body, tag: answer.headers.get("ETag")};
  } catch (error) {
    throw "what" in error ? error : {status: 0, what: "The API server did not answer", where: "", hint: advice};
  } finally {
    clearTimeout(timer);
  }
}

// Instants are the server's. A browser whose clock is wrong by more than that many ms follows the server's.
const MOST_SKEW = 10_000;
let skew = 0;
function setClock(date) {
  const found = Date.parse(date ?? "") - Date.now();
  if (!Number.isNaN(found)) skew = Math.abs(found) > MOST_SKEW ? found : 0;
}
export const serverNow = () => (Date.now() + skew) / 1000;

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
export async function sendJson(path, body = {}, method = "POST") {
  const headers = {Accept: "application/json", "Content-Type": "application/json"};
  const advice = "Look when it answers again, before you repeat it: what was asked for may have happened.";
  return (await fetchAnswer(path, {method, headers, body: JSON.stringify(body)}, advice)).body;
}

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
      const answer = await fetchAnswer(path, {headers}, "This page asks again by itself.");
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

// Colours of texts that say how something went, dark enough to be read: Airflow's own fg.error and the like are not.
export const TONES = {
  error: {base: "red.700", _dark: "red.300"},
  warning: {base: "orange.800", _dark: "orange.300"},
  success: {base: "green.800", _dark: "green.300"},
};

// An error of fetchJson as a box that a screen reader announces at once; `isOld` for one that was there before the page was,
// `about` for one that is shown away from what it is about.
export function ErrorBox({error, isOld, about = ""}) {
  const C = chakra();
  const place = error.where ? ` ${error.where}` : "";
  return el(
    C.Box,
    {role: isOld ? "note" : "alert", tabIndex: -1, borderWidth: "1px", borderColor: "border.error", bg: "bg.error", color: TONES.error, borderRadius: "md", p: 3, my: 2},
    el(C.Text, {fontWeight: "semibold"}, el("bdi", null, about), `${error.what}${place}.`),
    error.hint ? el(C.Text, null, error.hint) : null,
  );
}

// The one region of a page that a screen reader announces politely. It is not visible: its text is on the page too.
let region = null;
const attach = (node) => { region = node; };
export const Announcer = () => el(chakra().VisuallyHidden, {ref: attach, role: "status", "aria-live": "polite", "aria-atomic": false});

// Several at one moment are read one after the other, and the same one again.
export function announce(text) {
  if (!region || !text) return;
  const line = document.createElement("div");
  line.textContent = text;
  region.append(line);
  while (region.childElementCount > MOST_NAMED) region.firstElementChild.remove();
}

// Announces `texts`, by name, that changed since the last look; null: not known yet.
export function useAnnounced(texts) {
  const {useEffect, useRef} = react();
  const known = useRef(null);
  useEffect(() => {
    const before = known.current;
    known.current = texts ?? before;
    if (!before || !texts) return;
    const gone = Object.keys(before).filter((name) => !Object.hasOwn(texts, name)).map((name) => `${name}: gone.`);
    const changed = Object.keys(texts).filter((name) => Object.hasOwn(before, name) && before[name] !== texts[name]).map((name) => `${name}: ${texts[name]}.`);
    const all = [...gone, ...changed];
    announce(all.length > MOST_NAMED ? `${all.length} states changed.` : all.join(" "));
  }, [JSON.stringify(texts)]);
}

// One sentence about what was done, for the eye.
export function Outcome({message, failed}) {
  if (!message) return null;
  const color = failed ? "error" : "success";
  return el(chakra().Box, {borderWidth: "1px", borderRadius: "md", p: 3, my: 2, borderColor: `border.${color}`, bg: `bg.${color}`}, message);
}

// The look of a page's main button: Airflow 3.2 gives its brand's colours to its own one by one, 3.3 to every button.
export const MAIN = {variant: "solid", colorPalette: "brand"};

// A button that works for a while, and can keep the focus meanwhile: a disabled one would lose it.
export function BusyButton({busy, disabled, onClick, children, ...rest}) {
  const C = chakra();
  const isOff = busy || disabled;
  return el(
    C.Button,
    {...rest, "aria-busy": busy || undefined, "aria-disabled": isOff || undefined, opacity: isOff ? 0.5 : undefined, onClick: isOff ? (event) => event.preventDefault() : onClick},
    busy ? el(C.Spinner, {size: "xs"}) : null, children,
  );
}

// A heading that takes the focus when it appears, in the place of what had it.
export function FocusedHeading({children, ...rest}) {
  const {useEffect, useRef} = react();
  const heading = useRef(null);
  useEffect(() => heading.current?.focus(), []);
  return el(chakra().Heading, {ref: heading, tabIndex: -1, ...rest}, children);
}

// What a screen reader need not read.
export const quiet = (text) => el("span", {"aria-hidden": true}, text);

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
  const left = at - (now ?? serverNow());
  const [unit, size] = STEPS.find(([, seconds]) => Math.abs(left) >= seconds) ?? ["second", 1];
  const text = new Intl.RelativeTimeFormat("en", {numeric: "auto"}).format(Math.trunc(left / size), unit);
  const date = new Date(at * 1000);
  return el("time", {dateTime: date.toISOString(), title: `${date.toLocaleString()} (${date.toISOString()})`}, text);
}

// Seconds since the epoch, renewed every `period` ms, so that texts of When move on.
export function useNow(period = 15000) {
  const {useEffect, useState} = react();
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    const timer = setInterval(() => setNow(serverNow()), period);
    return () => clearInterval(timer);
  }, [period]);
  return now;
}

// Breaks names of 200 characters that would widen what they are in.
export const BREAKING = {css: {"& *": {overflowWrap: "anywhere"}}};

// Asks before `confirm` is called: {title, text, action}. Enter confirms at once, or with `isBreaking` after a Tab: Cancel has the
// focus then. Escape, Cancel and a click outside call `cancel`. The focus goes back to what had it.
export function ConfirmDialog({title, text, action, isBreaking, confirm, cancel}) {
  const C = chakra(), D = C.Dialog;
  const first = react().useRef(null);
  const look = isBreaking ? {colorPalette: "red"} : {...MAIN, ref: first};
  return el(
    D.Root,
    {open: true, role: "alertdialog", onOpenChange: ({open}) => open || cancel(), placement: "center", initialFocusEl: () => first.current},
    el(C.Portal, null,
      el(D.Backdrop),
      el(D.Positioner, null,
        el(D.Content, BREAKING,
          el(D.Header, null, el(D.Title, null, title)),
          el(D.Body, null, text),
          el(D.Footer, null,
            el(C.Button, {variant: "outline", onClick: cancel, ref: isBreaking ? first : undefined}, "Cancel"),
            el(C.Button, {...look, onClick: confirm}, action))))));
}

// A link inside Airflow's UI; the path begins below the base path.
export const InnerLink = ({to, children, ...rest}) =>
  el(chakra().Link, {asChild: true, color: "fg.info", ...rest}, el(router().Link, {to}, children));

// Shown where the globals are missing: text alone, which needs none of them.
export const PlainLink = () => `This release of Airflow lacks what the page needs. The plain page is at ${location.origin}${APP}`;
