// What can be clicked, chosen or typed into, as far as the picture shows it: role, name, a selector, its box in pixels.
// `area` is {x, y, width, height} in document coordinates, or null for the viewport; `scale` is pixels for each of CSS's.
(area, scale) => {
  const MOST = 300;
  const MOST_LOOKED_AT = 5000;
  const CHARS = 200;
  const LEAST_PX = 3;
  const USABLE =
    "a[href], area[href], button, input:not([type=hidden]), select, textarea, summary, [contenteditable=''], " +
    "[contenteditable=true], [onclick], [tabindex]:not([tabindex^='-']), [role=button], [role=link], [role=checkbox], " +
    "[role=radio], [role=tab], [role=menuitem], [role=option], [role=switch], [role=combobox], [role=textbox], " +
    "[role=searchbox], [role=slider]";
  const left = area ? area.x - scrollX : 0;
  const top = area ? area.y - scrollY : 0;
  const width = area ? area.width : innerWidth;
  const height = area ? area.height : innerHeight;

  const INPUT_ROLES = { button: "button", submit: "button", reset: "button", image: "button", checkbox: "checkbox", radio: "radio", range: "slider", number: "spinbutton", search: "searchbox", file: "button", color: "button" };
  const roleOf = (element) => {
    const told = element.getAttribute("role")?.trim().split(/\s+/)[0];
    if (told) return told;
    switch (element.localName) {
      case "a":
      case "area":
        return "link";
      case "input":
        return INPUT_ROLES[element.type] ?? "textbox";
      case "select":
        return element.multiple || element.size > 1 ? "listbox" : "combobox";
      case "textarea":
        return "textbox";
      default:
        return element.isContentEditable ? "textbox" : "button";
    }
  };

  const tidy = (text) => (text ?? "").replace(/\s+/g, " ").trim().slice(0, CHARS);
  const textOf = (element) => tidy(element?.innerText) || tidy(element?.querySelector?.("img[alt]")?.alt) || tidy(element?.querySelector?.("svg title")?.textContent);
  const nameOf = (element) => {
    const by = element.getAttribute("aria-labelledby")?.split(/\s+/).map((id) => textOf(element.getRootNode().getElementById?.(id))).join(" ");
    const labels = [...(element.labels ?? [])].map(textOf).join(" ");
    const isButton = element.localName === "input" && ["button", "submit", "reset"].includes(element.type);
    return (
      tidy(by) || tidy(element.getAttribute("aria-label")) || tidy(labels) || (isButton ? tidy(element.value) : "") ||
      tidy(element.getAttribute("alt")) || (element.matches("input, select, textarea") ? "" : textOf(element)) ||
      tidy(element.getAttribute("placeholder")) || tidy(element.getAttribute("title")) || tidy(element.getAttribute("name"))
    );
  };
  const valueOf = (element) => {
    if (element.localName === "select") return tidy([...element.selectedOptions].map(({ label }) => label).join(", "));
    if (element.localName === "textarea") return tidy(element.value);
    if (element.localName !== "input" || element.type === "password") return null;
    if (element.type === "checkbox" || element.type === "radio") return element.checked ? "on" : "off";
    return INPUT_ROLES[element.type] === "button" ? null : tidy(element.value);
  };

  const isOnly = (selector, element) => {
    const found = document.querySelectorAll(selector);
    return found.length === 1 && found[0] === element;
  };
  const selectorOf = (element) => {
    const steps = [];
    for (let at = element; at && at !== document.documentElement; at = at.parentElement) {
      const id = at.id && `#${CSS.escape(at.id)}`;
      if (id && isOnly(id, at)) {
        steps.unshift(id);
        break;
      }
      for (const name of at === element ? ["data-testid", "name", "aria-label", "href"] : []) {
        const value = at.getAttribute(name);
        const short = value && value.length <= 100 && `${at.localName}[${name}=${JSON.stringify(value)}]`;
        if (short && !/[\\\n]/.test(value) && isOnly(short, at)) return short;
      }
      const alike = at.parentElement ? [...at.parentElement.children].filter((each) => each.localName === at.localName) : [at];
      steps.unshift(CSS.escape(at.localName) + (alike.length > 1 ? `:nth-of-type(${alike.indexOf(at) + 1})` : ""));
    }
    return steps.join(" > ");
  };

  const found = [];
  for (const element of [...document.querySelectorAll(USABLE)].slice(0, MOST_LOOKED_AT)) {
    if (found.length >= MOST) break;
    if (element.disabled || element.closest("[inert], [aria-hidden=true]")) continue;
    if (!element.checkVisibility({ opacityProperty: true, visibilityProperty: true, contentVisibilityAuto: true })) continue;
    const box = element.getBoundingClientRect();
    const [x, y] = [box.x - left, box.y - top];
    if (box.width < LEAST_PX || box.height < LEAST_PX) continue;
    if (x + box.width <= 0 || y + box.height <= 0 || x >= width || y >= height) continue;
    const at = { x: Math.round(x * scale), y: Math.round(y * scale) };
    const size = { width: Math.round((x + box.width) * scale) - at.x, height: Math.round((y + box.height) * scale) - at.y };
    found.push({ role: roleOf(element), name: nameOf(element), value: valueOf(element), selector: selectorOf(element), box: { ...at, ...size } });
  }
  return found.sort((one, other) => one.box.y - other.box.y || one.box.x - other.box.x);
}
