  const DATA = JSON.parse(store.textContent);
  const MODELS = DATA.models;
  const SVG = grids.querySelector("svg").namespaceURI;
  const draw = (name, attributes) => {
    const element = document.createElementNS(SVG, name);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    return element;
  };
  const make = (name, text, className) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };

  // What was seen in one picture; null where no face was found.
  const seen = (row) => {
    if (row === 0) return null;
    const count = DATA.attributes.length;
    let at = 4 + count;
    return {
      box: row.slice(0, 4),
      classes: DATA.attributes.map(([, names], a) => names[row[4 + a]]),
      sure: row.length > at ? DATA.attributes.map(([, names]) => row.slice(at, at += names.length)) : null,
    };
  };
  const said = (model, index, face) => {
    const start = `${model[0].toUpperCase()}${model.slice(1)}, image ${index}: `;
    if (!face) return `${start}no face found`;
    return start + "perceived " + face.classes.map((name, a) => {
      if (!face.sure) return name;
      const at = DATA.attributes[a][1].indexOf(name);
      return `${name} (${(face.sure[a][at] / 100).toFixed(2)})`;
    }).join(", ");
  };
  const picture = (g, model, k) => {
    const grid = DATA.grids[g];
    const tile = grid.tile;
    const face = seen(grid.rows[model][k]);
    const svg = draw("svg", {
      viewBox: grid.window, role: "img", "aria-label": said(model, grid.indices[k], face),
    });
    svg.append(draw("use", {
      href: `#s${g}-${model}`, x: -tile * (k % grid.columns), y: -tile * Math.floor(k / grid.columns),
    }));
    if (face) {
      const [x, y, width, height] = face.box.map((edge) => edge * tile / 1000);
      ["box under", "box"].forEach((kind) => svg.append(draw("rect", { class: kind, x, y, width, height })));
    }
    return svg;
  };

  // Every picture opens the viewer.
  const button = (figure) => {
    const opener = make("button", undefined, "tile");
    opener.type = "button";
    opener.setAttribute("aria-haspopup", "dialog");
    const svg = figure.querySelector("svg");
    svg.before(opener);
    opener.append(svg);
  };
  all(".pairs figure").forEach(button);

  const pair = (g, k) => {
    const item = make("li");
    const before = seen(DATA.grids[g].rows[MODELS[0]][k]);
    MODELS.forEach((model, m) => {
      const figure = make("figure", undefined, model);
      figure.append(picture(g, model, k));
      button(figure);
      const caption = make("figcaption");
      caption.setAttribute("aria-hidden", "true");
      const face = seen(DATA.grids[g].rows[model][k]);
      (face ? face.classes : ["no face"]).forEach((name, a) => {
        const same = face ? before && before.classes[a] === name : !before;
        caption.append(make("span", name, m > 0 && !same ? "changed" : ""), " ");
      });
      figure.append(caption);
      item.append(figure);
    });
    return item;
  };
  const fill = (prompt) => {
    const g = Number(prompt.dataset.grid);
    const list = prompt.querySelector(".pairs");
    for (let k = list.children.length; k < DATA.grids[g].indices.length; k += 1) list.append(pair(g, k));
    prompt.querySelector(".rest")?.remove();
    return list;
  };

  const viewer = byId("viewer");
  const stage = byId("v-stage");
  const slider = byId("v-slider");
  let at = { g: 0, k: 0, from: null };

  const slide = () => {
    if (!slider) return;
    stage.style.setProperty("--at", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `left ${slider.value} % base, the rest aligned`);
  };
  const level = (model, value) => {
    const cell = make("td");
    if (value === null) { cell.textContent = "\u2013"; return cell; }
    const track = make("span", undefined, "meter");
    track.setAttribute("aria-hidden", "true");
    const bar = make("span", undefined, `fill ${model}`);
    bar.style.width = `${value}%`;
    track.append(bar);
    cell.append(track, make("span", (value / 100).toFixed(2), "figure"));
    return cell;
  };
  const tabulate = (faces) => {
    const body = byId("v-table").tBodies[0];
    body.replaceChildren();
    DATA.attributes.forEach(([name, names], a) => {
      const head = make("tr", undefined, "group");
      const title = make("th", name);
      title.scope = "rowgroup";
      title.colSpan = 1 + MODELS.length;
      head.append(title);
      body.append(head);
      names.forEach((cls, c) => {
        const row = make("tr");
        const label = make("th", cls);
        label.scope = "row";
        row.append(label);
        MODELS.forEach((model, m) => {
          const face = faces[m];
          const cell = level(model, face && face.sure && face.sure[a][c] >= 0 ? face.sure[a][c] : null);
          if (face && face.classes[a] === cls) {
            cell.classList.add("chosen");
            cell.append(make("span", face.sure ? " seen" : "seen", "vh"));
          }
          row.append(cell);
        });
        body.append(row);
      });
    });
  };
  const show = (g, k) => {
    const grid = DATA.grids[g];
    const prompt = document.querySelector(`.prompt[data-grid="${g}"]`);
    at = { ...at, g, k };
    byId("v-title").textContent = prompt.dataset.name;
    byId("v-prompt").textContent = prompt.querySelector(".quote")?.textContent ?? "";
    stage.replaceChildren(...MODELS.map((model) => {
      const layer = make("div", undefined, `layer ${model}`);
      layer.append(picture(g, model, k));
      return layer;
    }));
    const faces = MODELS.map((model) => seen(grid.rows[model][k]));
    tabulate(faces);
    const lost = MODELS.filter((model, m) => !faces[m]).map((model) => `no face found by ${model}`);
    byId("v-place").textContent = [`Image ${grid.indices[k]} (${k + 1} of ${grid.indices.length})`, ...lost].join(", ");
    byId("v-previous").disabled = k === 0;
    byId("v-next").disabled = k === grid.indices.length - 1;
    slide();
  };

  grids.addEventListener("click", (event) => {
    const more = event.target.closest("button.all");
    if (more) {
      const prompt = more.closest(".prompt");
      const first = prompt.querySelector(".pairs").children.length;
      fill(prompt).children[first].querySelector("button").focus();
      return;
    }
    const opener = event.target.closest("button.tile");
    if (!opener) return;
    const item = opener.closest("li");
    if (slider) slider.value = 50;
    at.from = opener;
    show(Number(item.closest(".prompt").dataset.grid), [...item.parentNode.children].indexOf(item));
    viewer.showModal();
    (slider ?? byId("v-next")).focus();
  });
  byId("v-close").addEventListener("click", () => viewer.close());
  byId("v-previous").addEventListener("click", () => show(at.g, at.k - 1));
  byId("v-next").addEventListener("click", () => show(at.g, at.k + 1));
  viewer.addEventListener("click", (event) => { if (event.target === viewer) viewer.close(); });
  viewer.addEventListener("close", () => at.from?.focus());
  if (slider) {
    slider.addEventListener("input", slide);
    const drag = (event) => {
      if (event.buttons === 0 && event.type === "pointermove") return;
      const { left, width } = stage.getBoundingClientRect();
      slider.value = Math.round(100 * (event.clientX - left) / width);
      slide();
    };
    stage.addEventListener("pointerdown", (event) => { stage.setPointerCapture(event.pointerId); drag(event); });
    stage.addEventListener("pointermove", drag);
  }
