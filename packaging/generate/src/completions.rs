//! Shell completions of each program, one file per shell.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use tools::command_lines;

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes `bash/`, `zsh/` and `fish/`, with the file names that each shell expects.
pub(crate) fn write_all(out: &Path) -> io::Result<()> {
    for shell in SHELLS {
        let dir = out.join(shell.to_string());
        fs::create_dir_all(&dir)?;
        for mut program in command_lines::all().into_iter().chain([gate::Arguments::command()]) {
            let name = program.get_name().to_owned();
            let file = generate_to(shell, &mut program, &name, &dir)?;
            if shell == Shell::Bash {
                // bash-completion expects the program's name without an extension.
                fs::write(dir.join(&name), with_subcommands(&fs::read_to_string(&file)?, &name))?;
                fs::remove_file(file)?;
            }
        }
    }
    Ok(())
}

/// Fixes scripts of clap_complete 4.6, which encodes a program's dash differently where it sets the current command and
/// where it matches it, so that `passenger-config` would have no completions after a command.
fn with_subcommands(script: &str, name: &str) -> String {
    script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
}
