// The request as code to copy. The key is never in it: programs take it from the environment.
const shell = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
const suffix = (request) => ({ jpg: "jpeg" })[request.format] ?? request.format ?? "jpeg";
const file = (request) => `page.${suffix(request)}`;

function curl(request, server) {
  const decode = `import base64, json, sys; sys.stdout.buffer.write(base64.b64decode(json.load(sys.stdin)["image_base64"]))`;
  return [
    `curl -sS ${shell(`${server}/v1/screenshot`)} \\`,
    `  -H "Authorization: Bearer $CALOTYPE_KEY" -H 'Content-Type: application/json' \\`,
    `  -d ${shell(JSON.stringify(request))} |`,
    `  python3 -c ${shell(decode)} > ${file(request)}`,
  ].join("\n");
}

function literal(value, indent = "") {
  const inner = `${indent}    `;
  if (value === null) return "None";
  if (value === true || value === false) return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map((each) => literal(each, indent)).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${literal(each, inner)}`).join(", ")}}`;
  }
  return JSON.stringify(value); // what JSON writes for texts and numbers, Python reads
}

function python(request, server) {
  const { url, ...fields } = request;
  const words = [...(url === undefined ? [] : [literal(url)]), ...Object.entries(fields).map(([name, value]) => `${name}=${literal(value)}`)];
  const call = words.length > 2 ? `\n        ${words.join(",\n        ")},\n    ` : words.join(", ");
  return [
    "from calotype.client import Calotype",
    "",
    "# The key is in the environment: CALOTYPE_KEY",
    `with Calotype(${literal(server)}) as client:`,
    `    shot = client.screenshot(${call})`,
    `    shot.save(${literal(file(request))})`,
  ].join("\n");
}

function javascript(request, server) {
  return [
    `const answer = await fetch(${JSON.stringify(`${server}/v1/screenshot`)}, {`,
    `  method: "POST",`,
    "  headers: { Authorization: `Bearer ${process.env.CALOTYPE_KEY}`, \"Content-Type\": \"application/json\" },",
    `  body: JSON.stringify(${JSON.stringify(request, null, 2).replaceAll("\n", "\n  ")}),`,
    "});",
    "const { ok, image_base64, meta, error } = await answer.json();",
    "if (!ok) throw new Error(`${error.code}: ${error.message}`);",
    `await (await import("node:fs/promises")).writeFile(${JSON.stringify(file(request))}, image_base64, "base64");`,
  ].join("\n");
}

// Options are the flat form: fields of viewport and render bare, those of other objects with its name before them.
const BARE = new Set(["viewport", "render"]);
const WHOLE = new Set(["actions", "cookies", "headers", "clip"]);

function* flags(request) {
  for (const [name, value] of Object.entries(request)) {
    if (name === "url" || name === "html") continue;
    const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
    if (!isObject || WHOLE.has(name)) yield* flag(name, value);
    else for (const [part, inner] of Object.entries(value)) yield* flag(BARE.has(name) ? part : `${name}_${part}`, inner);
  }
}

const VALUED = new Set(["scroll", "media_reduced_motion", "media_forced_colors"]); // not only yes or no
function* flag(name, value) {
  const option = name.replaceAll("_", "-");
  if (typeof value === "boolean" && !VALUED.has(name)) yield value ? `--${option}` : `--no-${option}`;
  else if (Array.isArray(value) && value.every((each) => typeof each === "string"))
    for (const each of value) yield `--${option} ${shell(/[,"'([{]/.test(each) && !["css", "js"].includes(name) ? JSON.stringify([each]) : each)}`;
  else yield `--${option} ${shell(typeof value === "object" ? JSON.stringify(value) : String(value))}`;
}

function cli(request) {
  const page = request.html === undefined ? shell(request.url ?? "https://example.com") : "--html page.html";
  const options = [...flags(request)];
  return ["calotype capture", page, ...options, `-o ${file(request)}`].join(options.length > 2 ? " \\\n  " : " ");
}

export const LANGUAGES = { curl, Python: python, JavaScript: javascript, Shell: cli };
