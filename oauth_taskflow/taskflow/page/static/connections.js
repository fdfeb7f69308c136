// The list of connections and their grants: search, filter, sort, details, actions. The query keeps the choice (?q=…&state=…).
import {ConnectionDetails} from "./details.js";
import {announce, chakra, el, ErrorBox, InnerLink, lookUp, MAIN, Outcome, PAGE, quiet, react, StateBadge, useAnnounced, useLive, useNow, When} from "./parts.js";

const SHOWN_AT_ONCE = 50;
// What a column sorts by; without a value a row comes last.
// The grant that counts; those of the connection before it was edited come last.
const latest = (row) => (row.grants[0]?.health === "superseded" ? {} : row.grants[0] ?? {});
const KINDS = {
  oauth2: "OAuth 2.0", api_key: "API key", bearer: "Bearer token", basic: "User and password", session: "Login request",
  self_signed_jwt: "Self-signed JWT", aws_sigv4: "AWS signature", none: "No authentication",
};
const titleOf = (row) => row.title || lookUp(KINDS, row.auth_type) || row.auth_type;
const COLUMNS = [
  {name: "conn_id", label: "Connection", value: (row) => row.conn_id.toLowerCase()},
  {name: "provider", label: "Provider", value: (row) => titleOf(row).toLowerCase()},
  {name: "state", label: "State", value: null},
  {name: "expires", label: "Token ends", value: (row) => latest(row).expires_at},
  {name: "refreshed", label: "Last refresh", value: (row) => latest(row).refreshed_at},
  {name: "consent", label: "Next consent", value: (row) => (latest(row).consent_is_due ? 0 : latest(row).consent_due_at)},
  {name: "used", label: "Used by", value: (row) => -(row.used_by.length + row.more_dags)},
];

function matches(row, words) {
  const text = [
    row.conn_id, titleOf(row), row.provider, row.auth_type, row.source,
    ...row.grants.flatMap((grant) => [grant.grant_key, grant.consented_by, grant.problem?.what ?? ""]),
    ...row.used_by.flatMap((use) => [use.dag_id, ...use.task_ids]),
  ].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

function sortRows(rows, sort) {
  const isDown = sort.startsWith("-");
  const column = COLUMNS.find((each) => each.name === sort.replace("-", ""));
  const ranked = column?.value ? rows.map((row) => [column.value(row), row]) : null;
  if (ranked === null) return isDown ? [...rows].reverse() : rows; // the API sorts by state, the worst first
  const missing = (value) => value === null || value === undefined;
  const compare = ([a], [b]) => {
    if (missing(a) || missing(b)) return missing(a) - missing(b);
    return (a < b ? -1 : a > b ? 1 : 0) * (isDown ? -1 : 1);
  };
  return ranked.sort(compare).map(([, row]) => row);
}

// Not by the router: it would make Airflow load this page again with every letter.
function useChoice() {
  const [choice, setChoice] = react().useState(() => {
    const query = new URLSearchParams(location.search);
    return {q: query.get("q") ?? "", state: query.get("state") ?? "", sort: query.get("sort") ?? "state"};
  });
  const set = (name, value) => {
    const query = new URLSearchParams(location.search);
    if (value) query.set(name, value);
    else query.delete(name);
    const text = query.toString();
    history.replaceState(history.state, "", location.pathname + (text ? `?${text}` : ""));
    setChoice((known) => ({...known, [name]: value}));
  };
  return [choice, set];
}

function Filters({listing, choice, set, count}) {
  const C = chakra();
  const counts = {};
  for (const row of listing.connections) counts[row.health] = (counts[row.health] ?? 0) + 1;
  const states = listing.states.filter((each) => counts[each.name] || each.name === choice.state);
  return el(
    C.Flex,
    {gap: 3, my: 3, wrap: "wrap", align: "end", role: "search", "aria-label": "Connections"},
    el(C.Input, {
      type: "search", maxW: "20rem", "aria-label": "Search connections, providers, people, errors and DAGs", placeholder: "Search",
      defaultValue: choice.q, onChange: (event) => set("q", event.target.value),
    }),
    el(C.NativeSelect.Root, {maxW: "16rem"},
      el(C.NativeSelect.Field, {"aria-label": "State", value: choice.state, onChange: (event) => set("state", event.target.value)},
        el("option", {value: ""}, `All states (${listing.connections.length})`),
        states.map((each) => el("option", {key: each.name, value: each.name}, `${each.label} (${counts[each.name] ?? 0})`))),
      el(C.NativeSelect.Indicator, {"aria-hidden": true})),
    el(C.Text, {color: "fg.muted"}, `${count} of ${listing.connections.length} connections`),
  );
}

function HeaderCell({column, choice, set}) {
  const C = chakra();
  const isSorted = choice.sort.replace("-", "") === column.name, isDown = choice.sort.startsWith("-");
  const next = isSorted && !isDown ? `-${column.name}` : column.name;
  return el(
    C.Table.ColumnHeader,
    {"aria-sort": isSorted ? (isDown ? "descending" : "ascending") : "none", scope: "col"},
    el(C.Button, {variant: "ghost", size: "xs", px: 1, fontWeight: "semibold", onClick: () => set("sort", next)},
      column.label, isSorted ? quiet(isDown ? " ↓" : " ↑") : null),
  );
}

function StateCell({row, state, now}) {
  const C = chakra(), grant = latest(row);
  let note = null;
  if (row.health === "failing" && grant.failing_since) note = ["since ", el(When, {key: 1, at: grant.failing_since, now})];
  if (row.health === "cooling_down") note = ["ends ", el(When, {key: 1, at: grant.asked_again_at, now})];
  if (row.health === "idle") note = "refreshes when next used";
  return el(C.Box, null, el(StateBadge, state), note ? el(C.Text, {fontSize: "xs", color: "fg.muted"}, note) : null);
}

// A name of 200 characters, or a long title of an own preset, must not push the other columns out of the window.
const LONG_NAME = {maxW: "24rem", h: "auto", minH: 8, whiteSpace: "normal", overflowWrap: "anywhere", textAlign: "start"};
const LONG_TITLE = {maxW: "16rem", whiteSpace: "normal", overflowWrap: "anywhere"};

function Row({row, states, now, isOpen, toggle, act}) {
  const C = chakra(), T = C.Table, grant = latest(row), state = states[row.health];
  const dags = row.used_by.length + row.more_dags;
  const consent = grant.consent_is_due ? "now" : el(When, {at: grant.consent_due_at, now});
  const isWaiting = ["needs_consent", "never_connected"].includes(row.health) && row.actions.includes("connect");
  const panel = `details-${row.conn_id}`;
  const cells = [
    el(T.Cell, {key: "conn", as: "th", scope: "row", fontWeight: "medium", textAlign: "start"},
      el(C.Button, {variant: "ghost", size: "xs", px: 1, ...LONG_NAME, "aria-expanded": isOpen, "aria-controls": isOpen ? panel : undefined, onClick: toggle},
        quiet(isOpen ? "▾ " : "▸ "), el("bdi", null, row.conn_id))),
    el(T.Cell, {key: "provider"}, el(C.Box, LONG_TITLE, titleOf(row))),
    el(T.Cell, {key: "state"}, el(StateCell, {row, state, now})),
    el(T.Cell, {key: "expires"}, el(When, {at: grant.expires_at, now})),
    el(T.Cell, {key: "refreshed"}, el(When, {at: grant.refreshed_at, now})),
    el(T.Cell, {key: "consent"}, grant.grant_key ? consent : "–",
      isWaiting ? el(C.Box, null, el(InnerLink, {to: `${PAGE}/connect/${encodeURIComponent(row.conn_id)}`}, grant.grant_key ? "Reconnect" : "Connect")) : null),
    el(T.Cell, {key: "used"}, dags === 0 ? "–" : `${dags} DAG${dags === 1 ? "" : "s"}`),
  ];
  return el(
    react().Fragment,
    null,
    el(T.Row, {"data-connection": row.conn_id}, cells),
    isOpen
      ? el(T.Row, {id: panel}, el(T.Cell, {colSpan: cells.length, bg: "bg.subtle"}, el(ConnectionDetails, {row, state, states, now, act})))
      : null,
  );
}

// The errors of actions whose row is closed, or not in the list.
function StrayErrors({act, isShown}) {
  const C = chakra();
  const strays = act.failed().filter(([id]) => !isShown(id));
  return strays.map(([id, {error, label}]) =>
    el(C.Flex, {key: id, gap: 2, align: "start"},
      el(C.Box, {flex: 1}, el(ErrorBox, {error, about: `${label}, ${id}: `})),
      el(C.Button, {size: "xs", mt: 3, variant: "outline", "aria-label": `Dismiss the error of ${id}`, onClick: () => act.dismiss(id)}, "Dismiss")));
}

function List({listing, act}) {
  const C = chakra(), T = C.Table;
  const {useState} = react();
  const [choice, set] = useChoice();
  const [open, setOpen] = useState({});
  const [most, setMost] = useState(SHOWN_AT_ONCE);
  const now = useNow();
  const states = Object.fromEntries(listing.states.map((each) => [each.name, each]));
  const healths = Object.fromEntries(listing.connections.map((row) => [row.conn_id, states[row.health]?.label]));
  const words = choice.q.toLowerCase().split(/\s+/).filter(Boolean);
  const chosen = listing.connections.filter((row) => (!choice.state || row.health === choice.state) && matches(row, words));
  const rows = sortRows(chosen, choice.sort);
  useAnnounced(healths);
  useAnnounced({Found: `${rows.length} of ${listing.connections.length} connections`});
  const toggle = (id) => {
    if (lookUp(open, id) && act.find(id)?.error) act.note(id, {}); // closed by the reader
    setOpen((known) => ({...known, [id]: !lookUp(known, id)}));
  };
  const shown = new Set(rows.slice(0, most).map((row) => row.conn_id));
  // Keyboard users go on at the first of the new rows.
  const showMore = () => {
    const next = CSS.escape(rows[most].conn_id);
    setMost(most + SHOWN_AT_ONCE);
    setTimeout(() => document.querySelector(`[data-connection="${next}"] button`)?.focus(), 0);
  };
  return el(
    C.Box,
    null,
    el(StrayErrors, {act, isShown: (id) => shown.has(id) && lookUp(open, id)}),
    el(Filters, {listing, choice, set, count: rows.length}),
    el(T.ScrollArea, null,
      el(T.Root, {size: "sm", "aria-label": "OAuth connections"},
        el(T.Header, null, el(T.Row, null, COLUMNS.map((column) => el(HeaderCell, {key: column.name, column, choice, set})))),
        el(T.Body, null, rows.slice(0, most).map((row) =>
          el(Row, {key: row.conn_id, row, states, now, act, isOpen: Boolean(lookUp(open, row.conn_id)), toggle: () => toggle(row.conn_id)}))))),
    rows.length > most
      ? el(C.Button, {mt: 3, variant: "outline", onClick: showMore}, `Show ${Math.min(SHOWN_AT_ONCE, rows.length - most)} more of ${rows.length - most}`)
      : null,
    rows.length === 0 ? el(C.Text, {mt: 3}, listing.connections.length ? "No connection fits the search." : "There is no OAuth connection that you may see.") : null,
    listing.uses_are_known ? null : el(C.Text, {mt: 2, color: "fg.muted"}, "Still searching the DAGs for tasks that use these connections …"),
  );
}

export function Page() {
  const C = chakra();
  const {useEffect, useRef, useState} = react();
  const {data, error, reload} = useLive("api/connections");
  const [said, setSaid] = useState({});
  const [actions, setActions] = useState({});
  const heading = useRef(null), focused = useRef(null);
  // What had the focus may be gone, with the row of a grant that was forgotten, here or elsewhere.
  useEffect(() => {
    if (focused.current?.isConnected === false && document.activeElement === document.body) heading.current?.focus();
  }, [data]);
  const note = (id, action) => setActions((known) => ({...known, [id]: action}));
  const act = {
    reload,
    note, // what runs on a connection ({running}), or how it failed ({error, label})
    find: (id) => lookUp(actions, id),
    failed: () => Object.entries(actions).filter(([, action]) => action.error),
    dismiss: (id) => {
      note(id, {});
      heading.current?.focus(); // the button is gone
    },
    say: (message, failed = false) => {
      setSaid({message, failed});
      announce(message);
    },
  };
  return el(
    C.Box,
    {onFocus: (event) => { focused.current = event.target; }},
    el(C.Flex, {justify: "space-between", wrap: "wrap", gap: 2},
      el(C.Heading, {as: "h1", size: "xl", ref: heading, tabIndex: -1}, "OAuth connections"),
      data?.may_add ? el(C.Button, {...MAIN, size: "sm", asChild: true}, el(InnerLink, {to: `${PAGE}/new`, color: undefined}, "New connection")) : null),
    el(Outcome, said),
    error ? el(ErrorBox, {error}) : null,
    data ? el(List, {listing: data, act}) : error ? null : el(C.Spinner, {mt: 4, "aria-label": "Loading"}),
  );
}
