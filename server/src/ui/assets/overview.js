// What is loaded: the tiles, the groups and the model, from /status.

import { byId, el, svg } from "./dom.js";
import { age, bytes, instant, number, score } from "./format.js";

export function showStatus(status) {
  const state = byId("state");
  state.className = status.ready ? "pill good" : "pill warn";
  state.textContent = status.ready ? "ready" : "not ready";
  byId("project").textContent = status.project || "feature store";
  byId("version").textContent = `granary ${status.version}`;
  byId("user-label").textContent = status.key;
  byId("notes").replaceChildren(...notes(status));
  byId("loaded").replaceChildren(...tiles(status));
  byId("groups").replaceChildren(groups(status.groups));
  byId("model").replaceChildren(...model(status.model));
}

/** Says in words that the server is not there, and leaves what was shown before. */
export function showUnreachable(error) {
  const state = byId("state");
  state.className = "pill bad";
  state.textContent = error.status === 0 ? "unreachable" : "failing";
  byId("notes").replaceChildren(el("p", { class: "notice bad" }, error.message));
}

function notes(status) {
  const lines = [...status.notes];
  if (!status.ready && lines.length === 0) {
    lines.push("No features are loaded yet. Run granary up, or granary build and granary push.");
  }
  return lines.map((line) => el("p", { class: "notice" }, line));
}

function tiles(status) {
  const { accepted, duplicates, late } = status.events;
  const aside = `${number(duplicates)} duplicates, ${number(late)} late`;
  return [
    tile(status.entity ? `Entities (${status.entity})` : "Entities", number(status.entities)),
    tile("Generation", number(status.generation)),
    tile("Features", number(status.features.length)),
    tile("Events since start", number(accepted), aside),
    tile("Not yet flushed", bytes(status.staged_bytes)),
    tile("Registry's clock", instant(status.now), null, "small"),
  ];
}

function tile(name, shown, aside, kind) {
  const note = aside ? el("span", { class: "aside" }, aside) : null;
  return el("div", {}, el("dt", {}, name), el("dd", { class: kind }, shown, note));
}

function groups(list) {
  if (list.length === 0) {
    return el("p", { class: "quiet" }, "No feature group is served yet.");
  }
  const names = ["Group", "Rows", "Features", "Version", "Newest event", "Age", "Freshness"];
  const numeric = new Set(["Rows", "Features"]);
  const head = names.map((name) => {
    return el("th", { scope: "col", class: numeric.has(name) ? "number" : null }, name);
  });
  const body = list.map((group) => el("tr", {},
    el("td", {}, el("code", {}, group.name), el("span", { class: "quiet" }, group.description)),
    el("td", { class: "number" }, number(group.rows)),
    el("td", { class: "number" }, number(group.features)),
    el("td", {}, el("code", {}, group.version)),
    el("td", {}, instant(group.watermark)),
    el("td", {}, age(group.age_seconds)),
    el("td", {}, freshness(group.fresh))));
  const table = el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body));
  return el("div", { class: "scroll" }, table);
}

function freshness(fresh) {
  if (fresh === null || fresh === undefined) return el("span", { class: "absent" }, "no limit set");
  return el("span", { class: fresh ? "pill good" : "pill warn" }, fresh ? "fresh" : "stale");
}

function model(found) {
  if (!found) {
    const words = "No model is promoted yet. Run granary materialize and granary train.";
    return [el("p", { class: "quiet" }, words)];
  }
  const metrics = found.metrics ?? {};
  const facts = el("dl", { class: "tiles" },
    tile("Name", el("code", {}, found.name), null, "small"),
    tile("Version", el("code", {}, found.version), null, "small"),
    tile("Algorithm", found.algorithm, null, "small"),
    tile("ROC-AUC", score(metrics.roc_auc)),
    tile("PR-AUC", score(metrics.pr_auc)),
    tile("Log loss", score(metrics.log_loss)));
  return [facts, compare(metrics)];
}

/** The model beside an oracle that knows the truth behind the demo data. */
function compare(metrics) {
  const { roc_auc: own, oracle_roc_auc: oracle } = metrics;
  if (typeof own !== "number" || typeof oracle !== "number") return "";
  const line = (name, share, kind) => [
    el("span", {}, name),
    svg("svg", { class: "meter", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "track", width: 100, height: 10 }),
      svg("rect", { class: `fill ${kind}`, width: (share * 100).toFixed(2), height: 10 })),
    el("span", {}, score(share)),
  ];
  return el("div", {},
    el("p", { class: "quiet caption" }, "ROC-AUC on the test part"),
    el("div", { class: "compare" },
      line("This model", own, ""),
      line("An oracle that knows the truth", oracle, "oracle")));
}
