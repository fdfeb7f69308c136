// The tab on DAG, task and task instance: endpoints of a spec with the figures of their last run, their YAML, and its changes.
import {Announcer, chakra, el, ErrorBox, fetchJson, hasGlobals, PlainLink, quiet, react, router, TONES, useAnnounced} from "./parts.js";
import {poll} from "./polling.js";

const REFRESH_MS = 10_000;
const RUNNING = new Set(["scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule"]);
const COLOURS = {success: "green", failed: "red", upstream_failed: "orange", running: "cyan", skipped: "pink"};
const number = new Intl.NumberFormat("en", {maximumFractionDigits: 1});

const count = (value) => (value === undefined || value === null ? "–" : number.format(value));

export function bytes(value) {
  if (value === undefined || value === null) return "–";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  let left = value;
  while (left >= 1000 && at < units.length - 1) { left /= 1000; at += 1; }
  return `${number.format(left)} ${units[at]}`;
}

export const waits = (found) =>
  Object.entries(found ?? {}).map(([reason, seconds]) => `${number.format(seconds)} s ${reason}`).join(", ");

const span = (interval) => (interval ? `${interval[0] || "the beginning"} to ${interval[1]}` : "");

const INSTANT = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$/;

// Date, time and zone of an instant; null for what is none. UTC needs no name.
function readInstant(text) {
  const [, date, time, seconds = "00", zone = ""] = INSTANT.exec(text) ?? [];
  return date ? {date, time, seconds, zone: /^(Z|\+00:?00)$/.test(zone) ? "" : zone} : null;
}

// A window in few characters: the date once if both bounds are on it, no time of midnights, no seconds that are zero. Bounds that are
// not instants, or in two zones, stay as they are.
export function shortSpan(interval) {
  if (!interval) return "";
  const start = interval[0] ? readInstant(interval[0]) : {}, end = readInstant(interval[1]);
  if (!start || !end || (interval[0] && start.zone !== end.zone)) return span(interval);
  const bounds = interval[0] ? [start, end] : [end];
  const isWhole = start.date !== end.date && bounds.every(({time, seconds}) => time === "00:00" && seconds === "00");
  const hasSeconds = bounds.some(({seconds}) => seconds !== "00");
  const clock = ({time, seconds}) => (isWhole ? "" : ` ${time}${hasSeconds ? `:${seconds}` : ""}`);
  const last = start.date === end.date ? clock(end).trim() : `${end.date}${clock(end)}`;
  const first = interval[0] ? `${start.date}${clock(start)} to ` : "until ";
  return `${first}${last}${end.zone && ` ${end.zone}`}`;
}

// The full values are the title, and what a screen reader says.
function Span({interval}) {
  if (!interval) return null;
  const full = span(interval);
  return el("span", {title: full}, quiet(shortSpan(interval)), el(chakra().VisuallyHidden, {as: "span"}, full));
}

const encode = encodeURIComponent;

const seconds = (value) => (value === undefined || value === null ? "–" : value < 1 ? value.toFixed(3) : number.format(value));

const link = (to, name) => el(chakra().Link, {asChild: true, color: "fg.info"}, el(router().Link, {to}, name));

const nameStates = (states) => Object.entries(states ?? {}).map(([state, tasks]) => (tasks > 1 ? `${tasks} ${state}` : state)).join(", ");

function States({states}) {
  const C = chakra();
  const found = Object.entries(states ?? {});
  return found.map(([state, tasks]) =>
    el(C.Badge, {key: state, colorPalette: COLOURS[state] ?? "gray", mr: 1}, tasks > 1 ? `${tasks} ${state}` : state));
}

// A name and its value, left out when there is none.
function Fact({name, value}) {
  const C = chakra();
  if (value === undefined || value === null || value === "" || value === "–") return null;
  return el(C.DataList.Item, null, el(C.DataList.ItemLabel, null, name), el(C.DataList.ItemValue, {wordBreak: "break-word"}, value));
}

function Figures({run, dagId}) {
  const C = chakra();
  if (!run?.figures) return el(C.Text, {color: "fg.muted"}, run ? "No run has left figures yet." : "You may not read the results of this DAG.");
  const f = run.figures;
  const rate = f.seconds > 0 ? ` (${count(f.rows / f.seconds)} rows/s)` : "";
  const discarded = [["duplicates", f.duplicates], ["left out by where", f.filtered], ["outside the window", f.outside], ["in quarantine", f.rejected]]
    .filter(([, rows]) => rows).map(([what, rows]) => `${count(rows)} ${what}`).join(", ");
  const facts = [
    ["Run", link(`/dags/${encode(dagId)}/runs/${encode(run.run_id)}`, run.run_id)],
    ["Rows", run.is_partial ? `${count(f.rows)} so far` : count(f.rows)],
    ["Pages", f.sequences > 1 ? `${count(f.pages)} in ${count(f.sequences)} sequences` : count(f.pages)],
    ["Bytes", `${bytes(f.bytes)} written, ${bytes(f.received_bytes)} received`],
    ["Seconds", `${seconds(f.seconds)}${rate}`],
    ["Window", span(f.interval)],
    ["Watermark", f.watermark === undefined ? "" : String(f.watermark)],
    ["Waits", waits(f.waits)],
    ["Records dropped", discarded],
    ["Task instances", f.tasks],
    ["Refreshes of the token", f.token_refreshes],
    ["Attempts gone on with", f.resumed],
    ["Destination", f.destination],
    ["Manifest", f.manifest],
    ["Datasets", (f.datasets ?? []).join(", ")],
    ["Changes of the schema", (f.drift ?? []).join("; ")],
  ];
  return el(
    C.Box,
    null,
    el(C.DataList.Root, {orientation: "horizontal"}, facts.map(([name, value]) => el(Fact, {key: name, name, value}))),
    el(Warnings, {texts: f.warnings}),
  );
}

function Warnings({texts}) {
  const C = chakra();
  if (!texts?.length) return null;
  return el(
    C.Box,
    {role: "note", borderWidth: "1px", borderColor: "border.warning", bg: "bg.warning", color: TONES.warning, borderRadius: "md", p: 3, my: 2},
    el(C.Text, {fontWeight: "semibold"}, "Warnings"),
    el(C.List.Root, {pl: 4}, texts.map((text) => el(C.List.Item, {key: text}, text))),
  );
}

const text = (props, ...parts) =>
  el(chakra().Box, {as: "pre", tabIndex: 0, overflowX: "auto", fontFamily: "mono", fontSize: "sm", bg: "bg.muted", borderRadius: "md", p: 3, ...props}, ...parts);

function Line({line}) {
  const sign = line[0];
  const colour = sign === "+" ? TONES.success : sign === "-" ? TONES.error : sign === "@" ? "fg.muted" : undefined;
  return el(chakra().Box, {as: "span", display: "block", color: colour}, line || " ");
}

function Changes({dagId, taskId}) {
  const C = chakra();
  const {useEffect, useState} = react();
  const [since, setSince] = useState(null);
  const [state, setState] = useState({});
  useEffect(() => {
    let current = true;
    const query = since === null ? "" : `?since=${since}`;
    fetchJson(`api/dags/${encode(dagId)}/endpoints/${encode(taskId)}/changes${query}`).then(
      (body) => current && setState({body}),
      (error) => current && setState({error}),
    );
    return () => { current = false; };
  }, [dagId, taskId, since]);
  const {body, error} = state;
  if (error) return el(ErrorBox, {error});
  if (!body) return el(C.Spinner, {"aria-label": "Loading"});
  if (body.since === null) return el(C.Text, {color: "fg.muted"}, "This DAG has one version.");
  const latest = body.versions[0].number;
  const choices = body.versions.slice(1).map((one) => el("option", {key: one.number, value: one.number}, `version ${one.number}, ${one.created}`));
  const shown = body.is_new
    ? el(C.Text, null, `The endpoint is not in version ${body.since}.`)
    : body.lines.length === 0
      ? el(C.Text, {color: "fg.muted"}, `Nothing changed in this endpoint from version ${body.since} to ${latest}.`)
      : text({"aria-label": `Changes from version ${body.since} to ${latest}`}, body.lines.map((line, at) => el(Line, {key: at, line})));
  return el(
    C.Box,
    null,
    el(
      "label",
      null,
      `To version ${latest} since `,
      el(C.NativeSelect.Root, {size: "sm", width: "auto", display: "inline-block"},
        el(C.NativeSelect.Field, {"aria-label": "Compare with", value: body.since, onChange: (event) => setSince(Number(event.target.value))}, choices)),
    ),
    shown,
  );
}

function Details({endpoint, dagId}) {
  const C = chakra();
  const heading = (title) => el(C.Heading, {as: "h3", size: "sm", mt: 4, mb: 2}, title);
  return el(
    C.Box,
    {py: 2},
    endpoint.description ? el(C.Text, {mb: 2}, endpoint.description) : null,
    el(Figures, {run: endpoint.run, dagId}),
    endpoint.spec === null ? null : [
      el(C.Box, {key: "spec"}, heading("Endpoint with the defaults of its spec"), text({"aria-label": `YAML of ${endpoint.name}`}, endpoint.spec)),
      el(C.Box, {key: "changes"}, heading("What changed"), el(Changes, {dagId, taskId: endpoint.task_id})),
    ],
  );
}

const COLUMNS = ["Endpoint", "State", "Rows", "Pages", "Bytes", "Seconds", "Window", "Watermark", "Waits", "Duplicates", "Warnings", "Destination"];

function Row({endpoint, dagId}) {
  const C = chakra();
  const [open, setOpen] = react().useState(false);
  const f = endpoint.run?.figures ?? {};
  const cells = [
    el(States, {states: endpoint.run?.states}),
    endpoint.run?.is_partial ? `${count(f.rows)} so far` : count(f.rows), count(f.pages), bytes(f.bytes), seconds(f.seconds), el(Span, {interval: f.interval}),
    f.watermark === undefined ? "" : String(f.watermark), waits(f.waits), f.duplicates ? count(f.duplicates) : "",
    f.warnings?.length ? el(C.Badge, {colorPalette: "orange"}, f.warnings.length) : "", f.destination ?? "",
  ];
  return [
    el(
      C.Table.Row,
      {key: "row"},
      el(C.Table.Cell, {as: "th", scope: "row", textAlign: "start", fontWeight: "normal", whiteSpace: "nowrap"},
        el(C.Button, {size: "xs", variant: "ghost", "aria-expanded": open, "aria-label": `Details of ${endpoint.name}`, onClick: () => setOpen(!open)}, quiet(open ? "▾" : "▸")),
        link(`/dags/${encode(dagId)}/tasks/${encode(endpoint.task_id)}`, endpoint.name)),
      cells.map((cell, at) => el(C.Table.Cell, {key: COLUMNS[at + 1], whiteSpace: "nowrap"}, cell)),
    ),
    open ? el(C.Table.Row, {key: "details"}, el(C.Table.Cell, {colSpan: COLUMNS.length}, el(Loaded, {dagId, taskId: endpoint.task_id, isPart: true}))) : null,
  ];
}

function List({endpoints, dagId}) {
  const C = chakra();
  return el(
    C.Box,
    {overflowX: "auto"},
    el(
      C.Table.Root,
      {size: "sm", "aria-label": "Endpoints"},
      el(C.Table.Header, null, el(C.Table.Row, null, COLUMNS.map((name) => el(C.Table.ColumnHeader, {key: name, scope: "col"}, name)))),
      el(C.Table.Body, null, endpoints.map((endpoint) => el(Row, {key: endpoint.task_id, endpoint, dagId}))),
    ),
  );
}

const isRunning = (body) =>
  body.endpoints.some((endpoint) => Object.keys(endpoint.run?.states ?? {}).some((state) => RUNNING.has(state)));

// What the API server says now, and again while tasks run.
function useEndpoints({dagId, taskId, runId, mapIndex}) {
  const {useEffect, useState} = react();
  const [state, setState] = useState({});
  useEffect(() => {
    let current = true;
    const query = new URLSearchParams();
    if (taskId) query.set("task_id", taskId);
    if (runId) query.set("run_id", runId);
    if (runId && Number(mapIndex) >= 0) query.set("map_index", mapIndex);
    const ask = async () => {
      try {
        const body = await fetchJson(`api/dags/${encode(dagId)}/endpoints?${query}`);
        if (current) setState({body});
        return isRunning(body);
      } catch (error) {
        if (current) setState((known) => ({body: known.body, error}));
        throw error;
      }
    };
    setState({});
    const end = poll(ask, REFRESH_MS);
    return () => { current = false; end(); };
  }, [dagId, taskId, runId, mapIndex]);
  return state;
}

function Loaded(props) {
  const C = chakra();
  const {body, error} = useEndpoints(props);
  const states = body ? Object.fromEntries(body.endpoints.map((one) => [one.name, nameStates(one.run?.states)])) : null;
  // The details in a row are a part of the list, which announces them already.
  useAnnounced(props.isPart ? null : states);
  if (!body) return error ? el(ErrorBox, {error}) : el(C.Spinner, {"aria-label": "Loading"});
  const failure = error ? el(ErrorBox, {error}) : null;
  if (body.endpoints.length === 0) {
    const what = props.taskId ? "This task pulls no endpoint of a spec." : "This DAG has no endpoints of a spec.";
    return el(C.Text, {color: "fg.muted"}, what);
  }
  const shown = props.taskId
    ? el(Details, {endpoint: body.endpoints[0], dagId: props.dagId})
    : el(List, {endpoints: body.endpoints, dagId: props.dagId});
  return el(C.Box, null, failure, shown);
}

function Endpoints(props) {
  if (!hasGlobals()) return PlainLink();
  return el(chakra().Box, {p: 4}, el(Announcer), el(Loaded, props));
}

// Two apps that load at once share the global AirflowPlugin: the name alone is certain.
globalThis["Endpoints"] = globalThis["Endpoint"] = globalThis.AirflowPlugin = Endpoints;
