// The API tester. What it shows of the request comes from /openapi.json; nothing here names the request's fields.
import { make } from "./controls.js";
import { form } from "./form.js";
import * as history from "./history.js";
import * as result from "./result.js";
import { LANGUAGES } from "./samples.js";
import { load } from "./schema.js";

const $ = (id) => document.getElementById(id);
const KEY = "calotype.key";
const THEME = "calotype.theme";
const WAIT_S = 1; // of a long poll for a job: it ends with the job, and its state is to be seen before
const server = location.origin;

let language = Object.keys(LANGUAGES)[0];
let underWay = null; // AbortController of the capture
let jobId = null;
let fields;

// --- the key ---------------------------------------------------------------------------------------------------------

function takeKey() {
  const given = new URLSearchParams(location.hash.slice(1)).get("key");
  if (given) {
    // A fragment is never sent; it must not stay in the address bar or in the history either.
    window.history.replaceState(null, "", location.pathname + location.search);
    sessionStorage.setItem(KEY, given);
  }
  const kept = localStorage.getItem(KEY);
  $("key").value = sessionStorage.getItem(KEY) ?? kept ?? "";
  $("remember").checked = kept !== null;
}

function keepKey() {
  const key = $("key").value.trim();
  sessionStorage.setItem(KEY, key);
  if ($("remember").checked && key) localStorage.setItem(KEY, key);
  else localStorage.removeItem(KEY);
}

const headers = () => ({ Authorization: `Bearer ${$("key").value.trim()}`, "Content-Type": "application/json" });

async function showUsage() {
  const place = $("usage");
  if (!$("key").value.trim()) {
    place.textContent = "";
    return;
  }
  try {
    const answer = await (await fetch("/v1/usage", { headers: headers() })).json();
    if (!answer.ok) place.textContent = answer.error.message;
    else {
      const { plan, credits } = answer;
      place.textContent = credits.remaining === null ? `${plan.name}: ${credits.used} used` : `${plan.name}: ${credits.remaining} credits left`;
    }
  } catch {
    place.textContent = "The server does not answer.";
  }
}

// --- what is said ----------------------------------------------------------------------------------------------------

function say(text, isBad = false) {
  $("state").textContent = text;
  $("state").classList.toggle("bad", isBad);
}

function showCode() {
  $("code").textContent = LANGUAGES[language](fields.read(), server);
}

function changed() {
  fields.count();
  showCode();
}

function fail(error) {
  const rest = fields.showWrong(error.details ?? []);
  say(`${error.message} (${error.code})`, true);
  const more = rest.filter((message) => message !== error.message);
  Object.assign($("problem"), { textContent: more.join(" "), hidden: !more.length });
  if (error.code.startsWith("api_key")) $("key").focus();
}

// --- capturing -------------------------------------------------------------------------------------------------------

async function ask(method, path, body) {
  const answer = await fetch(path, { method, headers: headers(), body: body && JSON.stringify(body), signal: underWay.signal });
  return answer.json();
}

async function captureNow(request) {
  const began = performance.now();
  const ticking = setInterval(() => say(`Capturing, ${((performance.now() - began) / 1000).toFixed(1)} s`), 100);
  try {
    const answer = await ask("POST", "/v1/screenshot", request);
    return answer.ok ? [answer, answer] : [null, answer];
  } finally {
    clearInterval(ticking);
  }
}

async function captureAsJob(request) {
  const accepted = await ask("POST", "/v1/jobs", { request });
  if (!accepted.ok) return [null, accepted];
  jobId = accepted.job_id;
  let job = { ...accepted, status: "queued" };
  while (!["done", "failed", "cancelled"].includes(job.status)) {
    const place = job.queue_position ? `, ${job.queue_position}. in the queue` : "";
    say(`Job ${job.job_id}: ${job.status}${place}`);
    // The first question is for the state at once, the later ones wait for its end.
    const wait = job.created_at ? WAIT_S : 0;
    job = await ask("GET", `/v1/jobs/${jobId}?wait=${wait}`);
    if (!job.ok) return [null, job];
  }
  if (job.status === "done") return [job.result, job];
  const error = { code: job.error_code ?? job.status, message: job.error ?? `The job was ${job.status}.`, details: job.error_details };
  return [null, { error }];
}

async function capture() {
  if (underWay) return;
  const request = fields.read();
  fields.clear();
  $("problem").hidden = true;
  result.clear();
  underWay = new AbortController();
  $("capture").disabled = true;
  $("picture-bar").hidden = false;
  $("cancel").hidden = false;
  $("download").hidden = true;
  if (matchMedia("(max-width: 900px)").matches) $("state").scrollIntoView({ block: "start" });
  try {
    const [picture, answer] = await ($("as-job").checked ? captureAsJob(request) : captureNow(request));
    if (picture) {
      const blob = result.show(picture, answer);
      $("download").hidden = false;
      say(`${$("as-job").checked ? `Job ${jobId}: done` : "Captured"} in ${picture.meta.elapsed_ms} ms`);
      await history.add(request, picture.meta, blob);
      drawHistory();
    } else {
      result.clear();
      fail(answer.error);
    }
  } catch (problem) {
    result.clear();
    say(problem.name === "AbortError" ? "Cancelled." : "The server does not answer.", true);
  } finally {
    underWay = null;
    jobId = null;
    $("capture").disabled = false;
    $("cancel").hidden = true;
    showUsage();
  }
}

async function cancel() {
  const id = jobId;
  underWay?.abort();
  if (!id) return;
  const answer = await (await fetch(`/v1/jobs/${id}`, { method: "DELETE", headers: headers() })).json();
  say(answer.ok ? `Job ${id}: ${answer.status}` : answer.error.message);
}

function drawHistory() {
  history.draw($("history"), (request) => {
    fields.write(request);
    changed();
    $("request").scrollIntoView();
  });
}

// --- start -----------------------------------------------------------------------------------------------------------

function drawLanguages() {
  const choose = (name) => {
    language = name;
    for (const tab of $("languages").children) {
      const isChosen = tab.textContent === name;
      tab.setAttribute("aria-selected", String(isChosen));
      tab.tabIndex = isChosen ? 0 : -1;
    }
    $("code").setAttribute("aria-label", `${name} code`);
    showCode();
  };
  const names = Object.keys(LANGUAGES);
  $("languages").append(...names.map((name) => make("button", { type: "button", role: "tab", textContent: name, onclick: () => choose(name) })));
  $("languages").addEventListener("keydown", ({ key }) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!by) return;
    const next = names[(names.indexOf(language) + by + names.length) % names.length];
    choose(next);
    $("languages").children[names.indexOf(next)].focus();
  });
  choose(language);
}

function chooseTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

async function start() {
  takeKey();
  chooseTheme(localStorage.getItem(THEME));
  fields = form(await load(), $("fields"));
  drawLanguages();
  changed();
  drawHistory();
  showUsage();

  $("fields").addEventListener("input", changed);
  $("request").addEventListener("submit", (event) => {
    event.preventDefault();
    capture();
  });
  $("key-form").addEventListener("submit", (event) => event.preventDefault());
  for (const id of ["key", "remember"])
    $(id).addEventListener("change", () => {
      keepKey();
      showUsage();
    });
  $("cancel").addEventListener("click", cancel);
  $("reset").addEventListener("click", () => {
    fields.write({});
    fields.clear();
    changed();
  });
  $("forget").addEventListener("click", () => {
    history.forget();
    drawHistory();
  });
  $("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText($("code").textContent);
    $("copy").textContent = "Copied";
    setTimeout(() => ($("copy").textContent = "Copy"), 1500);
  });
  $("theme").addEventListener("click", () => {
    const isDark = (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const theme = isDark ? "light" : "dark";
    localStorage.setItem(THEME, theme);
    chooseTheme(theme);
  });
  for (const button of document.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => result.zoom(button.dataset.zoom));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      capture();
    }
  });
  window.addEventListener("hashchange", () => {
    takeKey();
    showUsage();
  });
  document.body.dataset.ready = "true";
}

start();
