// Which tab this is, and what the browser remembers between pages. A tab's name is its own as long as it is open: two tabs of one person
// have different images in hand. It comes back after a reload, and in the next tab after this one was closed, so its images do too.

/** What localStorage or sessionStorage holds; both may be forbidden. @param {"localStorage" | "sessionStorage"} storage */
export function remembered(storage, key, otherwise) {
  try {
    return JSON.parse(window[storage].getItem(key)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function remember(storage, key, value) {
  try {
    window[storage].setItem(key, JSON.stringify(value));
  } catch { /* forgotten with the tab */ }
}

const NAME = "boxwise/annotator";

/** Who is at this tab; in a new one whoever gave their name last in this browser; "" where nobody has. */
export function rememberedName() {
  const name = remembered("sessionStorage", NAME, "") || remembered("localStorage", NAME, "");
  if (name) remember("sessionStorage", NAME, name);
  return name;
}

export function rememberName(name) {
  for (const storage of ["sessionStorage", "localStorage"]) remember(storage, NAME, name);
}

const SLOT = "boxwise/tab";
const RELOAD_MS = 1000;
const ASK_MS = 250;

/** The name of this tab; the lowest number that no open tab of this browser has, or the one it had before it was reloaded. */
export async function tabName(random) {
  const browser = remembered("localStorage", "boxwise/browser", random);
  remember("localStorage", "boxwise/browser", browser);
  const slot = navigator.locks ? await freeSlot() : await ownName(remembered("sessionStorage", SLOT, random), random);
  remember("sessionStorage", SLOT, slot);
  return `${browser} ${slot}`;
}

/**
 * Pages served over plain HTTP to other machines have no locks. There a tab asks the others whether one has the name that it remembers, as
 * a copied tab's original does, and takes a new one then. Of two that ask at once the lower `random` keeps it.
 */
async function ownName(known, random) {
  const channel = new BroadcastChannel(SLOT);
  let mine = known, settled = false;
  const taken = new Promise((resolve) => {
    channel.onmessage = ({ data: { asks, by, has, to } }) => {
      if (has === mine && to === random) resolve(true);
      if (asks === mine && by !== random && (settled || random < by)) channel.postMessage({ has: mine, to: by });
    };
    setTimeout(() => resolve(false), ASK_MS);
  });
  channel.postMessage({ asks: known, by: random });
  if (await taken) mine = random;
  settled = true;
  return mine;
}

async function freeSlot() {
  const before = remembered("sessionStorage", SLOT, null);
  if (before !== null && await held(before, { signal: AbortSignal.timeout(RELOAD_MS) })) return before; // the page before may still be leaving
  let slot = 1;
  while (!await held(slot, { ifAvailable: true })) slot++;
  return slot;
}

/** Whether the tab has the slot now; if so, for as long as it is open. @returns {Promise<boolean>} */
function held(slot, how) {
  return new Promise((resolve) => {
    const keep = (lock) => {
      resolve(lock !== null);
      return lock && new Promise(() => {});
    };
    navigator.locks.request(`${SLOT}/${slot}`, how, keep).catch(() => resolve(false));
  });
}
