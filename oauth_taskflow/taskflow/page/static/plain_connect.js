// Connect without the globals of Airflow's UI.
import {describeConnected} from "./connected.js";
import {beginDevice, cancelDevice, connectHere, copyText, entryAddress, followDevice, forgetPrompt, isOver, readOffer, readPrompt, timeLeft} from "./consent_steps.js";

const part = (id) => document.getElementById(id);
const conn = part("offer").dataset.connection;

function fill(box, lines) {
  box.replaceChildren(...lines.filter(Boolean).map((line) => {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    return paragraph;
  }));
}

function showError(error) {
  fill(part("error"), [`${error.what} ${error.where}`.trim() + ".", error.hint]);
  part("error").hidden = false;
}

function showOffer(offer) {
  part("provider").textContent = offer.provider || offer.place || "the authorization server";
  part("redirect_uri").textContent = offer.redirect_uri;
  part("scope").textContent = offer.scope || "the scopes that the server gives by default";
  fill(part("warnings"), offer.warnings);
  part("revoke").hidden = !offer.can_revoke_old;
  part("browser").disabled = Boolean(offer.no_browser);
  part("device").disabled = Boolean(offer.no_device);
  part("obstacles").textContent = [offer.no_browser && `Not in this tab: ${offer.no_browser}`, offer.no_device && `Not with a code: ${offer.no_device}`].filter(Boolean).join(" ");
  part("offer").hidden = false;
}

function follow(prompt) {
  part("offer").hidden = true;
  part("prompt").hidden = false;
  part("user_code").textContent = prompt.user_code;
  const link = part("verification_uri");
  link.textContent = prompt.verification_uri;
  if (entryAddress(prompt)) link.href = entryAddress(prompt);
  fill(part("result"), ["Waiting for the consent. This page follows by itself."]);
  const clock = setInterval(() => { part("left").textContent = timeLeft(prompt); }, 1000);
  const end = ({result, error}) => {
    stop();
    clearInterval(clock);
    if (isOver({error})) forgetPrompt(conn);
    part("prompt").hidden = true;
    fill(part("result"), result ? [`${conn} is connected.`, ...describeConnected(result)] : []);
    if (error) showError(error);
    if (!result) part("offer").hidden = false;
  };
  const stop = followDevice(conn, prompt, end);
  part("cancel").onclick = () => cancelDevice(conn, prompt).then(() => end({}), (error) => end({error}));
}

const wish = () => ({revoke_old: part("revoke_old").checked, return_to: new URLSearchParams(location.search).get("return_to") ?? ""});
part("browser").onclick = () => connectHere(conn, wish()).catch(showError);
part("device").onclick = () => beginDevice(conn, wish()).then(follow, showError);
part("copy_redirect_uri").onclick = () => copyText(part("redirect_uri").textContent);
part("copy_user_code").onclick = () => copyText(part("user_code").textContent);

readOffer(conn).then(showOffer, showError);
const prompt = readPrompt(conn);
if (prompt) follow(prompt);
