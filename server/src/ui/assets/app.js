// The page's beginning: fetches what is loaded, keeps it fresh, and listens to the form.

import { byId, fetchJson } from "./dom.js";
import { lookUp } from "./lookup.js";
import { showStatus, showUnreachable } from "./overview.js";

const REFRESH_MS = 10_000;

let catalog = null;

async function refresh() {
  try {
    catalog = await fetchJson("/status");
    showStatus(catalog);
    offerExample(catalog.example);
  } catch (error) {
    showUnreachable(error);
  }
}

function offerExample(example) {
  byId("hint").hidden = !example;
  byId("example").textContent = example ?? "";
}

function search(user) {
  byId("user").value = user;
  history.replaceState(null, "", `?user=${encodeURIComponent(user)}`);
  return lookUp(user, catalog);
}

byId("lookup").addEventListener("submit", (event) => {
  event.preventDefault();
  const user = byId("user").value.trim();
  if (user) search(user);
});

byId("example").addEventListener("click", (event) => search(event.target.textContent));

await refresh();
const asked = new URLSearchParams(location.search).get("user");
if (asked) search(asked);
setInterval(() => document.hidden || refresh(), REFRESH_MS);
