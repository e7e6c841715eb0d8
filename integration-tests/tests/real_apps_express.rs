//! An Express app in use while it is restarted: a signed session, JSON, and files as streams.

use test_support::{Browser, Form, Request};

use crate::frameworks::with_modules;
use crate::real_apps::{restarts_while_used, two_processes_of, upload};

const APP: &str = r#"
const fs = require('fs');
const path = require('path');
const express = require('express');
const signature = require('cookie-signature');
const { parse } = require('cookie');

const SECRET = 'by the river';
const files = path.join(__dirname, 'files');
const notes = path.join(__dirname, 'notes.json');
const app = express();

app.use((req, res, next) => {
  req.secret = SECRET;
  req.user = signature.unsign(parse(req.headers.cookie || '').user?.replace(/^s:/, '') || '', SECRET);
  next();
});
app.get('/login', (req, res) => res.send('<form><input type="hidden" name="token" value="one &amp; only"></form>'));
app.post('/login', express.urlencoded(), (req, res) => {
  if (req.body.password !== 'seven') return res.status(403).send('no');
  res.cookie('user', req.body.user, { signed: true, httpOnly: true }).redirect('/me');
});
app.use((req, res, next) => (req.user ? next() : res.status(401).send('log in first')));
app.get('/me', (req, res) => res.send(`hello ${req.user}`));
app.post('/notes', express.json(), (req, res) => {
  fs.writeFileSync(notes, JSON.stringify({ by: req.user, ...req.body }));
  res.status(201).json({ length: req.body.text.length });
});
app.get('/notes', (req, res) => res.sendFile(notes));
app.put('/files/:name', (req, res, next) => {
  req.pipe(fs.createWriteStream(path.join(files, req.params.name)))
    .on('finish', () => res.sendStatus(204))
    .on('error', next);
});
app.get('/files/:name', (req, res) => res.sendFile(path.join(files, req.params.name)));
app.listen(3000);
"#;

#[test]
fn an_express_app_is_used_while_it_is_restarted() {
    let setup = two_processes_of("", |app| with_modules(app.node(APP)).file("files/readme.txt", "files"));
    let mut browser = Browser::at(setup.nginx.port());
    let page = browser.opens("/login");
    let form = Form::on(&page, "token").with("user", "ann").with("password", "seven");
    assert_eq!(browser.submits("/login", &form).text(), "hello ann");

    let note = Request::post("/notes", r#"{"text": "Grüße"}"#).header("Content-Type", "application/json");
    assert_eq!(browser.send(note).expect(201).json()["length"], 5);
    browser.send(Request::new("PUT", "/files/bytes.bin").body(upload())).expect(204);

    restarts_while_used(&setup, &browser, "/me");
    assert_eq!(browser.get("/me").expect(200).text(), "hello ann");
    assert_eq!(browser.get("/notes").expect(200).json()["by"], "ann");
    assert!(browser.get("/files/bytes.bin").expect(200).body == upload());
}
