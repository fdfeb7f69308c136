// Text to copy with its button.
import {copyText} from "./consent_steps.js";
import {announce, chakra, el, react} from "./parts.js";

// `what` names the text to a screen reader. A text of several lines keeps them.
export function Copied({text, what}) {
  const C = chakra();
  const [done, setDone] = react().useState(false);
  const copied = () => {
    setDone(true);
    announce(`The ${what} is copied.`);
  };
  const copy = () => copyText(text).then(copied, () => setDone(false));
  return el(
    C.Flex,
    {gap: 2, align: "start"},
    el(C.Code, {as: "pre", p: 2, flex: "1", minW: 0, overflowX: "auto", whiteSpace: "pre", "data-copied": what}, text),
    el(C.Button, {size: "sm", variant: "outline", onClick: copy, "aria-label": `Copy ${what}`}, done ? "Copied" : "Copy"),
  );
}
