// One key of a connection as a labelled field with its help and its problems.
import {chakra, el, react} from "./parts.js";

const asText = (value) => (value === undefined || value === null ? "" : typeof value === "string" ? value : JSON.stringify(value));

function Control({field, value, onChange}) {
  const C = chakra();
  const shared = {name: field.name, value: asText(value), onChange: (event) => onChange(event.target.value), autoComplete: "off", spellCheck: false};
  const example = field.default ? `${field.default} (default)` : field.placeholder;
  if (field.input === "document") return el(C.Textarea, {...shared, rows: 6, fontFamily: "mono"});
  if (field.input === "json") return el(C.Textarea, {...shared, rows: 2, fontFamily: "mono", placeholder: example || '{"name": "value"}'});
  if (field.input === "choice" && !field.is_open) {
    const {autoComplete, spellCheck, ...select} = shared;
    const empty = field.default ? `${field.default} (default)` : "not set";
    const choices = field.choices.filter((choice) => choice !== field.default);
    return el(
      C.NativeSelect.Root,
      null,
      el(C.NativeSelect.Field, select, el("option", {value: ""}, empty), choices.map((choice) => el("option", {key: choice, value: choice}, choice))),
      el(C.NativeSelect.Indicator, {"aria-hidden": true}),
    );
  }
  const list = field.choices.length ? `choices-${field.name}` : undefined;
  const type = field.input === "password" ? "password" : "text";
  // A browser that remembers passwords would fill in that of Airflow.
  const autoComplete = type === "password" ? "new-password" : "off";
  return el(
    react().Fragment,
    null,
    el(C.Input, {...shared, type, autoComplete, list, placeholder: example}),
    list ? el("datalist", {id: list}, field.choices.map((choice) => el("option", {key: choice, value: choice}))) : null,
  );
}

// `isKept`: the stored value stays, and is not known here.
export function FormField({field, value, problems, isKept, onChange, onReplace, onRemove}) {
  const C = chakra();
  return el(
    C.Field.Root,
    {required: field.is_required, invalid: Boolean(problems?.length), "data-key": field.name},
    el(C.Field.Label, null, field.label, field.is_required ? el(C.Field.RequiredIndicator) : null),
    isKept
      ? el(
          C.Flex,
          {gap: 2, align: "center"},
          el(C.Text, null, "stored, unchanged"),
          el(C.Button, {size: "xs", variant: "outline", onClick: onReplace, "aria-label": `Replace ${field.label}`}, "Replace"),
        )
      : el(Control, {field, value, onChange}),
    onRemove ? el(C.Button, {size: "xs", variant: "ghost", onClick: onRemove, "aria-label": `Remove ${field.label}`}, "Remove") : null,
    el(C.Field.HelperText, null, field.help),
    problems?.length ? el(C.Field.ErrorText, {role: "alert"}, problems.map((one) => `${one.what}. ${one.hint}`).join(" ")) : null,
  );
}
