// What one connection's row opens to: its grants, its last error, who uses it, and the actions that the user may take.
import {ActionDialog, ACTIONS, useEffects} from "./actions.js";
import {BREAKING, BusyButton, chakra, el, ErrorBox, InnerLink, MAIN, PAGE, react, sendJson, StateBadge, TONES, When} from "./parts.js";

// How the action ends belongs to the page: the row may be gone by then, deleted or left out by the filter.
function useAction(row, act) {
  const {useState} = react();
  const [asked, setAsked] = useState(null);
  const {running = "", error = null} = act.find(row.conn_id) ?? {};
  const run = async (name, body = {}) => {
    setAsked(null);
    act.note(row.conn_id, {running: name});
    try {
      const outcome = await sendJson(`api/connections/${encodeURIComponent(row.conn_id)}/${name}`, body);
      act.note(row.conn_id, {});
      act.say(outcome.message, !outcome.ok);
    } catch (failure) {
      act.note(row.conn_id, {error: failure, label: ACTIONS[name].label});
    }
    act.reload();
  };
  const start = (name, body) => setAsked({name, body});
  return {running, asked, error, run, start, cancel: () => setAsked(null)};
}

function Actions({row, action}) {
  const C = chakra();
  const buttons = Object.keys(ACTIONS).filter((name) => row.actions.includes(name));
  if (buttons.length === 0 && !row.actions.includes("connect")) return null;
  return el(
    C.Flex,
    {gap: 2, wrap: "wrap", my: 2, role: "group", "aria-label": `Actions on ${row.conn_id}`},
    row.actions.includes("connect")
      ? el(C.Button, {...MAIN, size: "xs", asChild: true}, el(InnerLink, {to: `${PAGE}/connect/${encodeURIComponent(row.conn_id)}`, color: undefined}, row.grants.length ? "Reconnect" : "Connect"))
      : null,
    buttons.map((name) =>
      el(BusyButton, {
        key: name, size: "xs", variant: "outline", busy: action.running === name, disabled: action.running !== "",
        colorPalette: ACTIONS[name].isBreaking ? "red" : undefined, onClick: () => action.start(name),
      }, ACTIONS[name].label)),
    row.source === "database"
      ? el(C.Button, {size: "xs", variant: "outline", asChild: true}, el(InnerLink, {to: `${PAGE}/edit/${encodeURIComponent(row.conn_id)}`, color: undefined}, "Edit"))
      : null,
  );
}

function Fact({label, children}) {
  const C = chakra();
  return el(C.Box, null, el(C.Text, {as: "dt", fontSize: "xs", color: "fg.muted"}, label), el(C.Text, {as: "dd"}, children));
}

function Grant({grant, states, now, isLatest, forget}) {
  const C = chakra();
  const due = grant.consent_is_due ? "now" : el(When, {at: grant.consent_due_at, now});
  return el(
    C.Box,
    {borderWidth: "1px", borderRadius: "md", p: 3, my: 2, bg: "bg.panel"},
    el(C.Flex, {gap: 3, align: "center", wrap: "wrap"},
      el(StateBadge, states[grant.health] ?? {name: grant.health}),
      el(C.Code, {title: "The grant's key: a hash, not a secret"}, grant.grant_key.slice(0, 12)),
      isLatest ? null : el(C.Text, {color: "fg.muted"}, "an earlier grant of this connection"),
      forget ? el(C.Button, {size: "xs", variant: "outline", colorPalette: "red", onClick: forget}, "Forget this grant") : null),
    el(C.SimpleGrid, {as: "dl", columns: {base: 2, md: 4}, gap: 2, mt: 2},
      el(Fact, {label: "Token ends"}, el(When, {at: grant.expires_at, now})),
      el(Fact, {label: "Last refresh"}, el(When, {at: grant.refreshed_at, now})),
      el(Fact, {label: "Next consent"}, due),
      el(Fact, {label: "Consented"}, el(When, {at: grant.consented_at, now}), grant.consented_by ? ` by ${grant.consented_by}` : ""),
      grant.failing_since ? el(Fact, {label: "Failing since"}, el(When, {at: grant.failing_since, now})) : null,
      grant.asked_again_at ? el(Fact, {label: "Asked again"}, el(When, {at: grant.asked_again_at, now})) : null),
    grant.problem ? el(ErrorBox, {error: grant.problem, isOld: true}) : null,
  );
}

function Users({row}) {
  const C = chakra();
  if (row.used_by.length === 0) return el(C.Text, {color: "fg.muted"}, "No task names it in a DAG that you may see.");
  return el(
    C.Box,
    null,
    el(C.List.Root, {ps: 4}, row.used_by.map((use) =>
      el(C.List.Item, {key: use.dag_id},
        el(InnerLink, {to: `/dags/${encodeURIComponent(use.dag_id)}`}, use.dag_id), ": ",
        use.task_ids.map((task, number) => [
          number ? ", " : "",
          el(InnerLink, {key: task, to: `/dags/${encodeURIComponent(use.dag_id)}/tasks/${encodeURIComponent(task)}`}, task),
        ]),
        use.more_tasks ? ` and ${use.more_tasks} more tasks` : ""))),
    row.more_dags ? el(C.Text, {color: "fg.muted"}, `and ${row.more_dags} more DAGs`) : null,
  );
}

export function ConnectionDetails({row, state, states, now, act}) {
  const C = chakra();
  const action = useAction(row, act);
  const effects = useEffects(row.conn_id, row.actions.length > 0);
  const source = row.source ? `Stored in: ${row.source}. ` : "";
  const forgetOne = (key) => (row.actions.includes("forget") && row.grants.length > 1 ? () => action.start("forget", {grant: key}) : null);
  return el(
    C.Box,
    {p: 2, whiteSpace: "normal", ...BREAKING},
    el(C.Text, {color: "fg.muted"}, `${source}${state.meaning}`),
    row.hint ? el(C.Text, {role: "note", color: TONES.warning}, row.hint) : null,
    row.obstacle ? el(C.Text, {role: "note", color: TONES.warning}, row.obstacle) : null,
    el(Actions, {row, action}),
    action.error ? el(ErrorBox, {error: action.error}) : null,
    row.grants.map((grant, number) =>
      el(Grant, {key: grant.grant_key, grant, states, now, isLatest: number === 0, forget: forgetOne(grant.grant_key)})),
    el(C.Heading, {as: "h2", size: "sm", mt: 3, mb: 1}, "Used by"),
    el(Users, {row}),
    action.asked
      ? el(ActionDialog, {
          name: action.asked.name, connId: row.conn_id, effects,
          confirm: () => action.run(action.asked.name, action.asked.body), cancel: action.cancel,
        })
      : null,
  );
}
