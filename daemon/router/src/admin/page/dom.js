"use strict";

// Helpers for elements. Data is inserted as text only: visitors choose paths, which must not become elements.

/** Creates an element with these classes and this text. */
function make(tag, classes = "", text = "") {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  if (text) element.textContent = text;
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

/** Sets the text only if it differs, to keep selections and to announce only changes to screen readers. */
function setText(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

function setClasses(element, classes) {
  if (element.className !== classes) element.className = classes;
}

/** Makes the number of children equal to that of the items, and fills each with its item. */
function fillChildren(parent, items, makeChild, fill) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(makeChild());
  items.forEach((item, at) => fill(parent.children[at], item));
}

/**
 * A table that becomes a list of cards on narrow screens. Its roles are explicit, because browsers drop those of a
 * table whose CSS `display` is changed.
 */
class Table {
  /** `columns` have a title, a class, and a function that fills a cell with an item. */
  constructor(caption, columns) {
    this.columns = columns;
    this.element = make("table", "table");
    this.element.setAttribute("role", "table");
    this.element.append(make("caption", "unseen", caption));
    this.head = make("thead");
    this.body = make("tbody");
    for (const part of [this.head, this.body]) part.setAttribute("role", "rowgroup");
    this.head.append(this.titles());
    this.element.append(this.head, this.body);
  }

  /** Shows these items, one row each; `classes` returns the classes of a row. */
  show(items, classes = () => "") {
    fillChildren(
      this.body,
      items,
      () => this.row(),
      (row, item) => {
        setClasses(row, classes(item));
        this.columns.forEach((column, at) => column.fill(row.children[at].lastElementChild, item));
      },
    );
  }

  titles() {
    const row = make("tr");
    row.setAttribute("role", "row");
    for (const column of this.columns) {
      const title = make("th", column.classes, column.title);
      title.scope = "col";
      title.setAttribute("role", "columnheader");
      row.append(title);
    }
    return row;
  }

  row() {
    const row = make("tr");
    row.setAttribute("role", "row");
    for (const column of this.columns) {
      const cell = make("td", column.classes);
      cell.setAttribute("role", "cell");
      const label = make("span", "label", column.title);
      label.setAttribute("aria-hidden", "true");
      cell.append(label, make("span", "value"));
      row.append(cell);
    }
    return row;
  }
}

/** Creates a column that shows one text. */
function textColumn(title, classes, text) {
  return { title, classes, fill: (cell, item) => setText(cell, text(item)) };
}
