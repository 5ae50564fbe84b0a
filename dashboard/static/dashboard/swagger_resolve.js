"use strict";
// A plugin of Swagger UI. To show one operation, Swagger UI resolves the whole document, which takes seconds. With this
// it gets only the part that the operation refers to.

function resolvePartly(system) {
  const resolveSubtree = system.fn.resolveSubtree;

  function valueAt(document, path) {
    return path.reduce((node, name) => node?.[name], document);
  }

  function put(document, path, value) {
    const parent = path.slice(0, -1).reduce((node, name) => (node[name] ??= {}), document);
    parent[path.at(-1)] = value;
  }

  function referencesIn(node) {
    if (node === null || typeof node !== "object") return [];
    const own = typeof node.$ref === "string" && node.$ref.startsWith("#/") ? [node.$ref] : [];
    return own.concat(...Object.values(node).map(referencesIn));
  }

  function partOf(document, path) {
    const { paths, components, ...part } = document;
    const found = valueAt(document, path);
    if (found === undefined) return document;
    put(part, path, found);
    const waiting = referencesIn(found);
    const seen = new Set();
    while (waiting.length > 0) {
      const reference = waiting.pop();
      if (seen.has(reference)) continue;
      seen.add(reference);
      const names = reference
        .slice(2)
        .split("/")
        .map((name) => decodeURIComponent(name).replaceAll("~1", "/").replaceAll("~0", "~"));
      const value = valueAt(document, names);
      put(part, names, value);
      waiting.push(...referencesIn(value));
    }
    return part;
  }

  return {
    fn: {
      resolveSubtree: (document, path, options) => resolveSubtree(partOf(document, path), path, options),
    },
  };
}
