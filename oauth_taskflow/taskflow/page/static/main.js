// The page "OAuth": Airflow loads this file and renders the function below. The path after /plugin/oauth chooses what it shows.
import {Announcer, chakra, el, ErrorBox, hasGlobals, lookUp, PlainLink, react, router} from "./parts.js";

// First part of the path → a module with a function `Page({rest})`, loaded when it is shown.
const PAGES = {
  "": () => import("./connections.js"),
  connect: () => import("./connect.js"),
  new: () => import("./new_connection.js"),
  edit: () => import("./edit_connection.js"),
};
const TITLES = {connect: (id) => `Connect ${id}`, new: () => "New connection", edit: (id) => `Edit connection ${id}`};

// Airflow gives pages of plugins no title of their own.
function useTitle(title) {
  react().useEffect(() => {
    const before = document.title;
    document.title = `${title} - Airflow`;
    return () => { document.title = before; };
  }, [title]);
}

function Loaded({load, rest}) {
  const {useEffect, useState} = react();
  const [state, setState] = useState({});
  useEffect(() => {
    let current = true;
    setState({});
    load().then(
      (module) => current && setState({Page: module.Page}),
      () => current && setState({error: {what: "A part of this page could not be loaded", where: "", hint: "Reload the page."}}),
    );
    return () => { current = false; };
  }, [load]);
  if (state.error) return el(ErrorBox, {error: state.error});
  return state.Page ? el(state.Page, {rest}) : el(chakra().Spinner, {"aria-label": "Loading"});
}

function OAuth() {
  if (!hasGlobals()) return PlainLink();
  const path = router().useParams()["*"] ?? "";
  const [first, ...rest] = path.split("/");
  const load = lookUp(PAGES, first) ?? PAGES[""];
  useTitle(lookUp(TITLES, first)?.(rest.join("/")) ?? "OAuth connections");
  return el(chakra().Box, {p: 4, as: "main"}, el(Announcer), el(Loaded, {load, rest: rest.join("/")}));
}

// Two apps that load at once share the global AirflowPlugin: the name alone is certain.
globalThis["OAuth"] = globalThis.AirflowPlugin = OAuth;
