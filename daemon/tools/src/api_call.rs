//! `passenger-config api-call`: sends a request to the daemon and writes the response to standard output unchanged.

use std::io::{Read, Write};
use std::path::PathBuf;

use clap::Args;

use super::instance_arg::InstanceArg;

/// Sends a request to the daemon's administration API.
#[derive(Debug, Args)]
pub(crate) struct ApiCall {
    /// GET, POST, PUT or DELETE
    #[arg(value_parser = ["GET", "POST", "PUT", "DELETE"], ignore_case = true)]
    method: String,
    /// Path, such as /pool.json
    path: String,
    /// Request body
    #[arg(short, long, value_name = "TEXT", conflicts_with_all = ["stdin", "data_file"])]
    data: Option<String>,
    /// Read the request body from standard input
    #[arg(short = 'i', long, conflicts_with = "data_file")]
    stdin: bool,
    /// Read the request body from a file
    #[arg(short = 'f', long, value_name = "PATH")]
    data_file: Option<PathBuf>,
    /// Print the status before the body
    #[arg(long)]
    show_headers: bool,
    /// Exit with status 0 for any status of the response
    #[arg(long)]
    ignore_response_code: bool,
    #[command(flatten)]
    instance: InstanceArg,
}

impl ApiCall {
    /// Sends the request and prints the response. Fails also when the daemon rejects the request.
    pub(super) fn run(&self) -> Result<(), String> {
        if !self.path.starts_with('/') {
            return Err(format!("invalid path \"{}\": must begin with a slash", self.path));
        }
        let client = self.instance.client()?;
        let response = client.request(&self.method.to_ascii_uppercase(), &self.path, &self.body()?)?;
        let mut out = std::io::stdout();
        if self.show_headers {
            // A closed pipe is not an error.
            let _ = writeln!(out, "HTTP/1.1 {}\n", response.status);
        }
        let _ = out.write_all(response.body.as_bytes());
        if self.ignore_response_code || response.is_success() {
            Ok(())
        } else {
            Err(format!("the daemon responded with status {}", response.status))
        }
    }

    fn body(&self) -> Result<String, String> {
        if let Some(path) = &self.data_file {
            return std::fs::read_to_string(path)
                .map_err(|err| format!("cannot read {}: {err}", path.display()));
        }
        let mut body = self.data.clone().unwrap_or_default();
        if self.stdin {
            let read = std::io::stdin().read_to_string(&mut body);
            read.map_err(|err| format!("cannot read standard input: {err}"))?;
        }
        Ok(body)
    }
}
