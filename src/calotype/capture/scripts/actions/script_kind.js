// What the text is as JavaScript: "expression", "statements", "body" of an asynchronous function (it has `await` or
// `return` outside of any function), or null. Nothing of it runs.
(script) => {
  const AsyncFunction = (async () => {}).constructor;
  const compiles = (kind, text) => {
    try {
      return !!new kind(text);
    } catch {
      return false;
    }
  };
  if (compiles(Function, `return (\n${script}\n)`)) return "expression";
  if (compiles(Function, `class Holder { static {\n${script}\n} }`)) return "statements"; // no `return` or `await` there
  return compiles(AsyncFunction, script) ? "body" : null;
};
