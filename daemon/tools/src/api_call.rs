//! `passenger-config api-call`: sends a request to the daemon and writes the response to standard output unchanged.

use std::io::{Read, Write};
use std::path::PathBuf;

use clap::Args;

/// A request to the daemon's administration API.
#[derive(Debug, Args)]
pub struct ApiCall {
    /// GET, POST, PUT or DELETE
    #[arg(value_parser = ["GET", "POST", "PUT", "DELETE"], ignore_case = true)]
    method: String,
    /// Such as /pool.json
    path: String,
    /// The body
    #[arg(short, long, value_name = "TEXT", conflicts_with_all = ["stdin", "data_file"])]
    data: Option<String>,
    /// Read the body from standard input
    #[arg(short = 'i', long, conflicts_with = "data_file")]
    stdin: bool,
    /// Read the body from a file
    #[arg(short = 'f', long, value_name = "PATH")]
    data_file: Option<PathBuf>,
    /// Show the status as well
    #[arg(long)]
    show_headers: bool,
    /// Exit successfully whatever the status is
    #[arg(long)]
    ignore_response_code: bool,
    /// Name of the instance, or how it begins
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
}

impl ApiCall {
    /// Sends the request and prints the response.
    ///
    /// # Errors
    ///
    /// Returns a message for the administrator, also when the daemon rejects the request.
    pub fn run(&self) -> Result<(), String> {
        if !self.path.starts_with('/') {
            return Err(format!("the path must begin with a slash: {}", self.path));
        }
        let client = super::choose(self.instance.as_deref()).map_err(|err| err.to_string())?;
        let body = self.body()?;
        let method = self.method.to_ascii_uppercase();
        let reply = client.ask(&method, &self.path, &body).map_err(|err| err.to_string())?;
        let mut out = std::io::stdout();
        if self.show_headers {
            // A closed pipe is not an error.
            let _ = writeln!(out, "HTTP/1.1 {}\n", reply.status);
        }
        let _ = out.write_all(reply.body.as_bytes());
        if self.ignore_response_code || (200..300).contains(&reply.status) {
            Ok(())
        } else {
            Err(format!("the daemon refuses with status {}", reply.status))
        }
    }

    fn body(&self) -> Result<String, String> {
        if let Some(path) = &self.data_file {
            return std::fs::read_to_string(path).map_err(|err| format!("{}: {err}", path.display()));
        }
        let mut body = self.data.clone().unwrap_or_default();
        if self.stdin {
            std::io::stdin().read_to_string(&mut body).map_err(|err| format!("standard input: {err}"))?;
        }
        Ok(body)
    }
}
