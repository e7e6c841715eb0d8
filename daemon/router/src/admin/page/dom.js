"use strict";

// Elements. All that the daemon tells is put in as text: visitors choose paths, and none becomes an element.

/** A new element with these classes and this text. */
function make(tag, classes = "", text = "") {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  if (text) element.textContent = text;
  return element;
}

function byId(id) {
  return document.getElementById(id);
}

/** Changes a text only when it is another: what is selected stays so, and screen readers hear of changes. */
function setText(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

function setClasses(element, classes) {
  if (element.className !== classes) element.className = classes;
}

/** Sees to it that the element has as many children as there are items, and fills each with its item. */
function fillChildren(parent, items, makeChild, fill) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(makeChild());
  items.forEach((item, at) => fill(parent.children[at], item));
}

/**
 * A table that is a list of cards on narrow screens. Its roles are spelled out, as browsers forget those of a
 * table that is laid out as something else.
 */
class Table {
  /** A column: its title, its class, and what fills its cell with an item. */
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

  /** Shows these items, a row for each; `classes` tells how a row looks. */
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

/** A column that shows one text. */
function textColumn(title, classes, text) {
  return { title, classes, fill: (cell, item) => setText(cell, text(item)) };
}
