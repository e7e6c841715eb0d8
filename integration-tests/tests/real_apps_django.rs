//! Django's admin page in use, forked, while it is restarted.

use std::process::Command;

use test_support::{App, Browser, Form, require_debian_package, run};

use crate::real_apps::{restarts_while_used, two_processes_of, upload};

const MODELS: &str = r#"
from django.contrib import admin
from django.db import models

class Document(models.Model):
    title = models.CharField(max_length=100)
    file = models.FileField(upload_to="documents")

    def __str__(self):
        return self.title

admin.site.register(Document)
"#;

const SETTINGS: &str = r#"
DEBUG = False
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS += ["shop"]
STATIC_ROOT = BASE_DIR / "public/static"
MEDIA_ROOT = BASE_DIR / "public/media"
MEDIA_URL = "/media/"
DATABASES["default"]["OPTIONS"] = {"timeout": 20}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"#;

/// A new project with one model, as its generator makes it, and its superuser.
fn project(app: App) -> App {
    require_debian_package("python3-django", "/usr/share/doc/python3-django");
    let python = |args: &[&str]| {
        let mut command = Command::new("/usr/bin/python3");
        run(command.args(args).env("DJANGO_SUPERUSER_PASSWORD", "by the river 7").current_dir(app.dir()))
    };
    python(&["-m", "django", "startproject", "shop", "."]);
    let settings = std::fs::read_to_string(app.path("shop/settings.py")).unwrap();
    app.write("shop/settings.py", settings + SETTINGS);
    app.write("shop/models.py", MODELS);
    python(&["manage.py", "makemigrations", "shop"]);
    python(&["manage.py", "migrate"]);
    python(&["manage.py", "collectstatic", "--noinput"]);
    python(&["manage.py", "createsuperuser", "--noinput", "--username=admin", "--email=admin@shop.test"]);
    app.python("from shop.wsgi import application\n")
}

#[test]
fn djangos_admin_page_is_used_while_it_is_restarted() {
    let lines = "passenger_python /usr/bin/python3; passenger_spawn_method smart; types { text/css css; }";
    let setup = two_processes_of(lines, project);
    let mut browser = Browser::at(setup.nginx.port());
    let token = "csrfmiddlewaretoken";
    let page = browser.opens("/admin/login/?next=/admin/");
    let form = Form::on(&page, token).with("username", "admin").with("password", "by the river 7");
    let page = browser.submits("/admin/login/?next=/admin/", &form);
    assert!(page.text().contains("Documents"), "{}", page.text());
    let sheet = setup.nginx.get("/static/admin/css/base.css").expect(200);
    assert_eq!(sheet.header("Content-Type"), Some("text/css"), "a file of nginx");

    let page = browser.get("/admin/shop/document/add/").expect(200);
    let form = Form::on(&page, token).with("title", "Grüße").with("_save", "Save");
    let form = form.with_file("file", "bytes.bin", &upload());
    let page = browser.submits("/admin/shop/document/add/", &form);
    assert!(page.text().contains("Grüße"), "{}", page.text());
    assert!(setup.nginx.get("/media/documents/bytes.bin").expect(200).body == upload());

    restarts_while_used(&setup, &browser, "/admin/shop/document/");
    let page = browser.get("/admin/shop/document/1/change/").expect(200);
    assert!(page.text().contains("documents/bytes.bin"), "{}", page.text());
    let page = browser.submits("/admin/shop/document/1/delete/", &Form::on(&page, token).with("post", "yes"));
    assert!(page.text().contains("0 documents"), "{}", page.text());
}
