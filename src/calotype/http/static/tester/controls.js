// One control for each node of the schema: `element`, `read()` (undefined: not set), `write(value)`, and `find(path)`,
// which gives the control of a dotted path, for errors.
let count = 0;

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function control(node) {
  const made = MAKERS[node.kind](node);
  made.find ??= () => made;
  return made;
}

const words = (name) => name.replaceAll("_", " ").replace(/ (ms|s)$/, ", $1");
// Descriptions have names in backticks.
const helpOf = (text, properties = {}) =>
  make("p", { className: "help", ...properties }, ...text.split("`").map((part, index) => (index % 2 ? make("code", { textContent: part }) : part)));

// The frame of a single control: label, help, and the place for what is wrong with it.
function framed(node, input, { isInline = false } = {}) {
  const id = `c${(count += 1)}`;
  const help = helpOf(node.help, { id: `${id}-help` });
  const wrong = make("p", { className: "wrong", id: `${id}-wrong`, hidden: true });
  const label = make("label", { htmlFor: id, textContent: words(node.name) });
  Object.assign(input, { id, disabled: node.isOff });
  input.dataset.field = node.name;
  input.setAttribute("aria-describedby", `${help.id} ${wrong.id}`);
  if (isInline) {
    label.className = "check";
    label.prepend(input);
  }
  const element = make("div", { className: "field" }, label, isInline ? null : input, help, wrong);
  const show = (message) => {
    element.classList.toggle("bad", Boolean(message));
    input.setAttribute("aria-invalid", String(Boolean(message)));
    Object.assign(wrong, { textContent: message ?? "", hidden: !message });
  };
  return { element, input, show };
}

function switchOf(node) {
  if (node.isNullable) return choiceOf({ ...node, choices: [true, false] });
  const input = make("input", { type: "checkbox", checked: Boolean(node.standard) });
  const read = () => (input.checked === Boolean(node.standard) ? undefined : input.checked);
  const write = (value) => (input.checked = value ?? Boolean(node.standard));
  return { ...framed(node, input, { isInline: true }), read, write };
}

function choiceOf(node) {
  const shown = (value) => (value === true ? "yes" : value === false ? "no" : String(value));
  const unset = node.standard === null || node.standard === undefined ? "not set" : `${shown(node.standard)} (default)`;
  const others = node.choices.filter((choice) => choice !== node.standard);
  const options = [["", unset], ...others.map((choice) => [JSON.stringify(choice), shown(choice)])];
  const input = make("select", {}, ...options.map(([value, text]) => make("option", { value, textContent: text })));
  const read = () => (input.value ? JSON.parse(input.value) : undefined);
  const write = (value) => (input.value = value === undefined || value === node.standard ? "" : JSON.stringify(value));
  return { ...framed(node, input), read, write };
}

function numberOf(node) {
  const input = make("input", { type: "number", min: node.minimum ?? "", max: node.maximum ?? "", step: node.step });
  input.placeholder = node.standard ?? "";
  const read = () => {
    if (input.validity.badInput) return "not a number";
    return input.value === "" ? undefined : Number(input.value);
  };
  return { ...framed(node, input), read, write: (value) => (input.value = value ?? "") };
}

function textOf(node) {
  const input = node.kind === "long" ? make("textarea", { rows: 3 }) : make("input", { type: "text" });
  Object.assign(input, { spellcheck: false, autocomplete: "off", placeholder: example(node) });
  const frame = framed(node, input);
  if (node.suggestions?.length) {
    const options = make("datalist", { id: `${input.id}-list` });
    options.append(...node.suggestions.map((value) => make("option", { value })));
    input.setAttribute("list", options.id);
    frame.element.append(options);
  }
  const read = () => {
    const text = input.value;
    if (text === "") return undefined;
    return node.alsoNumber && text.trim() !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
  };
  return { ...frame, read, write: (value) => (input.value = Array.isArray(value) ? value.join("\n") : (value ?? "")) };
}

const example = ({ example: value }) => (typeof value === "string" ? value : "");

function textsOf(node) {
  const input = make("textarea", { rows: 2, spellcheck: false });
  input.placeholder = Array.isArray(node.example) ? node.example.join("\n") : "one per line";
  const read = () => {
    const lines = input.value.split("\n").map((line) => line.trim()).filter(Boolean);
    return lines.length ? lines : undefined;
  };
  return { ...framed(node, input), read, write: (value) => (input.value = (value ?? []).join("\n")) };
}

function choicesOf(node) {
  const boxes = node.choices.map((value) => make("input", { type: "checkbox", value }));
  boxes.forEach((box) => (box.dataset.field = `${node.name}.${box.value}`));
  const labels = boxes.map((box) => make("label", { className: "check" }, box, words(box.value)));
  const wrong = make("p", { className: "wrong", hidden: true });
  const legend = make("legend", { textContent: words(node.name) });
  const element = make("fieldset", {}, legend, helpOf(node.help));
  element.append(make("div", { className: "choices" }, ...labels), wrong);
  const read = () => {
    const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
    return chosen.length ? chosen : undefined;
  };
  const write = (value) => boxes.forEach((box) => (box.checked = (value ?? []).includes(box.value)));
  const show = (message) => Object.assign(wrong, { textContent: message ?? "", hidden: !message });
  return { element, input: boxes[0], read, write, show };
}

function objectOf(node) {
  const parts = fieldsOf(node.fields);
  const element = make("fieldset", {}, make("legend", { textContent: words(node.name) }));
  if (node.help) element.append(helpOf(node.help));
  element.append(parts.element);
  const find = (path) => (path.length ? parts.find(path) : parts.first);
  return { element, input: parts.first.input, read: parts.read, write: parts.write, show: parts.first.show, find, all: parts.all };
}

// The controls of an object's fields, and the object that they make.
function fieldsOf(nodes) {
  const controls = new Map(nodes.map((each) => [each.name, control(each)]));
  const isFew = nodes.length > 1 && nodes.every((each) => ["number", "choice", "switch"].includes(each.kind));
  const element = make("div", { className: isFew ? "few" : "" }, ...[...controls.values()].map((each) => each.element));
  const read = () => {
    const found = [...controls].map(([name, each]) => [name, each.read()]).filter(([, value]) => value !== undefined);
    return found.length ? Object.fromEntries(found) : undefined;
  };
  const write = (value) => controls.forEach((each, name) => each.write(value?.[name]));
  const first = controls.values().next().value;
  const find = ([name, ...rest]) => controls.get(name)?.find(rest) ?? first;
  return { element, read, write, find, first, all: () => [...controls.values()] };
}

function rowsOf(node) {
  const list = make("ol", { className: "rows" });
  const rows = [];
  const types = node.variants.map((variant) => variant.type).filter(Boolean);
  const adding = make("button", { type: "button", textContent: `Add to ${words(node.name)}` });
  adding.dataset.field = node.name;
  const wrong = make("p", { className: "wrong", hidden: true });
  const element = make("fieldset", {}, make("legend", { textContent: words(node.name) }));
  element.append(helpOf(node.help), list, adding, wrong);

  const changed = () => element.dispatchEvent(new Event("input", { bubbles: true }));
  const draw = () => list.replaceChildren(...rows.map((row) => row.item));
  const tool = (text, label, work) => make("button", { type: "button", textContent: text, ariaLabel: label, onclick: work });

  function add(value) {
    const row = { item: make("li"), type: value?.type ?? types[0] ?? null };
    const place = make("div");
    const fill = (content) => {
      row.parts = fieldsOf(node.variants.find((variant) => variant.type === row.type).fields);
      row.parts.write(content);
      place.replaceChildren(row.parts.element);
    };
    const move = (by) => () => {
      const [from, to] = [rows.indexOf(row), rows.indexOf(row) + by];
      if (to < 0 || to >= rows.length) return;
      rows.splice(to, 0, ...rows.splice(from, 1));
      draw();
      changed();
    };
    const remove = () => {
      rows.splice(rows.indexOf(row), 1);
      draw();
      changed();
      adding.focus();
    };
    const tools = make("div", { className: "tools" }, tool("↑", "Move up", move(-1)), tool("↓", "Move down", move(1)), tool("✕", "Remove", remove));
    if (types.length) {
      const kind = make("select", { ariaLabel: `Kind of ${words(node.name)}` }, ...types.map((value) => make("option", { value, textContent: words(value) })));
      kind.value = row.type;
      kind.dataset.field = `${node.name}.type`;
      kind.addEventListener("change", () => {
        row.type = kind.value;
        fill(undefined);
        changed();
      });
      row.item.append(kind);
    }
    row.item.append(place, tools);
    fill(value);
    rows.push(row);
    draw();
    return row;
  }

  adding.addEventListener("click", () => {
    add().parts.first.input.focus();
    changed();
  });
  const read = () => (rows.length ? rows.map((row) => ({ ...(row.type ? { type: row.type } : {}), ...row.parts.read() })) : undefined);
  const write = (value) => {
    rows.length = 0;
    (Array.isArray(value) ? value : []).forEach(add);
    draw();
  };
  const show = (message) => Object.assign(wrong, { textContent: message ?? "", hidden: !message });
  const own = { element, input: adding, read, write, show };
  own.find = ([index, ...rest]) => rows[index]?.parts.find(rest) ?? own;
  own.all = () => rows.flatMap((row) => row.parts.all());
  return own;
}

const MAKERS = {
  switch: switchOf,
  choice: choiceOf,
  number: numberOf,
  text: textOf,
  long: textOf,
  texts: textsOf,
  choices: choicesOf,
  object: objectOf,
  rows: rowsOf,
};
