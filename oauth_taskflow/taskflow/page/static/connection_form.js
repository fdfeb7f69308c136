// The form of one provider's connection, new or stored, and what comes after it is saved.
import {ActionDialog, useEffects} from "./actions.js";
import {announce, BusyButton, chakra, el, ErrorBox, fetchJson, FocusedHeading, lookUp, MAIN, PAGE, react, router, sendJson, TONES} from "./parts.js";
import {Copied} from "./copy.js";
import {FormField} from "./form_fields.js";

const CONN_ID = {name: "conn_id", label: "Connection ID", help: "The name by which DAGs and specs use it.", input: "text", is_required: true, choices: [], placeholder: "crm", default: ""};
const DESCRIPTION = {name: "description", label: "Description", help: "For people.", input: "text", choices: [], placeholder: "", default: ""};
const byName = (fields) => new Map(fields.map((field) => [field.name, field]));
// A key that the form of this provider does not know.
const plainField = (name) => ({name, label: name, help: "A stored key that this way does not have.", input: "text", choices: [], placeholder: "", default: ""});

function Register({described, way}) {
  const C = chakra();
  const {form, redirect_uri: uri, redirect_warnings: warnings} = described;
  const scopes = form.scopes.join(" ");
  return el(
    C.Stack,
    {gap: 2, borderWidth: "1px", borderRadius: "md", p: 3},
    way.by_person ? el(C.Text, null, `Register this redirect URI for your application at ${form.title}:`) : el(C.Text, null, "No redirect URI is needed: no person consents."),
    way.by_person ? el(Copied, {text: uri, what: "redirect URI"}) : null,
    way.by_person ? warnings.map((text) => el(C.Text, {key: text, color: TONES.warning, role: "note"}, text)) : null,
    scopes ? el(C.Text, null, `Scopes, unless you name others: ${scopes}`) : null,
    way.by_person && form.added_scopes.length ? el(C.Text, null, `Added for a refresh token: ${form.added_scopes.join(" ")}`) : null,
  );
}

function About({form}) {
  const C = chakra();
  const facts = Object.entries(form.facts);
  return el(
    C.Stack,
    {gap: 2},
    form.name && !form.verified ? el(C.Text, {color: TONES.warning, role: "note"}, "This preset was never tried: test the connection before you rely on it.") : null,
    form.notes.length ? el(C.Box, {as: "ul", ps: 5, listStyleType: "disc"}, form.notes.map((note) => el("li", {key: note}, note))) : null,
    facts.length
      ? el("details", null, el("summary", null, "What is known about this provider"), el(C.Box, {as: "dl", mt: 2}, facts.map(([subject, fact]) => el(react().Fragment, {key: subject}, el("dt", {style: {fontWeight: 600}}, subject), el("dd", {style: {overflowWrap: "anywhere"}}, fact)))), form.sources.map((page) => el(C.Link, {key: page, href: page, target: "_blank", rel: "noopener noreferrer", display: "block"}, page)))
      : null,
  );
}

function TestButton({connId, look}) {
  const C = chakra();
  const [state, setState] = react().useState({});
  const effects = useEffects(connId, true);
  async function test() {
    setState({busy: true});
    try {
      const outcome = await sendJson(`api/connections/${encodeURIComponent(connId)}/test`);
      setState({outcome});
      announce(outcome.message);
    } catch (error) {
      setState({error});
    }
  }
  return el(
    react().Fragment,
    null,
    el(BusyButton, {...look, onClick: () => setState({isAsked: true}), busy: state.busy}, "Test"),
    state.isAsked ? el(ActionDialog, {name: "test", connId, effects, confirm: test, cancel: () => setState({})}) : null,
    state.outcome ? el(C.Text, {flexBasis: "100%", order: 1, color: state.outcome.ok ? TONES.success : TONES.error}, state.outcome.message) : null,
    state.error ? el(C.Box, {flexBasis: "100%", order: 1}, el(ErrorBox, {error: state.error})) : null,
  );
}

const OUTLINE = {variant: "outline"}, GHOST = {variant: "ghost"};

function Saved({saved}) {
  const C = chakra();
  const R = router();
  const conn = encodeURIComponent(saved.conn_id);
  const link = (to, text, look) => el(C.Button, {asChild: true, ...look}, el(R.Link, {to}, text));
  return el(
    C.Stack,
    {gap: 4},
    el(FocusedHeading, {as: "h2", size: "lg"}, `${saved.conn_id} is saved`),
    saved.warnings.map((text) => el(C.Text, {key: text, color: TONES.warning, role: "note"}, text)),
    el(
      C.Flex,
      {gap: 2, wrap: "wrap"},
      saved.by_person ? link(`${PAGE}/connect/${conn}`, "Connect", MAIN) : null,
      el(TestButton, {connId: saved.conn_id, look: saved.by_person ? OUTLINE : MAIN}),
      link(`${PAGE}/edit/${conn}`, "Edit", OUTLINE),
      link(`${PAGE}?q=${conn}`, "All connections", GHOST),
      link(`${PAGE}/new`, "Another connection", GHOST),
    ),
    el(C.Heading, {as: "h3", size: "sm"}, "In a DAG file"),
    el(Copied, {text: saved.decorator, what: "DAG file"}),
    el(C.Heading, {as: "h3", size: "sm"}, "In a spec"),
    el(Copied, {text: saved.spec, what: "spec"}),
  );
}

function Confirm({problem, onYes, onNo, busy}) {
  const C = chakra();
  const button = react().useRef(null);
  react().useEffect(() => button.current?.focus(), []);
  return el(
    C.Box,
    {role: "alertdialog", "aria-label": "Confirm", "aria-describedby": "confirm-text", borderWidth: "1px", borderRadius: "md", p: 3},
    el(C.Text, {id: "confirm-text"}, `${problem.what}. ${problem.hint}`),
    el(C.Flex, {gap: 2, mt: 2}, el(BusyButton, {onClick: onYes, busy, colorPalette: "red"}, "Save and forget the grants"), el(C.Button, {onClick: onNo, variant: "outline", ref: button}, "Cancel")),
  );
}

function Ways({ways, way, choose}) {
  const C = chakra();
  if (ways.length === 1) return el(C.Text, {color: "fg.muted"}, ways[0].title);
  return el(
    "fieldset",
    null,
    el("legend", {style: {fontWeight: 500}}, "How does it get its tokens?"),
    ways.map((one) =>
      el("label", {key: one.name, style: {display: "block"}}, el("input", {type: "radio", name: "way", value: one.name, checked: one.name === way.name, onChange: () => choose(one.name)}), ` ${one.title}`),
    ),
  );
}

// The keys to show: those of the way, those that were added, and what is stored besides.
function listFields(way, added, stored) {
  const known = byName([...way.keys, ...way.more]);
  const besides = [...Object.keys(stored.values), ...stored.hidden].filter((name) => !known.has(name));
  const own = [...added, ...Object.keys(stored.values), ...stored.hidden].filter((name) => known.has(name) && !way.keys.some((field) => field.name === name));
  return [...way.keys, ...[...new Set(own)].map((name) => known.get(name)), ...[...new Set(besides)].map(plainField)];
}

const NOTHING = {values: {}, hidden: []};

function Fields({described, opened, teams}) {
  const C = chakra();
  const {useEffect, useRef, useState} = react();
  const {form} = described;
  const start = opened?.stored ?? NOTHING;
  const [way, setWay] = useState(opened?.stored.way ?? form.ways[0].name);
  const [stored, setStored] = useState(start);
  const [named, setNamed] = useState({conn_id: opened?.stored.conn_id ?? "", description: opened?.stored.description ?? "", team_name: opened ? opened.team_name : (teams ?? [null])[0]});
  const [values, setValues] = useState(start.values);
  const [kept, setKept] = useState(start.hidden);
  const [added, setAdded] = useState([]);
  const [state, setState] = useState({});
  const root = useRef(null);
  const chosen = form.ways.find((one) => one.name === way) ?? form.ways[0];
  const fields = listFields(chosen, added, stored);
  const shown = new Set(fields.map((field) => field.name));
  const problems = state.problems ?? [];
  const of = (name) => problems.filter((one) => one.field === name);
  const placed = ["description", "forget_grants", ...(opened ? [] : ["conn_id"])];
  const elsewhere = problems.filter((one) => !shown.has(one.field) && !placed.includes(one.field));
  const ask = of("forget_grants")[0];
  const set = (name) => (value) => setValues({...values, [name]: value});
  // What is wrong gets the focus as soon as it is shown.
  useEffect(() => {
    const isWrong = !state.busy && (state.error || problems.length);
    if (isWrong) root.current?.querySelector("[role=alertdialog] button:last-of-type, [aria-invalid=true], [role=alert]")?.focus();
  }, [state]);
  const without = (names, name) => names.filter((one) => one !== name);

  function remove(name) {
    setStored({values: Object.fromEntries(Object.entries(stored.values).filter(([one]) => one !== name)), hidden: without(stored.hidden, name)});
    setKept(without(kept, name));
    setAdded(without(added, name));
    setValues({...values, [name]: ""});
    focusLater("select[data-more], button[type=submit]");
  }

  // What had the focus goes away with a click; the next thing to do gets it.
  function focusLater(selector) {
    setTimeout(() => root.current?.querySelector(selector)?.focus(), 0);
  }
  const ownField = (name) => `[data-key="${CSS.escape(name)}"] :is(input, textarea, select)`;

  function add(name) {
    if (!name) return;
    setAdded([...added, name]);
    focusLater(ownField(name));
  }

  async function save(forget) {
    setState({busy: true, problems: forget ? problems : []});
    const typed = Object.fromEntries(Object.entries(values).filter(([name]) => shown.has(name) && !kept.includes(name)));
    const body = {provider: form.name, way: chosen.name, description: named.description, team_name: named.team_name, values: typed};
    try {
      const saved = opened
        ? await sendJson(`api/connections/${encodeURIComponent(named.conn_id)}`, {...body, unchanged: kept.filter((name) => shown.has(name)), revision: opened.revision, forget_grants: forget}, "PUT")
        : await sendJson("api/connections", {...body, conn_id: named.conn_id.trim()});
      setState({saved});
    } catch (error) {
      setState({error: error.problems?.length ? null : error, problems: error.problems ?? []});
    }
  }

  if (state.saved) return el(Saved, {saved: state.saved});
  const more = chosen.more.filter((field) => !shown.has(field.name));
  const isExtra = (name) => !chosen.keys.some((field) => field.name === name);
  return el(
    "form",
    {ref: root, noValidate: true, onSubmit: (event) => { event.preventDefault(); save(false); }},
    el(
      C.Stack,
      {gap: 5},
      el(Ways, {ways: form.ways, way: chosen, choose: setWay}),
      el(Register, {described, way: chosen}),
      opened ? null : el(FormField, {field: CONN_ID, value: named.conn_id, problems: of("conn_id"), onChange: (value) => setNamed({...named, conn_id: value})}),
      fields.map((field) =>
        el(FormField, {
          key: field.name,
          field,
          value: lookUp(values, field.name),
          problems: of(field.name),
          isKept: kept.includes(field.name),
          onChange: set(field.name),
          onReplace: () => {
            setKept(without(kept, field.name));
            focusLater(ownField(field.name));
          },
          onRemove: isExtra(field.name) ? () => remove(field.name) : null,
        }),
      ),
      more.length
        ? el(
            C.Field.Root,
            null,
            el(C.Field.Label, null, "Another key"),
            el(C.NativeSelect.Root, null, el(C.NativeSelect.Field, {value: "", "data-more": true, onChange: (event) => add(event.target.value)}, el("option", {value: ""}, "Choose one to add"), more.map((field) => el("option", {key: field.name, value: field.name}, `${field.label} (${field.name})`))), el(C.NativeSelect.Indicator, {"aria-hidden": true})),
          )
        : null,
      el(FormField, {field: DESCRIPTION, value: named.description, problems: of("description"), onChange: (value) => setNamed({...named, description: value})}),
      !opened && (teams ?? []).length > 1
        ? el(C.Field.Root, null, el(C.Field.Label, null, "Team"), el(C.NativeSelect.Root, null, el(C.NativeSelect.Field, {value: named.team_name ?? "", onChange: (event) => setNamed({...named, team_name: event.target.value || null})}, teams.map((team) => el("option", {key: team ?? "", value: team ?? ""}, team ?? "none"))), el(C.NativeSelect.Indicator, {"aria-hidden": true})))
        : null,
      state.error ? el(ErrorBox, {error: state.error}) : null,
      elsewhere.map((one) => el(ErrorBox, {key: one.field + one.what, error: {what: one.field ? `${one.field}: ${one.what}` : one.what, where: "", hint: one.hint}})),
      ask ? el(Confirm, {problem: ask, busy: state.busy, onYes: () => save(true), onNo: () => { setState({}); focusLater("button[type=submit]"); }}) : null,
      ask ? null : el(C.Box, null, el(BusyButton, {...MAIN, type: "submit", busy: state.busy}, "Save connection")),
      el(About, {form}),
    ),
  );
}

// `opened` is a stored connection; without it the form is one of a new connection, for one of `teams`.
export function ConnectionForm({provider, opened, teams}) {
  const C = chakra();
  const {useEffect, useState} = react();
  const [state, setState] = useState({});
  useEffect(() => {
    fetchJson(`api/presets/form?name=${encodeURIComponent(provider)}`).then((described) => setState({described}), (error) => setState({error}));
  }, [provider]);
  if (state.error) return el(ErrorBox, {error: state.error});
  if (!state.described) return el(C.Spinner, {"aria-label": "Loading"});
  return el(
    C.Stack,
    {gap: 4},
    el(C.Heading, {as: "h2", size: "lg"}, state.described.form.title),
    el(Fields, {described: state.described, opened, teams}),
  );
}
