// Earlier captures, in this browser: the request without its secrets, some facts, a small picture.
import { make } from "./controls.js";

const NAME = "calotype.history";
const MOST = 24;
const WIDTH = 200;

// Cookies, headers and passwords stay out of what is kept.
const SECRETS = ["cookies", "headers", "basic_auth"];

export function entries() {
  try {
    return JSON.parse(localStorage.getItem(NAME)) ?? [];
  } catch {
    return [];
  }
}

function keep(list) {
  for (let most = Math.min(list.length, MOST); most >= 0; most -= 1) {
    try {
      localStorage.setItem(NAME, JSON.stringify(list.slice(0, most)));
      return;
    } catch {} // no room: the oldest goes
  }
}

export async function add(request, meta, blob) {
  const kept = Object.fromEntries(Object.entries(request).filter(([name]) => !SECRETS.includes(name)));
  const entry = { at: Date.now(), request: kept, title: meta.title || meta.url || "markup", elapsed_ms: meta.elapsed_ms, picture: await small(blob) };
  keep([entry, ...entries()]);
}

export function forget() {
  localStorage.removeItem(NAME);
}

async function small(blob) {
  if (!blob.type.startsWith("image/")) return "";
  const bitmap = await createImageBitmap(blob);
  const width = Math.min(WIDTH, bitmap.width);
  const scale = width / bitmap.width;
  const height = Math.min(Math.round(bitmap.height * scale), Math.round(width * 0.75)) || 1;
  const canvas = make("canvas", { width, height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, width, Math.round(bitmap.height * scale));
  bitmap.close();
  return canvas.toDataURL("image/webp", 0.6);
}

export function draw(place, restore) {
  const items = entries().map((entry) => {
    const picture = entry.picture ? make("img", { src: entry.picture, alt: "" }) : make("span", { textContent: "PDF" });
    const when = new Date(entry.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const lines = [make("span", { textContent: entry.title }), make("span", { className: "hint", textContent: `${when} · ${entry.elapsed_ms} ms` })];
    return make("li", {}, make("button", { type: "button", title: "Take this request again", onclick: () => restore(entry.request) }, picture, ...lines));
  });
  place.replaceChildren(...items);
}
