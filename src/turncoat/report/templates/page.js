"use strict";
(() => {
  const made = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // Choices: one list for each axis, and the view that has what they say.
  for (const choice of document.querySelectorAll(".choice")) {
    const views = [...choice.querySelectorAll(":scope > .view")];
    const options = views.map((view) => JSON.parse(view.dataset.options));
    const lists = JSON.parse(choice.dataset.axes).map((axis, place) => {
      const values = [...new Set(options.map((option) => option[place]))];
      return { axis, list: made("select", {}, ...values.map((value) => made("option", { value, textContent: value }))) };
    });
    const show = (place) => {
      const wanted = lists.map(({ list }) => list.value);
      let found = options.findIndex((option) => option.every((value, i) => value === wanted[i]));
      if (found < 0) found = options.findIndex((option) => option[place] === wanted[place]);
      views.forEach((view, i) => { view.hidden = i !== found; });
      lists.forEach(({ list }, i) => { list.value = options[found][i]; });
    };
    const controls = lists.filter(({ list }) => list.options.length > 1)
      .map(({ axis, list }) => made("label", {}, made("span", { textContent: axis }), list));
    if (controls.length) choice.prepend(made("div", { className: "controls" }, ...controls));
    lists.forEach(({ list }, place) => list.addEventListener("change", () => show(place)));
    show(0);
  }

  // Tables: sorted by a click on a heading, filtered by words.
  const key = (cell) => (cell.dataset.v === undefined ? cell.textContent : Number(cell.dataset.v));
  const order = (a, b) => {
    if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
    return typeof a === "number" ? -1 : 1;
  };
  for (const table of document.querySelectorAll("table")) {
    const body = table.tBodies[0];
    if (body.rows.length < 3) continue;
    for (const [place, head] of [...table.tHead.rows[0].cells].entries()) {
      const button = made("button", { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const rows = [...body.rows].sort((a, b) => order(key(a.cells[place]), key(b.cells[place])));
        body.append(...(falling ? rows.reverse() : rows));
      });
    }
    if (body.rows.length < 9) continue;
    const words = made("input", { type: "search" });
    const label = made("label", {}, made("span", { textContent: "rows with" }), words);
    table.parentElement.before(made("div", { className: "controls" }, label));
    words.addEventListener("input", () => {
      const wanted = words.value.trim().toLowerCase();
      for (const row of body.rows) {
        row.hidden = ![...row.cells].some((cell) => cell.textContent.toLowerCase().includes(wanted));
      }
    });
  }

  // Pictures: what is pointed at is told at once, in place of the browser's own slow hint.
  const tip = made("div", { id: "tip", hidden: true });
  tip.setAttribute("aria-hidden", "true");
  document.body.append(tip);
  for (const title of document.querySelectorAll(".drawing title")) {
    title.parentElement.dataset.tip = title.textContent;
    title.remove();
  }
  document.addEventListener("pointermove", (event) => {
    const told = event.target.closest("[data-tip]");
    tip.hidden = !told;
    if (!told) return;
    tip.textContent = told.dataset.tip;
    tip.style.left = `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.max(event.clientY - tip.offsetHeight - 10, 4)}px`;
  });
})();
