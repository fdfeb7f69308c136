// New connection, provider first: the list of providers, and the form of one.
import {chakra, el, ErrorBox, fetchJson, PAGE, react, router, useAnnounced} from "./parts.js";
import {ConnectionForm} from "./connection_form.js";

// The path's name of a provider without a preset.
export const OTHER = "-";

const matches = (choice, words) => {
  const text = `${choice.title} ${choice.name}`.toLowerCase();
  return words.every((word) => text.includes(word));
};

// Arrow keys walk through the links; Enter in the search field opens the first.
function moveFocus(event, list) {
  const links = [...(list?.querySelectorAll("a") ?? [])];
  const at = links.indexOf(document.activeElement);
  const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
  if (!step || !links.length) return;
  event.preventDefault();
  if (at + step < 0) event.currentTarget.querySelector("input")?.focus();
  else links[Math.min(at + step, links.length - 1)].focus();
}

function Choices({presets}) {
  const C = chakra();
  const R = router();
  const {useRef, useState} = react();
  const [search, setSearch] = useState("");
  const list = useRef(null);
  const navigate = R.useNavigate();
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  // Without a preset everything is possible: that choice is always the last one.
  const found = presets.filter((choice) => choice.name === "" || matches(choice, words));
  const target = (choice) => `${PAGE}/new/${encodeURIComponent(choice.name || OTHER)}`;
  const named = found.length - 1;
  const count = named === 1 ? "1 provider" : `${named} providers`;
  useAnnounced({Found: count});
  return el(
    C.Stack,
    {gap: 3, onKeyDown: (event) => moveFocus(event, list.current)},
    el(
      "form",
      {role: "search", "aria-label": "Providers", onSubmit: (event) => { event.preventDefault(); navigate(target(found[0])); }},
      el(
        C.Field.Root,
        null,
        el(C.Field.Label, null, "Provider"),
        el(C.Input, {type: "search", autoFocus: true, maxW: "30rem", placeholder: "Search by name, as in Salesforce", value: search, onChange: (event) => setSearch(event.target.value)}),
        el(C.Field.HelperText, null, count),
      ),
    ),
    el(
      C.Grid,
      {as: "ul", ref: list, listStyleType: "none", templateColumns: "repeat(auto-fill, minmax(14rem, 1fr))", gap: 2, "aria-label": "Providers"},
      found.map((choice) =>
        el(
          "li",
          {key: choice.name},
          el(C.Link, {asChild: true, display: "block", borderWidth: "1px", borderRadius: "md", p: 2}, el(R.Link, {to: target(choice)}, choice.title)),
        ),
      ),
    ),
  );
}

export function Page({rest}) {
  const C = chakra();
  const {useEffect, useState} = react();
  const [state, setState] = useState({});
  useEffect(() => {
    fetchJson("api/presets").then((listed) => setState({listed}), (error) => setState({error}));
  }, []);
  const chosen = rest; // the router has decoded it
  return el(
    C.Stack,
    {gap: 4, maxW: "60rem"},
    el(C.Heading, {as: "h1", size: "xl"}, "New connection"),
    state.error ? el(ErrorBox, {error: state.error}) : null,
    !state.error && !state.listed ? el(C.Spinner, {"aria-label": "Loading"}) : null,
    state.listed && !state.listed.may_add
      ? el(ErrorBox, {error: {what: "You may not add connections", where: "", hint: "Ask an administrator of Airflow."}})
      : null,
    state.listed && state.listed.may_add && !chosen ? el(Choices, {presets: state.listed.presets}) : null,
    state.listed && state.listed.may_add && chosen
      ? el(ConnectionForm, {key: chosen, provider: chosen === OTHER ? "" : chosen, teams: state.listed.teams})
      : null,
  );
}
