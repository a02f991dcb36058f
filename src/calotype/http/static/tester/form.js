// The form: a group of controls for each group of fields.
import { control, make } from "./controls.js";

export function form(groups, place) {
  const controls = new Map();
  const counters = [];
  for (const [name, nodes] of groups) {
    const body = make("div", { className: "body" });
    for (const node of nodes) {
      const made = control(node);
      controls.set(node.name, made);
      body.append(made.element);
    }
    const counter = make("span", { className: "set" });
    const details = make("details", { open: place.childElementCount === 0 }, make("summary", {}, `${name} `, counter), body);
    place.append(details);
    counters.push([counter, nodes.map((node) => node.name)]);
  }

  const read = () => {
    const request = {};
    for (const [name, each] of controls) {
      const value = each.read();
      if (value !== undefined) request[name] = value;
    }
    return request;
  };
  const write = (request) => controls.forEach((each, name) => each.write(request[name]));
  const count = () => {
    const request = read();
    for (const [counter, names] of counters) {
      const number = names.filter((name) => name in request).length;
      counter.textContent = number ? `· ${number} set` : "";
    }
  };

  const every = (made) => [made, ...(made.all?.() ?? []).flatMap(every)];
  const clear = () => [...controls.values()].flatMap(every).forEach((each) => each.show(null));

  // Puts each message at its field, opens the group, and goes to the first; gives what belongs to no field.
  const showWrong = (details) => {
    clear();
    let first = null;
    const rest = [];
    for (const { field, message } of details) {
      const [name, ...path] = String(field).replace(/^request\./, "").split(".");
      const made = controls.get(name)?.find(path);
      if (!made) {
        rest.push(message);
        continue;
      }
      made.show(message);
      for (let at = made.element.closest("details"); at; at = at.parentElement.closest("details")) at.open = true;
      first ??= made;
    }
    first?.input?.focus();
    return rest;
  };
  return { read, write, count, clear, showWrong };
}
