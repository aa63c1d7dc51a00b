"use strict";
(() => {
  const all = (query, from = document) => [...from.querySelectorAll(query)];
  const byId = (id) => document.getElementById(id);
  const grids = byId("grids");
  const filter = byId("filter");
  const order = byId("order");
  const unfold = byId("unfold");
  const found = byId("found");

  const sorted = (items, key, downwards) => items.sort((a, b) => {
    const way = downwards ? -1 : 1;
    return key === "name"
      ? way * a.dataset.name.localeCompare(b.dataset.name)
      : way * (Number(a.dataset[key]) - Number(b.dataset[key]));
  });

  all(".scripted").forEach((item) => { item.hidden = false; });

  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    const items = all("[data-text]");
    items.forEach((item) => { item.hidden = !item.dataset.text.toLowerCase().includes(wanted); });
    const prompts = items.filter((item) => item.matches(".prompt"));
    const shown = prompts.filter((item) => !item.hidden).length;
    found.textContent = wanted ? `${shown} of ${prompts.length} prompts, here and in the tables below` : "";
  });

  order.addEventListener("change", () => {
    grids.append(...sorted(all(".prompt", grids), order.value, order.value !== "name"));
  });

  unfold.addEventListener("click", () => {
    const open = unfold.getAttribute("aria-pressed") !== "true";
    all(".prompt", grids).forEach((item) => { item.open = open; });
    unfold.setAttribute("aria-pressed", String(open));
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
})();
