// One user: features by group, and the prediction as a gauge.

import { byId, el, fetchJson, svg } from "./dom.js";
import { instant, percent, score, value } from "./format.js";

/** Looks a user up and shows what is found; `catalog` is the latest /status. */
export async function lookUp(user, catalog) {
  const result = byId("result");
  result.setAttribute("aria-busy", "true");
  const path = `/features/${encodeURIComponent(user)}`;
  const [features, prediction] = await Promise.allSettled([
    fetchJson(path),
    fetchJson("/predict", { [catalog?.key ?? "user_id"]: user }),
  ]);
  // A later look-up may have been begun while this one was under way.
  if (byId("user").value.trim() !== user) return;
  result.setAttribute("aria-busy", "false");
  if (features.status === "rejected") {
    result.replaceChildren(refusal(features.reason, user, catalog));
    return;
  }
  result.replaceChildren(el("div", { class: "answer" },
    predicted(prediction),
    el("div", {}, asOf(features.value), byGroup(features.value.features, catalog))));
}

function refusal(error, user, catalog) {
  const entity = catalog?.entity || "user";
  const words = error.code === "unknown_entity"
    ? `There is no ${entity} “${user}” in the online store. Keys are matched exactly, capitals included.`
    : error.message;
  return el("p", { class: "notice bad", role: "alert" }, words);
}

function asOf(row) {
  const from = row.from === "log" ? ", computed from the event log" : "";
  return el("p", { class: "quiet" }, "Values as of ", instant(row.as_of), from);
}

function predicted({ status, value: found, reason }) {
  if (status === "rejected") {
    return el("aside", { class: "prediction" },
      el("h3", {}, "No prediction"),
      el("p", { class: "quiet" }, reason.message));
  }
  const churn = found.decision === "churn";
  const kind = churn ? "decision churn" : "decision";
  return el("aside", { class: "prediction", "aria-label": "Prediction" },
    gauge(found, churn),
    el("div", { id: "probability" }, percent(found.probability)),
    el("div", { class: kind }, churn ? "Likely to churn" : "Likely to stay"),
    el("p", { class: "quiet" }, `Churn begins at ${percent(found.threshold)}.`),
    el("p", { class: "quiet" }, `Model ${found.model}, version ${found.version}.`));
}

/** Half a circle, filled by the probability, with a mark at the threshold. */
function gauge({ probability, threshold }, churn) {
  const [radius, middle, base] = [80, 100, 96];
  const length = Math.PI * radius;
  const path = `M ${middle - radius} ${base} A ${radius} ${radius} 0 0 1 ${middle + radius} ${base}`;
  const arc = (kind, share) => svg("path", {
    class: kind,
    d: path,
    fill: "none",
    "stroke-width": 15,
    "stroke-dasharray": `${(share * length).toFixed(2)} ${(length * 2).toFixed(2)}`,
  });
  const angle = Math.PI * (1 - threshold);
  const point = (distance) => [
    (middle + distance * Math.cos(angle)).toFixed(2),
    (base - distance * Math.sin(angle)).toFixed(2),
  ];
  const [[x1, y1], [x2, y2]] = [point(radius - 12), point(radius + 12)];
  const words = `Churn probability ${percent(probability)}, threshold ${percent(threshold)}`;
  return svg("svg", { class: "gauge", viewBox: "0 0 200 104", role: "img", "aria-label": words },
    arc("track", 1),
    arc(churn ? "arc churn" : "arc", probability),
    svg("line", { class: "mark", x1, y1, x2, y2, "stroke-width": 2.5 },
      svg("title", {}, `threshold ${score(threshold)}`)));
}

/** Features under their groups, in the catalog's order. */
function byGroup(features, catalog) {
  const known = catalog?.features ?? [];
  const described = new Map(known.map((feature) => [feature.name, feature]));
  const groups = new Map();
  const names = [...described.keys(), ...Object.keys(features).filter((name) => !described.has(name))];
  for (const name of names.filter((name) => name in features)) {
    const group = described.get(name)?.group ?? "other features";
    groups.set(group, [...(groups.get(group) ?? []), name]);
  }
  return [...groups].map(([group, names]) => {
    const rows = names.map((name) => row(name, features[name], described.get(name)));
    return el("section", { class: "group" },
      el("div", { class: "group-head" }, el("h3", {}, group), el("span", { class: "kind" }, about(group, catalog))),
      el("div", { class: "scroll" }, el("table", {}, el("tbody", {}, rows))));
  });
}

function about(group, catalog) {
  return (catalog?.groups ?? []).find((known) => known.name === group)?.description ?? "";
}

function row(name, found, feature) {
  const description = feature?.description ? el("span", { class: "quiet" }, feature.description) : null;
  return el("tr", { "data-feature": name },
    el("td", {}, el("code", {}, name), " ", el("span", { class: "kind" }, feature?.type ?? ""), description),
    el("td", { class: "value" }, value(found)));
}
