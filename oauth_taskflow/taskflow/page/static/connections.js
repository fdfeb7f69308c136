// The list of connections and their grants.
import {chakra, el, ErrorBox, fetchJson, react} from "./parts.js";

export function Page() {
  const C = chakra();
  const {useEffect, useState} = react();
  const [state, setState] = useState({});
  useEffect(() => {
    fetchJson("api/connections").then((body) => setState({rows: body.connections}), (error) => setState({error}));
  }, []);
  return el(
    C.Box,
    null,
    el(C.Heading, {as: "h1", size: "xl"}, "OAuth connections"),
    state.error ? el(ErrorBox, {error: state.error}) : null,
    el(C.List.Root, null, (state.rows ?? []).map((row) => el(C.List.Item, {key: row.conn_id}, row.conn_id))),
  );
}
