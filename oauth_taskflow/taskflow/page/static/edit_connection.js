// The form of a stored connection. Secrets stay on the server: the form knows only that they are there.
import {chakra, el, ErrorBox, react, router, sendJson, TONES} from "./parts.js";
import {ConnectionForm} from "./connection_form.js";

export function Page({rest}) {
  const C = chakra();
  const {useEffect, useState} = react();
  const [state, setState] = useState({});
  // Another key: the user came here again, perhaps from the connection just saved.
  const {key} = router().useLocation();
  const conn = rest; // the router has decoded it
  useEffect(() => {
    let current = true;
    setState({});
    sendJson(`api/connections/${encodeURIComponent(conn)}/form`).then(
      (opened) => current && setState({opened}),
      (error) => current && setState({error}),
    );
    return () => { current = false; };
  }, [conn, key]);
  const {opened, error} = state;
  return el(
    C.Stack,
    {gap: 4, maxW: "60rem"},
    el(C.Heading, {as: "h1", size: "xl"}, `Edit connection ${conn}`),
    error ? el(ErrorBox, {error}) : null,
    !error && !opened ? el(C.Spinner, {"aria-label": "Loading"}) : null,
    opened && opened.stored.problem
      ? el(C.Text, {role: "note", color: TONES.warning}, `A task would refuse this connection: ${opened.stored.problem}.`)
      : null,
    opened ? el(ConnectionForm, {key: opened.revision, provider: opened.stored.provider, opened}) : null,
  );
}
