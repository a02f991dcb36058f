// From the OpenAPI document to what the form shows: one node for each field, by its kind.
// Kinds: switch, choice, number, text, long, texts, choices, object, rows.
const LONG = 3000; // characters from which a text gets more than a line

export async function load() {
  const answer = await fetch("/openapi.json");
  const { components } = await answer.json();
  const resolve = (schema) => (schema.$ref ? { ...components.schemas[schema.$ref.split("/").pop()], ...schema } : schema);
  const request = components.schemas.ScreenshotRequest;
  const groups = new Map();
  for (const [name, schema] of Object.entries(request.properties)) {
    if (name === "api_key") continue;
    const group = schema["x-group"] ?? "More";
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(node(name, schema, resolve));
  }
  return groups;
}

// A field may take several forms: an object says the most, then a list of objects, then choices, then plain values.
function form(schema, resolve) {
  const forms = (schema.anyOf ?? [schema]).map(resolve).filter((each) => each.type !== "null");
  const rank = (each) => {
    if (each.type === "object" && each.properties) return 0;
    if (each.type === "array" && isObject(resolve(each.items))) return 1;
    if (each.enum || each.const !== undefined) return 2;
    if (each.type === "string") return 3;
    return each.type === "object" ? 5 : 4;
  };
  const [best] = forms.toSorted((one, other) => rank(one) - rank(other));
  return { best, forms, isNullable: Boolean(schema.anyOf) };
}

const isObject = (schema) => Boolean(schema.properties || schema.oneOf);

export function node(name, given, resolve) {
  const schema = resolve(given);
  const { best, forms, isNullable } = form(schema, resolve);
  const common = {
    name,
    help: schema.description ?? best.description ?? "",
    standard: schema.default ?? null,
    example: schema.examples?.[0],
    isSecret: Boolean(best.writeOnly),
    isOff: Boolean(schema["x-not-supported"]),
    isNullable,
  };
  if (best.properties) return { ...common, kind: "object", fields: fieldsOf(best, resolve) };
  if (best.type === "array") return { ...common, ...list(best, resolve) };
  if (best.type === "boolean") return { ...common, kind: "switch" };
  const choices = best.enum ?? (best.const === undefined ? undefined : [best.const]);
  const alsoNumber = forms.some((each) => each.type === "number" || each.type === "integer");
  if (choices && !alsoNumber) return { ...common, kind: "choice", choices };
  if (best.type === "integer" || best.type === "number") {
    const { minimum, maximum, type } = best;
    return { ...common, kind: "number", minimum, maximum, step: type === "integer" ? 1 : "any" };
  }
  const suggestions = choices ?? best.examples;
  return { ...common, kind: (best.maxLength ?? 0) > LONG ? "long" : "text", suggestions, alsoNumber };
}

function list(schema, resolve) {
  const items = resolve(schema.items);
  if (items.enum) return { kind: "choices", choices: items.enum };
  if (items.oneOf) {
    const variants = items.oneOf.map((each) => resolve(each));
    return { kind: "rows", variants: variants.map((each) => ({ type: each.properties.type.const, fields: fieldsOf(each, resolve) })) };
  }
  if (items.properties) return { kind: "rows", variants: [{ type: null, fields: fieldsOf(items, resolve) }] };
  return { kind: "texts" };
}

const fieldsOf = (schema, resolve) =>
  Object.entries(schema.properties)
    .filter(([name, each]) => !(name === "type" && resolve(each).const))
    .map(([name, each]) => ({ ...node(name, each, resolve), isRequired: schema.required?.includes(name) }));
