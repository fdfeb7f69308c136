// The page that finishes a consent: it takes the ticket out of its own address and asks for the code to be traded.
import {APP, sendJson} from "./parts.js";
import {describeConnected} from "./connected.js";

const title = document.getElementById("title");
const result = document.getElementById("result");
const problem = document.getElementById("problem");
const again = document.getElementById("again");
const home = again.href;

function show(heading, lines, box = result) {
  title.textContent = heading;
  document.title = `${heading} - Airflow`;
  for (const other of [result, problem]) if (other !== box) other.replaceChildren();
  box.replaceChildren(...lines.filter(Boolean).map((line) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    return paragraph;
  }));
}

// The end, whose heading a reader should hear first.
function finishWith(...shown) {
  show(...shown);
  title.tabIndex = -1;
  title.focus();
}

function offer(text, address) {
  const link = again.cloneNode();
  link.id = "next";
  link.textContent = text;
  link.href = address;
  again.before(link, " · ");
}

// A name that is cut within an escape is shown as it came.
function decodeName(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// A consent that waits for its token endpoint survives a reload of this tab.
const WAITING = "oauth-consent-waiting";
const MOST_SILENCES = 8;
let silences = 0;

const LOGIN = `${APP.replace(/oauth\/$/, "")}api/v2/auth/login?next=${encodeURIComponent(location.pathname)}`;
const keep = (place, due, reason) => sessionStorage.setItem(WAITING, JSON.stringify({place, due, reason}));

function finishLater(place, name, seconds, reason) {
  const due = Date.now() + 1000 * seconds;
  keep(place, due, reason);
  const at = new Date(due).toLocaleTimeString();
  show(`${name} is not connected yet`, [`${reason}.`, `The answer of the authorization server is kept. This page tries again by itself at ${at}: leave it open.`]);
  setTimeout(() => finish(place), Math.max(0, due - Date.now()));
}

async function finish(place) {
  const [conn, ticket] = place.split("/");
  const name = decodeName(conn);
  try {
    const answer = await sendJson(`api/connections/${conn}/consent/finish`, {ticket});
    if (answer.wait !== undefined) {
      finishLater(place, name, answer.wait, answer.reason);
      return;
    }
    sessionStorage.removeItem(WAITING);
    finishWith(`${name} is connected`, describeConnected(answer));
    if (answer.return_to) offer("Back to where you came from", answer.return_to);
  } catch (error) {
    // The API server or its database is away: a ticket works once, so that asking again does no harm.
    if ((error.status === 0 || error.status >= 502) && ++silences < MOST_SILENCES) {
      finishLater(place, name, Math.max(5, (error.wait ?? 0) / 1000), error.what);
      return;
    }
    if (error.status === 401) {
      const reason = "Your login at Airflow has ended";
      keep(place, Date.now(), reason);
      finishWith(`${name} is not connected yet`, [`${reason}.`, "The answer of the authorization server is kept for five minutes. Log in again in this tab: this page then goes on."]);
      offer("Log in and finish", LOGIN);
      return;
    }
    sessionStorage.removeItem(WAITING);
    const doubt = silences ? "An earlier request got no answer: look first whether the connection is connected." : "";
    finishWith(`${name} is not connected`, [`${error.what} ${error.where}`.trim() + ".", error.hint, doubt], problem);
    offer("Connect again", `${home}/connect/${conn}`);
  }
}

function readWaiting() {
  try {
    return JSON.parse(sessionStorage.getItem(WAITING));
  } catch {
    return null;
  }
}

const place = location.hash.slice(1);
const waiting = readWaiting();
// A ticket works once: it need not stay in the address bar and in the history.
history.replaceState(null, "", location.pathname);
if (/^[^/]+\/[\w-]+$/.test(place)) await finish(place);
else if (waiting) finishLater(waiting.place, decodeName(waiting.place.split("/")[0]), Math.max(0, (waiting.due - Date.now()) / 1000), waiting.reason);
else show("Nothing to finish", ["This page finishes a consent once, with the address that the authorization server led to.", "Look at the connection, and start again with Connect if it is not connected."]);
