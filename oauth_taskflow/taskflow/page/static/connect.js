// Connect and Reconnect: what to register first, then a consent in this tab or with a code on another device.
import {BusyButton, chakra, el, ErrorBox, FocusedHeading, InnerLink, MAIN, PAGE, react, router, TONES} from "./parts.js";
import {Copied} from "./copy.js";
import {describeConnected} from "./connected.js";
import {beginDevice, cancelDevice, connectHere, entryAddress, followDevice, forgetPrompt, isOver, readOffer, readPrompt, timeLeft} from "./consent_steps.js";

function Facts({offer}) {
  const C = chakra();
  return el(
    C.Stack, {gap: 3},
    el(C.Text, null, `1. Register this redirect URI for the client at ${offer.provider || offer.place || "the authorization server"}:`),
    el(Copied, {text: offer.redirect_uri, what: "redirect URI"}),
    ...offer.warnings.map((text) => el(C.Text, {key: text, color: TONES.warning, role: "note"}, text)),
    el(C.Text, null, `2. ${offer.place ? `At ${offer.place} you` : "You"} will be asked for: ${offer.scope || "the scopes that the server gives by default"}.`),
  );
}

function Connected({result}) {
  const C = chakra();
  const back = result.return_to;
  return el(
    C.Box, {borderWidth: "1px", borderRadius: "md", p: 4},
    el(FocusedHeading, {size: "md", as: "h2"}, `${result.conn_id} is connected`),
    ...describeConnected(result).map((line) => el(C.Text, {key: line, mt: 2}, line)),
    back ? el(C.Link, {href: back, mt: 2, color: "fg.info", textDecoration: "underline"}, "Back to where you came from") : null,
  );
}

function Device({conn, prompt, end}) {
  const C = chakra();
  const {useEffect, useState} = react();
  const [, setTick] = useState(0);
  useEffect(() => followDevice(conn, prompt, end), [conn, prompt.ticket]);
  useEffect(() => {
    const timer = setInterval(() => setTick((tick) => tick + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const cancel = () => cancelDevice(conn, prompt).then(() => end({cancelled: prompt.ticket}), (error) => end({error}));
  const address = entryAddress(prompt);
  return el(
    C.Stack, {gap: 3, borderWidth: "1px", borderRadius: "md", p: 4},
    el(FocusedHeading, {size: "md", as: "h2"}, "Consent on another device"),
    el(C.Text, null, "On any device, open"),
    address
      ? el(C.Link, {href: address, color: "fg.info", textDecoration: "underline", target: "_blank", rel: "noopener noreferrer"}, prompt.verification_uri)
      : el(C.Code, null, prompt.verification_uri),
    el(C.Text, null, "and enter this code:"),
    el(Copied, {text: prompt.user_code, what: "code"}),
    el(C.Text, {role: "status", "aria-live": "polite"}, "Waiting for the consent. This page follows by itself."),
    el(C.Text, {color: "fg.muted"}, timeLeft(prompt)),
    el(C.Box, null, el(C.Button, {variant: "outline", onClick: cancel}, "Cancel")),
  );
}

function Ways({conn, offer, begin, busy}) {
  const C = chakra();
  const [revoke, setRevoke] = react().useState(false);
  const start = (way) => begin(way, revoke);
  return el(
    C.Stack, {gap: 3},
    offer.can_revoke_old
      ? el("label", null, el("input", {type: "checkbox", checked: revoke, onChange: (event) => setRevoke(event.target.checked)}), " Afterwards revoke the grant that this one replaces")
      : null,
    el(
      C.Flex, {gap: 3, wrap: "wrap"},
      el(BusyButton, {...MAIN, busy, disabled: Boolean(offer.no_browser), onClick: () => start("browser")}, "Connect in this tab"),
      el(BusyButton, {variant: "outline", disabled: busy || Boolean(offer.no_device), onClick: () => start("device")}, "Use a code on another device"),
    ),
    offer.no_browser ? el(C.Text, {color: "fg.muted"}, `Not in this tab: ${offer.no_browser}`) : null,
    offer.no_device ? el(C.Text, {color: "fg.muted"}, `Not with a code: ${offer.no_device}`) : null,
  );
}

export function Page({rest}) {
  const C = chakra();
  const conn = rest;
  const {useEffect, useState} = react();
  const [offer, setOffer] = useState(null);
  const [state, setState] = useState({prompt: readPrompt(conn)});
  const asked = new URLSearchParams(router().useLocation().search).get("return_to") ?? "";
  useEffect(() => {
    readOffer(conn).then(setOffer, (error) => setState({error}));
  }, [conn]);
  useEffect(() => {
    // Back from the authorization server, the browser may show this page as it left it: with buttons that work for ever.
    const restore = (event) => event.persisted && setState({prompt: readPrompt(conn)});
    addEventListener("pageshow", restore);
    return () => removeEventListener("pageshow", restore);
  }, [conn]);
  const end = (next) => {
    if (isOver(next)) forgetPrompt(conn);
    setState(next);
  };
  const begin = async (way, revoke_old) => {
    setState({busy: true});
    try {
      const wish = {revoke_old, return_to: asked};
      if (way === "browser") await connectHere(conn, wish);
      else setState({prompt: await beginDevice(conn, wish)});
    } catch (error) {
      setState({error});
    }
  };
  return el(
    C.Stack, {gap: 5, maxW: "4xl"},
    el(state.cancelled ? FocusedHeading : C.Heading, {size: "xl", as: "h1"}, `Connect ${conn}`),
    state.error ? el(ErrorBox, {error: state.error}) : null,
    state.result ? el(Connected, {result: state.result}) : null,
    offer && !state.prompt && !state.result ? el(Facts, {offer}) : null,
    offer && !state.prompt && !state.result ? el(Ways, {conn, offer, begin, busy: Boolean(state.busy)}) : null,
    state.prompt ? el(Device, {conn, prompt: state.prompt, end}) : null,
    el(C.Box, null, el(InnerLink, {to: PAGE}, "To the OAuth connections")),
  );
}
