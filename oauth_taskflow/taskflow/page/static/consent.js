// The page that finishes a consent: it takes the ticket out of its own address and asks for the code to be traded.
import {sendJson} from "./parts.js";
import {describeConnected} from "./connected.js";

const title = document.getElementById("title");
const result = document.getElementById("result");
const again = document.getElementById("again");
const home = again.href;

function show(heading, lines) {
  title.textContent = heading;
  result.replaceChildren(...lines.filter(Boolean).map((line) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    return paragraph;
  }));
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

async function finish(place) {
  const [conn, ticket] = place.split("/");
  const name = decodeName(conn);
  try {
    const connected = await sendJson(`api/connections/${conn}/consent/finish`, {ticket});
    show(`${name} is connected`, describeConnected(connected));
    if (connected.return_to) offer("Back to where you came from", connected.return_to);
  } catch (error) {
    show(`${name} is not connected`, [`${error.what} ${error.where}`.trim() + ".", error.hint]);
    result.setAttribute("role", "alert");
    offer("Connect again", `${home}/connect/${conn}`);
  }
}

const place = location.hash.slice(1);
// A ticket works once: it need not stay in the address bar and in the history.
history.replaceState(null, "", location.pathname);
if (/^[^/]+\/[\w-]+$/.test(place)) await finish(place);
else show("Nothing to finish", ["This page finishes a consent once, with the address that the authorization server led to.", "Look at the connection, and start again with Connect if it is not connected."]);
