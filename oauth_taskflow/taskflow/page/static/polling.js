// Asks again and again, while a user looks: hidden pages, failures and an ended login must not load the server.
const LONGEST = 60_000;
// Pages that were opened together should not ask together.
const SPREAD = 0.1;

// No login, no permission, no such DAG: the next answer would be the same.
const isForGood = (error) => [401, 403, 404].includes(error.status);

// Calls `ask` now, and `period` ms after each answer while the tab is seen; twice as long after each failure in a row, a minute at
// most, or as long as the error's `wait` says. It ends after 401, 403 and 404, and when `ask` resolves to false. Returns a function
// that ends it.
export function poll(ask, period) {
  let timer, due = 0, failures = 0, isLive = true, isAsking = false;
  const end = () => {
    isLive = false;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", turn);
  };
  async function turn() {
    if (!isLive || isAsking || document.visibilityState !== "visible") return;
    clearTimeout(timer);
    // A timer may fire early, and none is longer than 24 days.
    const left = Math.ceil(due - performance.now());
    if (left > 0) {
      timer = setTimeout(turn, Math.min(left, LONGEST));
      return;
    }
    isAsking = true;
    let wait = period;
    try {
      if (await ask() === false) end();
      failures = 0;
    } catch (error) {
      failures += 1;
      wait = Math.max(Math.min(period * 2 ** failures, LONGEST), error.wait ?? 0);
      if (isForGood(error)) end();
    }
    isAsking = false;
    due = performance.now() + wait * (1 + SPREAD * Math.random());
    turn();
  }
  document.addEventListener("visibilitychange", turn);
  turn();
  return end;
}
