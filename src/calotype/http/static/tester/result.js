// Shows what came of a capture.
import { make } from "./controls.js";

const STEPS = ["queue_ms", "navigate_ms", "settle_ms", "actions_ms", "capture_ms", "encode_ms"];
const $ = (id) => document.getElementById(id);
let shown = null; // the URL of the blob that is shown

export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

export function clear() {
  for (const id of ["picture", "picture-bar", "facts"]) $(id).hidden = true;
}

// Gives the blob of the picture.
export function show({ image_base64, content_type, meta }, answer) {
  if (shown) URL.revokeObjectURL(shown);
  const blob = new Blob([bytesOf(image_base64)], { type: content_type });
  shown = URL.createObjectURL(blob);
  const suffix = content_type.split("/")[1];
  Object.assign($("download"), { href: shown, download: `calotype.${suffix}`, textContent: `Download ${suffix.toUpperCase()}` });
  $("picture-bar").hidden = false;
  $("facts").hidden = false;
  $("picture").hidden = !content_type.startsWith("image/");
  const image = make("img", { alt: `Picture of ${meta.title || meta.url || "the page"}` });
  image.addEventListener("load", () => zoom());
  image.src = shown;
  $("picture").replaceChildren(image);
  summary(meta, content_type);
  notes(meta);
  waterfall(meta);
  const short = JSON.stringify(answer, (name, value) => (name === "image_base64" && value ? `${value.slice(0, 40)}… (${value.length} characters)` : value), 2);
  $("json").textContent = short;
  return blob;
}

function summary(meta, type) {
  const size = meta.bytes < 10_000 ? `${meta.bytes} bytes` : `${Math.round(meta.bytes / 1000)} kB`;
  const rows = {
    Picture: `${meta.width} × ${meta.height}, ${size}, ${type}${meta.cached ? ", from the cache" : ""}`,
    Page: [meta.status_code, meta.title].filter(Boolean).join(" · ") || "markup",
    Address: meta.final_url ?? "",
    Time: `${meta.elapsed_ms} ms`,
    Request: meta.request_id,
  };
  const parts = Object.entries(rows).filter(([, text]) => text);
  $("summary").replaceChildren(...parts.flatMap(([name, text]) => [make("dt", { textContent: name }), make("dd", { textContent: text })]));
}

function notes(meta) {
  const items = [];
  const say = (text, className = "") => items.push(make("li", { textContent: text, className }));
  if (meta.partial) say(`Partial: ${meta.partial_reason}`, "bad");
  if (meta.verdict === "ok") say("Verdict: ok", "good");
  else for (const { kind, evidence } of meta.verdict ?? []) say(`Verdict: ${kind.replaceAll("_", " ")}: ${evidence}`, "bad");
  for (const { message } of meta.warnings ?? []) say(message);
  for (const { index, type, ok, elapsed_ms: ms, error, note } of meta.actions ?? [])
    say(`Action ${index}, ${type}: ${ok ? `${ms} ms` : error}${note ? `; ${note}` : ""}`, ok ? "" : "bad");
  $("notes").replaceChildren(...items);
}

function waterfall(meta) {
  const total = STEPS.reduce((sum, step) => sum + (meta.timings[step] ?? 0), 0) || 1;
  let before = 0;
  const rows = STEPS.map((step) => {
    const ms = meta.timings[step] ?? 0;
    const bar = make("div", { className: "step" });
    bar.style.marginLeft = `${(before / total) * 100}%`;
    bar.style.width = `${(ms / total) * 100}%`;
    before += ms;
    const name = make("th", { scope: "row", textContent: step.replace("_ms", "") });
    return make("tr", {}, name, make("td", {}, bar), make("td", { className: "ms", textContent: ms }));
  });
  $("waterfall").tBodies[0].replaceChildren(...rows);
  const waits = (meta.waited_for ?? []).map(({ what, ms, ended }) => `${what} ${ms} ms${ended ? "" : " (given up)"}`);
  $("waited").textContent = waits.length ? `Waited for: ${waits.join(", ")}` : "";
}

let level = "fit";
export function zoom(to = level) {
  level = to;
  for (const button of document.querySelectorAll("[data-zoom]")) button.setAttribute("aria-pressed", String(button.dataset.zoom === to));
  const image = $("picture").querySelector("img");
  $("picture").classList.toggle("fit", to === "fit");
  if (image) image.style.width = to === "fit" ? "" : `${image.naturalWidth * (to === "half" ? 0.5 : 1)}px`;
}
