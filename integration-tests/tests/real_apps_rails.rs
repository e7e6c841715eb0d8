//! A Rails app with a database, forked from a preloader that has used the database before.

use std::process::Command;

use test_support::{App, Request, eventually, require_debian_package, run};

use crate::real_apps::{both, restarts_under_load, two_processes_of};

/// A connection of the preloader that a forked process used would show this table, which no other connection can see.
const INITIALIZER: &str = r#"
Rails.application.config.after_initialize do
  ActiveRecord::Base.connection.execute('CREATE TEMP TABLE of_the_preloader (pid)')
  LOADED_BY = Process.pid
end
"#;

const CONTROLLER: &str = r#"
class VisitsController < ActionController::API
  def visit
    inherited = Visit.connection.select_value('SELECT count(*) FROM sqlite_temp_master')
    return render(plain: 'the connection is shared', status: 500) unless inherited.zero?
    Visit.create!(pid: Process.pid, name: params[:name])
    render json: { pid: Process.pid, loaded_by: LOADED_BY }
  end

  def index
    intact = Visit.connection.select_value('PRAGMA integrity_check')
    names = Visit.where.not(name: nil).pluck(:name)
    render json: { count: Visit.count, pids: Visit.distinct.pluck(:pid), names: names, intact: intact }
  end
end
"#;

const ROUTES: &str = r"
Rails.application.routes.draw do
  get '/visit(/*name)', to: 'visits#visit', format: false
  root to: 'visits#index'
end
";

const SCHEMA: &str = r#"
require_relative 'config/environment'
ActiveRecord::Schema.define { create_table(:visits) { |table| table.integer :pid, null: false; table.string :name } }
"#;

/// A new Rails app with ActiveRecord, as its generator makes it, with one table.
fn rails_with_database(app: App) -> App {
    require_debian_package("ruby-rails", "/usr/share/doc/ruby-rails");
    require_debian_package("ruby-sqlite3", "/usr/share/doc/ruby-sqlite3");
    run(Command::new("rails")
        .args(["new", ".", "--force", "--minimal", "--skip-bundle", "--skip-git", "--skip-test"])
        .args(["--skip-sprockets"])
        .current_dir(app.dir()));
    app.write("Gemfile", "source 'https://rubygems.org'\ngem 'rails'\ngem 'sqlite3'\n");
    let lock = "require 'bundler'; require 'bundler/cli'; Bundler::CLI.start(%w[lock --local])";
    run(Command::new("ruby").args(["-e", lock]).current_dir(app.dir()));
    app.write("app/models/visit.rb", "class Visit < ApplicationRecord\nend\n");
    app.write("app/controllers/visits_controller.rb", CONTROLLER);
    app.write("config/routes.rb", ROUTES);
    app.write("schema.rb", SCHEMA);
    run(Command::new("ruby").arg("schema.rb").envs(ENVIRONMENT).current_dir(app.dir()));
    app.file("config/initializers/database.rb", INITIALIZER)
}

const ENVIRONMENT: [(&str, &str); 2] = [("RAILS_ENV", "production"), ("SECRET_KEY_BASE", "0123456789abcdef")];

#[test]
fn forked_processes_have_their_own_connections_to_the_database() {
    let lines = "passenger_spawn_method smart; passenger_env_var SECRET_KEY_BASE 0123456789abcdef;";
    let setup = two_processes_of(lines, rails_with_database);
    let preloader = setup.nginx.get("/visit").expect(200).json()["loaded_by"].as_u64().unwrap();
    let pids = both(&setup);
    assert!(!pids.iter().any(|pid| u64::from(*pid) == preloader), "they are forked");
    assert!(!has_open(preloader, "sqlite3"), "what it opened while it loaded the app is closed");
    assert!(pids.iter().any(|pid| has_open((*pid).into(), "sqlite3")), "and opened by who needs it");

    let answered = restarts_under_load(&setup, &Request::get("/visit"));
    eventually("each new process has written", || {
        setup.nginx.get("/visit").expect(200);
        let seen = setup.nginx.get("/").expect(200).json();
        let seen = seen["pids"].as_array().unwrap().clone();
        both(&setup).iter().all(|pid| seen.iter().any(|each| each == pid))
    });
    setup.nginx.get("/visit/a%20b/%C3%A9/c%2Fd").expect(200);
    let seen = setup.nginx.get("/").expect(200).json();
    assert_eq!((seen["intact"].as_str(), seen["names"][0].as_str()), (Some("ok"), Some("a b/é/c/d")));
    assert!(seen["count"].as_u64().unwrap() > answered as u64, "nothing is lost: {seen}");
}

/// Whether a process has a file open whose name ends so.
fn has_open(pid: u64, end: &str) -> bool {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    files.flat_map(|file| std::fs::read_link(file.path())).any(|path| path.to_string_lossy().ends_with(end))
}
