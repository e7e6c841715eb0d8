//! `passenger-config list-instances`: lists the running daemons in the registries.

use clap::Args;

use super::instances;

/// Lists the daemons that run.
#[derive(Debug, Args)]
pub struct ListInstances {
    /// As JSON
    #[arg(long)]
    json: bool,
    /// Say nothing when none is running
    #[arg(short, long)]
    quiet: bool,
}

impl ListInstances {
    /// Runs the command.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator.
    pub fn run(&self) -> Result<(), String> {
        let instances = instances();
        if self.json {
            let all: Vec<_> = instances.iter().map(|found| &found.properties).collect();
            println!("{}", serde_json::to_string_pretty(&all).map_err(|err| err.to_string())?);
            return Ok(());
        }
        if instances.is_empty() {
            if !self.quiet {
                println!("There are no flying-passenger instances running.");
            }
            return Ok(());
        }
        println!("{:<25}  {:<7}  Description", "Name", "PID");
        for found in instances {
            let properties = &found.properties;
            println!("{:<25}  {:<7}  {}", properties.name, properties.pid, properties.socket_file.display());
        }
        Ok(())
    }
}
