//! Generator of the man pages and shell completions of every installed program, in `man/` and `completions/` below a
//! given directory.
//!
//! Its sources are the command lines of the programs and the texts in `packaging/man`.

mod completions;
mod man;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(out) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: flying-passenger-generate DIRECTORY");
        return ExitCode::FAILURE;
    };
    match generate(&out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("flying-passenger-generate: {why}");
            ExitCode::FAILURE
        }
    }
}

fn generate(out: &std::path::Path) -> Result<(), Box<dyn Error>> {
    man::write_all(&out.join("man"))?;
    completions::write_all(&out.join("completions"))?;
    Ok(())
}
