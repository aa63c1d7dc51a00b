"use strict";
(() => {
  const all = (query, from = document) => [...from.querySelectorAll(query)];
  const byId = (id) => document.getElementById(id);
  const grids = byId("grids");
  const filter = byId("filter");
  const which = byId("which");
  const order = byId("order");
  const unfold = byId("unfold");
  const found = byId("found");

  // Least first, or largest first; names from a to z.
  const sorted = (items, key, downwards) => items.sort((a, b) => {
    const way = downwards ? -1 : 1;
    return key === "name"
      ? way * a.dataset.name.localeCompare(b.dataset.name)
      : way * (Number(a.dataset[key]) - Number(b.dataset[key]));
  });

  all(".scripted").forEach((item) => { item.hidden = false; });

  const THEMES = ["automatic", "light", "dark"];
  const theme = byId("theme");
  theme.addEventListener("click", () => {
    const root = document.documentElement;
    const next = THEMES[(THEMES.indexOf(root.dataset.theme || "automatic") + 1) % 3];
    if (next === "automatic") delete root.dataset.theme; else root.dataset.theme = next;
    theme.textContent = `Theme: ${next}`;
  });

  const narrow = () => {
    const wanted = filter.value.trim().toLowerCase();
    const kind = which.value;
    const items = all("[data-text]");
    items.forEach((item) => {
      const named = item.dataset.text.toLowerCase().includes(wanted);
      item.hidden = !named || (kind !== "" && !(kind in item.dataset));
    });
    const prompts = items.filter((item) => item.matches(".prompt"));
    const shown = prompts.filter((item) => !item.hidden).length;
    byId("nothing").hidden = shown > 0 || prompts.length === 0;
    found.textContent = wanted || kind
      ? `${shown} of ${prompts.length} prompts, here and in the tables below` : "";
  };
  filter.addEventListener("input", narrow);
  which.addEventListener("change", narrow);

  order.addEventListener("change", () => {
    const downwards = order.value !== "name" && order.value !== "change";
    grids.prepend(...sorted(all(".prompt", grids), order.value, downwards));
  });

  unfold.addEventListener("click", () => {
    const open = unfold.getAttribute("aria-pressed") !== "true";
    all(".prompt", grids).forEach((item) => { item.open = open; });
    unfold.setAttribute("aria-pressed", String(open));
    unfold.textContent = open ? "Close all" : "Open all";
  });

  all("th[data-sort]").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const current = head.getAttribute("aria-sort");
      const downwards = current ? current === "ascending" : head.dataset.sort !== "name";
      all("th[aria-sort]", head.parentNode).forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", downwards ? "descending" : "ascending");
      const body = head.closest("table").tBodies[0];
      body.append(...sorted([...body.rows], head.dataset.sort, downwards));
    });
  });

  const store = byId("pictures-data");
  if (!store) return;
{% include "pictures.js" %}
})();
