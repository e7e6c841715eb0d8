//! `passenger-config list-instances`: lists the running daemons in the registries.

use clap::Args;
use serde_json::json;

use super::instances;

/// Lists the running daemons.
#[derive(Debug, Args)]
pub(crate) struct ListInstances {
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
    /// Print nothing if no daemon is running
    #[arg(short, long)]
    quiet: bool,
}

impl ListInstances {
    pub(super) fn run(&self) {
        let instances = instances();
        if self.json {
            let all: Vec<_> = instances.iter().map(|found| &found.properties).collect();
            println!("{:#}", json!(all));
        } else if !instances.is_empty() {
            println!("{:<25}  {:<7}  Description", "Name", "PID");
            for properties in instances.iter().map(|found| &found.properties) {
                let socket = properties.socket_file.display();
                println!("{:<25}  {:<7}  {socket}", properties.name, properties.pid);
            }
        } else if !self.quiet {
            println!("There are no flying-passenger instances running.");
        }
    }
}
